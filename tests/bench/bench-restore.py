#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Restore scattered pages from a snapshot, against touching them; JSON lines, medians.

Usage: bench-restore.py [--dir DIRECTORY] [--size BYTES] [--runs 5]

One page in a hundred of a file is resident when the snapshot is taken. Then, in turn: evict
all, restore; evict all, touch each of those pages by pread. It reports; it does not judge."""

import argparse
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

MMAPCTL = str(mmapfs.BUILD / "tools" / "mmapctl")
PAGE = mmapfs.PAGE


def timed(action):
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1000


def touch(path, pages):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for page in pages:
        os.pread(fd, 1, page * PAGE)
    os.close(fd)


def mmapctl(*arguments):
    return subprocess.run([MMAPCTL, *arguments], check=False, capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", default="/var/tmp")
    parser.add_argument("--size", type=int, default=2 << 30)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as work:
        path = mmapfs.fill(pathlib.Path(work) / "big", options.size)
        snap = os.path.join(work, "snap")
        count = options.size // PAGE
        pages = sorted(random.Random(5).sample(range(count), count // 100))
        evict = lambda: mmapctl("evict", "--sync", str(path))
        evict()
        touch(path, pages)
        mmapctl("snapshot", snap, str(path))
        restored, touched, extra = [], [], []
        for _ in range(options.runs):
            evict()
            restored.append(timed(lambda: mmapctl("restore", snap)))
            evict()
            touched.append(timed(lambda: touch(path, pages)))
            evict()
            done = json.loads(mmapctl("restore", snap, "--json").stdout)
            extra.append(done["files"][0]["action"]["extra_bytes"])
    restore, single = statistics.median(restored), statistics.median(touched)
    print(json.dumps({"bench": "restore", "pages": len(pages), "restore_ms": round(restore, 1),
                      "touch_ms": round(single, 1), "of_touch": round(restore / single, 3),
                      "extra_bytes": max(extra)}))


if __name__ == "__main__":
    main()
