#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Random operations for a long time, and what the daemon holds meanwhile.

Clients start, work and end in rounds on one mount. Between two rounds, when all that was
created is removed again and the mount is at rest, the daemon's memory, descriptors and
mappings are written down. Ends with a line of counts; exits with 1 when something was wrong,
or when the second half of the rounds needed more than the first.
"""

import argparse
import pathlib
import random
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mmapfs  # noqa: E402
import randomwork  # noqa: E402

mmapfs.DEADLINE = 120
ROUND_SECONDS = 30
RSS_SLACK_KIB = 2048  # of the allocator


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--path", choices=["passthrough", "mapped"], default="passthrough")
    return parser.parse_args()


def held(pid):
    """(KiB of memory, descriptors, mappings, threads) of a process."""
    process = pathlib.Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return (int(status["VmRSS"].split()[0]), len(list((process / "fd").iterdir())),
            len((process / "maps").read_text().splitlines()), int(status["Threads"]))


def come_to_rest(mount):
    """Nothing is left of the round that the daemon would have to remember."""
    for path in mount.point.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    # The looks of the budget and the walks of the policy come around.
    mmapfs.wait_until(lambda: mmapfs.stat(mount.point)["files"] == 0, 60, "an empty mount")
    time.sleep(3)


def run_rounds(mount, source, arguments):
    """(what was wrong, samples, operations)"""
    end = time.monotonic() + arguments.seconds
    samples, operations = [], 0
    while time.monotonic() < end:
        work = randomwork.Work(mount.point, source, f"{arguments.seed}.{len(samples)}",
                               arguments.clients, ROUND_SECONDS)
        wrong, _, counts = work.wait()
        operations += sum(counts.values())
        if wrong:
            return wrong, samples, operations
        come_to_rest(mount)
        samples.append(held(mount.process.pid))
        print(f"round {len(samples)}: %d KiB, %d descriptors, %d mappings, %d threads"
              % samples[-1], flush=True)
    return [], samples, operations


def grew(samples):
    """What the second half of the rounds had more of, at its most, than the first."""
    samples = samples[1:]  # the first one makes pools and caches
    half = len(samples) // 2
    if half == 0:
        return []
    slack = (RSS_SLACK_KIB, 0, 0, 0)
    names = ("memory", "descriptors", "mappings", "threads")
    return [f"{name} grew from {early} to {late}"
            for name, early, late, more in zip(
                names, map(max, zip(*samples[:half])), map(max, zip(*samples[half:])), slack)
            if late > early + more]


def main():
    arguments = parse_arguments()
    print(f"seed {arguments.seed}, {arguments.path}, daemon {mmapfs.DAEMON}", flush=True)
    with mmapfs.directory() as base:
        for name in ("source", "mnt", "state"):
            (base / name).mkdir()
        options = randomwork.OPTIONS.format(path=arguments.path,
                                            snapshot=base / "state" / "snapshot")
        mount = mmapfs.Mount(base / "source", base / "mnt", base / "log", options).start()
        wrong, samples, operations = run_rounds(mount, base / "source", arguments)
        wrong += mount.stop()
    wrong += grew(samples)
    print("\n".join(wrong))
    print(f"{len(samples)} rounds in {arguments.seconds:.0f} s, {operations} operations, "
          f"{len(wrong)} things wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
