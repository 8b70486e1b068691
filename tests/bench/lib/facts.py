# SPDX-License-Identifier: MIT
"""What has to be known of the machine to read the figures."""

import os
import pathlib
import platform
import subprocess
import time

from places import package_version


def field(path, name):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return ""


def filesystem(directory):
    return subprocess.run(["stat", "-f", "-c", "%T", str(directory)], check=False,
                          capture_output=True, text=True).stdout.strip()


def facts(directory):
    release = pathlib.Path("/etc/os-release").read_text()
    name = next((line.split("=", 1)[1].strip('"') for line in release.splitlines()
                 if line.startswith("PRETTY_NAME=")), "")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "kernel": platform.release(), "machine": platform.machine(), "system": name,
        "processor": field("/proc/cpuinfo", "model name"), "processors": os.cpu_count(),
        "virtual": " hypervisor" in pathlib.Path("/proc/cpuinfo").read_text(),
        "memory_gib": round(int(field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)),
        "filesystem": filesystem(directory), "libfuse": package_version("libfuse3-3"),
        "load_before": os.getloadavg()[0],
    }
