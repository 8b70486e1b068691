#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Count residency side by side with vmtouch and fincore; JSON lines, medians of 5.

Usage: bench-residency.py [--dir DIRECTORY] [--files 50000] [--runs 5]

Each command runs --runs times, all in turn, so that what else the machine does hits all
alike. Reports wall time and the largest resident set; it passes or fails nothing. The
figure "of_vmtouch" is the share of vmtouch's time in the same case. "floor" is the kernel's
part of counting a tree, by floor.c, where there is a C compiler."""

import argparse
import json
import mmap
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MMAPFS_BUILD", TOP / "build"))
MMAPCTL = str(BUILD / "tools" / "mmapctl")
MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
POPULATE_READ = 22


def run_once(command):
    """(seconds, largest resident set in KiB); by GNU time, for what wait4 says of a child
    of ours has our own memory in it."""
    begin = time.perf_counter()
    done = subprocess.run(["/usr/bin/time", "-f", "%M", *command], check=True, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - begin, int(done.stderr.split()[-1])


def there(case, commands):
    """Those that can be had; of the others a line that says so."""
    for name, command in commands.items():
        if shutil.which(command[0]):
            yield name, command
        else:
            print(json.dumps({"case": case, "tool": name, "missing": "not installed"}))


def compare(case, commands, runs):
    commands = dict(there(case, commands))
    taken = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            taken[name].append(run_once(command))
    median = {name: statistics.median(seconds for seconds, _ in all_runs)
              for name, all_runs in taken.items()}
    for name, all_runs in taken.items():
        line = {"case": case, "tool": name, "runs": runs,
                "seconds": round(median[name], 4),
                "least": round(min(all_runs)[0], 4), "most": round(max(all_runs)[0], 4),
                "max_rss_kib": max(kib for _, kib in all_runs)}
        if "vmtouch" in median:
            line["of_vmtouch"] = round(median[name] / median["vmtouch"], 4)
        print(json.dumps(line), flush=True)


def small_files(base, count):
    tree = base / "tree"
    for i in range(count):
        if i % 100 == 0:
            directory = tree / f"d{i // 100}"
            directory.mkdir(parents=True)
        (directory / f"f{i}").write_bytes(b"x" * (1000 + 37 * (i % 100)))
    os.sync()
    return tree


def floor(base):
    """The program of that name; a path that leads nowhere when it cannot be built."""
    program = base / "floor"
    if shutil.which("cc"):
        source = pathlib.Path(__file__).with_name("floor.c")
        subprocess.run(["cc", "-O2", "-pthread", "-o", program, source], check=True)
    return str(program)


def large_file(base, size):
    """Written in pieces of 8 MiB, which xfs and ext4 keep in large folios."""
    path = base / "large"
    block = os.urandom(MIB) * 8
    with open(path, "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path


def hold(path):
    """Idle pages may be evicted behind our back; mapped ones stay."""
    fd = os.open(path, os.O_RDONLY)
    held = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    held.madvise(POPULATE_READ)
    os.close(fd)
    return held


def sparse_file(base):
    path = base / "sparse"
    with open(path, "wb") as file:
        file.truncate(TIB)
        for i in range(150):
            file.seek(i * (TIB // 150) // 4096 * 4096)
            file.write(b"x" * 4096)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--files", type=int, default=50000)
    parser.add_argument("--large", type=int, default=2 * GIB)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    base = pathlib.Path(tempfile.mkdtemp(prefix="mmapfs-bench-", dir=options.dir))
    try:
        tree = str(small_files(base, options.files))
        least = floor(base)
        compare(f"{options.files} small files, totals", {
            "vmtouch": ["vmtouch", tree],
            "mmapctl": [MMAPCTL, "stat", "-s", tree],
            "mmapctl -j2": [MMAPCTL, "stat", "-s", "-j2", tree],
            "floor": [least, "1", tree],
            "floor -j2": [least, "2", tree],
        }, options.runs)
        compare(f"{options.files} small files, a row each", {
            "vmtouch": ["vmtouch", tree],
            "mmapctl": [MMAPCTL, "stat", "--raw", tree],
            "mmapctl table": [MMAPCTL, "stat", tree],
            "mmapctl --json": [MMAPCTL, "stat", "--json", tree],
        }, options.runs)
        large = large_file(base, options.large)
        held = hold(large)
        compare(f"one file of {options.large // MIB} MiB, resident", {
            "vmtouch": ["vmtouch", str(large)],
            "fincore": ["fincore", str(large)],
            "pcstat": ["pcstat", str(large)],
            "mmapctl": [MMAPCTL, "stat", str(large)],
            "mmapctl ranges": [MMAPCTL, "ranges", "--raw", str(large)],
        }, options.runs)
        held.close()
        sparse = str(sparse_file(base))
        compare("sparse file of 1 TiB, 150 pages of data", {
            "vmtouch": ["vmtouch", sparse],
            "fincore": ["fincore", sparse],
            "pcstat": ["pcstat", sparse],
            "mmapctl": [MMAPCTL, "stat", sparse],
            "mmapctl ranges": [MMAPCTL, "ranges", "--raw", sparse],
        }, options.runs)
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
