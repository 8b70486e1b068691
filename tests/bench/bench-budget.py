#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A working set larger than the budget, read through a mount by Zipf's law; a JSON line.

Usage: bench-budget.py [--dir DIRECTORY] [--size BYTES] [--file BYTES] [--budget BYTES]
                       [--opens N] [--skew S] [--seed N] [--data-path WORD] [--trace FILE]

One more file is locked, one is written to all the time. Before each open the file's pages are
counted: what is resident is a hit. Plain LRU is simulated with the same order of opens and
the same budget, less what is locked. --trace writes the order for cache-sim. It reports; it
does not judge."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "lib"))

import cachework  # noqa: E402
import mmapfs  # noqa: E402

MIB = mmapfs.MIB


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Writer:
    """Writes random bytes into a file, without ever syncing, and remembers them."""

    def __init__(self, path, length):
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.content = bytearray(length)
        self.chance = random.Random(1)
        os.ftruncate(self.fd, length)

    def write(self, length=256 * mmapfs.KIB):
        at = self.chance.randrange(0, len(self.content) - length)
        block = self.chance.randbytes(length)
        os.pwrite(self.fd, block, at)
        self.content[at:at + length] = block


def run(options, source, mount):
    """Read everything in order; a dict of what was seen."""
    count = options.size // options.file
    paths = [mmapfs.fill(source / f"f{number}", options.file, number)
             for number in range(count)]
    locked = mmapfs.fill(source / "locked", options.file, count)
    for path in paths:
        mmapfs.evict_by_hand(path)
    order = cachework.zipf_order(count, options.opens, options.skew, options.seed)
    if options.trace:
        pathlib.Path(options.trace).write_text(
            "".join(f"{number} {options.file}\n" for number in order))
    mmapfs.setattr(mount / "locked", "lock", "on")
    writer = Writer(mount / "written", 4 * options.file)
    fds = [os.open(path, os.O_RDONLY) for path in paths]
    hits = cachework.Hits()
    buffer = memoryview(bytearray(4 * MIB))
    watched = [*paths, locked, source / "written"]
    begin = time.monotonic()
    with cachework.Sampler(watched, 0.01,
                           lambda: mmapfs.budget(mount.point)["looks"]) as sampler:
        for at, number in enumerate(order):
            hits.look(fds[number], options.file)
            assert cachework.read_all(mount / f"f{number}", buffer) == options.file
            if at % 20 == 0:
                writer.write()
    elapsed = time.monotonic() - begin
    budget = mmapfs.budget(mount.point)
    still_locked = mmapfs.cachestat(locked)[0] * mmapfs.PAGE
    os.close(writer.fd)
    bound = options.budget * 105 // 100
    streaks = cachework.streaks_over(sampler.samples, bound)
    lru = cachework.lru_hits(order, [options.file] * count, options.budget - options.file)
    return {
        "bench": "budget", "budget": options.budget, "files": count, "opens": len(order),
        "skew": options.skew, "seconds": round(elapsed, 1),
        "read_mib_s": round(hits.total / MIB / elapsed),
        "hits": round(hits.ratio(), 4), "hits_lru": round(lru, 4),
        "hits_without_kernel": round(hits.ratio_without_losses(), 4),
        "peak_of_budget": round(max(s[1] for s in sampler.samples) / options.budget, 3),
        "mean_of_budget": round(sum(s[1] for s in sampler.samples) /
                                len(sampler.samples) / options.budget, 3),
        "samples": len(sampler.samples), "over_105": len(streaks),
        "longest_over_105_ms": round(max((s[0] for s in streaks), default=0) * 1000),
        "most_looks_over_105": max((s[3] - s[2] for s in streaks), default=0),
        "locked_missing": options.file - still_locked,
        "control": budget, "writer": writer,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--size", type=int, default=3 << 30)
    parser.add_argument("--file", type=int, default=8 << 20)
    parser.add_argument("--budget", type=int, default=1 << 30)
    parser.add_argument("--opens", type=int, default=3000)
    parser.add_argument("--skew", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-path", default="auto")
    parser.add_argument("--trace")
    options = parser.parse_args()
    os.environ["TMPDIR"] = options.dir
    with mmapfs.directory() as work:
        (work / "source").mkdir()
        (work / "mnt").mkdir()
        mount = mmapfs.Mount(work / "source", work / "mnt", work / "log",
                             f"budget={options.budget},data_path={options.data_path}").start()
        try:
            result = run(options, work / "source", mount)
            writer = result.pop("writer")
        finally:
            begin = time.monotonic()
            wrong = mount.stop()
        result["end_seconds"] = round(time.monotonic() - begin, 1)
        written = work / "source" / "written"
        mmapfs.evict_by_hand(written)
        result["written_intact"] = written.read_bytes() == bytes(writer.content)
        result["wrong"] = wrong
    print(json.dumps(result))


if __name__ == "__main__":
    main()
