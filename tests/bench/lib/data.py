# SPDX-License-Identifier: MIT
"""Reading and writing a warm file, by fio."""

import json
import subprocess

from rounds import Work

ROWS = [
    ("sequential read, 1 MiB", ["--rw=read", "--bs=1M"]),
    ("random read, 4 KiB", ["--rw=randread", "--bs=4k"]),
    ("sequential write, 1 MiB", ["--rw=write", "--bs=1M"]),
    ("random write, 4 KiB", ["--rw=randwrite", "--bs=4k"]),
]


def fio(path, size, milliseconds, *arguments):
    """Operations per second."""
    done = subprocess.run(
        ["fio", "--name=run", f"--filename={path}", f"--size={size}", "--invalidate=0",
         "--fallocate=none", "--allow_file_create=0", "--output-format=json",
         "--group_reporting", "--time_based", f"--runtime={milliseconds}ms", *arguments],
        check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-200:] or "fio failed")
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    return job["read"]["iops"] + job["write"]["iops"]


def works(scale):
    """On the file `data` of the source, whose pages the caller holds."""
    for engine, jobs in (("psync", 1), ("mmap", 1), ("psync", 2)):
        for name, arguments in ROWS:
            yield work(name, engine, jobs, arguments, scale)


def work(name, engine, jobs, arguments, scale):
    words = [*arguments, f"--ioengine={engine}", f"--numjobs={jobs}"]

    def run(place):
        return fio(place / "data", scale["data"], scale["fio_ms"], *words)

    return Work("data", f"{name}, {engine}, {jobs} job{'s' * (jobs > 1)}", run,
                unit="per second", rounds=scale["fio_rounds"], twice=("native", "mmapfs"))
