# SPDX-License-Identifier: MIT
"""The benchmarks that are programs of their own: their lines, with their name."""

import json
import os
import pathlib
import shutil
import subprocess

import mmapfs

BENCH = pathlib.Path(__file__).resolve().parents[1]


def node(quick):
    return ["node", BENCH / "bench-node.js", "--json", "--rounds", "1" if quick else "3"]


def commands(quick, directory):
    """{name: command}"""
    small = quick and 1 or 0
    size = str((256 if small else 1024) << 20)
    at = ["--dir", directory]
    return {
        "residency": [BENCH / "bench-residency.py", *at, "--files",
                      "2000" if small else "50000", "--large", size, "--runs", "5"],
        "restore": [BENCH / "bench-restore.py", *at, "--size", size, "--runs", "3"],
        "restart": [BENCH / "bench-restart.py", *at, "--size", size, "--runs", "3"],
        "budget": [BENCH / "bench-budget.py", *at, "--size", str(3 << 29), "--budget",
                   str(1 << 29), "--opens", "300" if small else "1500"],
        "node": node(quick),
    }


def run(name, command, report):
    if not shutil.which(command[0]):
        report.write("missing", group="script", work=name, place="", why="not installed")
        return
    environment = dict(os.environ, MMAPFS_ADDON=str(mmapfs.BUILD / "node" / "mmapfs.node"))
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True,
                          env=environment, timeout=900)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for line in lines:
        report.write("script", group="script", work=name, line=json.loads(line))
    if done.returncode or not lines:
        report.write("missing", group="script", work=name, place="",
                     why=(done.stderr.strip() or "it printed nothing")[-300:])
    report.say(f"script: {name}")
