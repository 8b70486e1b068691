#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A warm restart, against reading the files and touching the ranges; JSON lines, medians.

Usage: bench-restart.py [--dir DIRECTORY] [--size BYTES] [--files N] [--runs 3]

About half of a tree is resident, in random runs of 1 to 256 pages, when the mount ends and
saves it. Then, each time with everything evicted: mount and wait until it is restored; read
all files from end to end; touch the runs one by one. What is resident after the restore is
compared page by page with what was before. It reports; it does not judge."""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "lib"))

import mmapfs  # noqa: E402

PAGE = mmapfs.PAGE


def timed(action):
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def random_runs(pages, rng):
    """[(first page, pages)] of about half of them."""
    runs = []
    at = rng.randrange(256)
    while at < pages:
        length = min(rng.randint(1, 256), pages - at)
        runs.append((at, length))
        at += length + rng.randint(1, 256)
    return runs


def make_tree(source, size, count, rng):
    """{path: runs}"""
    tree = {}
    for i in range(count):
        path = source / f"dir{i % 4}" / f"file{i}"
        path.parent.mkdir(exist_ok=True)
        mmapfs.fill(path, size // count, seed=i)
        tree[path] = random_runs(size // count // PAGE, rng)
    return tree


def evict(tree):
    for path in tree:
        mmapfs.evict_by_hand(path, sync=False)


def touch(tree):
    for path, runs in tree.items():
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for first, length in runs:
            os.pread(fd, length * PAGE, first * PAGE)
        os.close(fd)


def read_all(tree):
    for path in tree:
        with open(path, "rb", buffering=0) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                pass


@contextlib.contextmanager
def held(tree):
    """The runs resident, and not to be evicted by anybody."""
    with contextlib.ExitStack() as stack:
        for path, runs in tree.items():
            mapping = stack.enter_context(mmapfs.mapped(path))
            mmapfs.check(mmapfs.libc.madvise(mapping.address, mapping.length, 1))
            for first, length in runs:
                mmapfs.check(mmapfs.libc.madvise(mapping.address + first * PAGE,
                                                 length * PAGE, mmapfs.MADV_POPULATE_READ))
        yield


def vector(path):
    """mincore(2) of a whole file."""
    with mmapfs.mapped(path) as mapping:
        found = ctypes.create_string_buffer(mmapfs.pages(mapping.length))
        mmapfs.check(mmapfs.libc.mincore(mapping.address, mapping.length, found))
    return found.raw


def compare(tree):
    """Pages that are missing, and that are there though they were not."""
    missing = extra = 0
    found = {path: vector(path) for path in tree}  # all at once: pages do not stay for long
    for path, runs in tree.items():
        want = {page for first, length in runs for page in range(first, first + length)}
        there = {page for page, byte in enumerate(found[path][:-1]) if byte & 1}
        missing += len(want - there)
        extra += len(there - want)
    return missing, extra


def status(point):
    return dict(line.split("=", 1) for line in mmapfs.getattr(point, "snapshot").splitlines())


class Restart:
    """Mounts with a snapshot, and ends them."""

    def __init__(self, work, source):
        self.work, self.source, self.count = work, source, 0

    def mount(self, rate):
        point = self.work / f"mnt{self.count}"
        self.count += 1
        point.mkdir()
        options = f"snapshot={self.work}/snap,snapshot_interval=0,snapshot_rate={rate}"
        mounted = mmapfs.Mount(self.source, point, self.work / "log", options).start()
        while status(point)["state"] != "idle":
            time.sleep(0.001)
        return mounted

    def end(self, mounted):
        """Milliseconds from the unmount to the end of the daemon, saving included."""
        return timed(mounted.unmount)


def measure(restart, tree, rate, runs):
    times, missing, extra, evicted, outcome = [], 0, 0, 0, None
    for _ in range(runs):
        evict(tree)
        mounted = None

        def start():
            nonlocal mounted
            mounted = restart.mount(rate)

        times.append(timed(start))
        found = compare(tree)
        missing, extra = max(missing, found[0]), max(extra, found[1])
        now = status(mounted.point)
        outcome = now["restore"]
        evicted = max(evicted, int(now["restore_missing"]) // PAGE)
        # Not by an unmount, which would save what this machine has evicted meanwhile.
        mounted.kill()
        subprocess.run(["umount", "-l", mounted.point], check=False)
    return {"ms": round(statistics.median(times)), "missing_pages": missing,
            "missing_at_once": evicted, "extra_pages": extra, "outcome": outcome}


def median_of(action, tree, runs):
    times = []
    for _ in range(runs):
        evict(tree)
        times.append(timed(lambda: action(tree)))
    return round(statistics.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--size", type=int, default=2 << 30)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as work:
        work = pathlib.Path(work)
        source = work / "source"
        source.mkdir()
        tree = make_tree(source, options.size, options.files, random.Random(5))
        restart = Restart(work, source)
        evict(tree)
        mounted = restart.mount(0)
        with held(tree):
            saving = restart.end(mounted)
        pages = sum(length for runs in tree.values() for _, length in runs)
        print(json.dumps({"bench": "restart", "files": options.files,
                          "runs": sum(map(len, tree.values())), "mib": pages * PAGE >> 20,
                          "snapshot_kib": (work / "snap").stat().st_size >> 10,
                          "unmount_ms": round(saving),
                          "restore": measure(restart, tree, 0, options.runs),
                          "read_all_ms": median_of(read_all, tree, options.runs),
                          "touch_ms": median_of(touch, tree, options.runs)}))


if __name__ == "__main__":
    main()
