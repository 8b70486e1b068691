#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Drive a mount by random operations of several clients, and check what they read.

The daemon is that of MMAPFS_BUILD, which is best built with a sanitizer. Ends with a line of
counts; exits with 0 when nothing was wrong. A seed gives each client the same operations
again, not the same order between the clients.
"""

import argparse
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mmapfs  # noqa: E402
import randomwork  # noqa: E402


# The last snapshot may take 20 s, and a disk that others use as well may take its time.
mmapfs.DEADLINE = 120


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="for each data path")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--path", choices=["passthrough", "mapped"], action="append",
                        help="default both, one after the other")
    return parser.parse_args()


def run(path, arguments):
    """(what was wrong, operations done)"""
    with mmapfs.directory() as base:
        for name in ("source", "mnt", "state"):
            (base / name).mkdir()
        options = randomwork.OPTIONS.format(path=path, snapshot=base / "state" / "snapshot")
        mount = mmapfs.Mount(base / "source", base / "mnt", base / "log", options).start()
        work = randomwork.Work(mount.point, base / "source", arguments.seed,
                               arguments.clients, arguments.seconds)
        wrong, files, counts = work.wait()
        wrong += mount.stop()
        wrong += randomwork.source_differs(base / "source", files) if not wrong else []
        if wrong:
            wrong.append("the daemon's log:\n" + mount.text()[-4000:])
    return wrong, counts


def main():
    arguments = parse_arguments()
    print(f"seed {arguments.seed}, {arguments.clients} clients, daemon {mmapfs.DAEMON}",
          flush=True)
    failed = False
    for path in arguments.path or ["passthrough", "mapped"]:
        wrong, counts = run(path, arguments)
        failed = failed or bool(wrong)
        for text in wrong:
            print(text)
        print(f"{path}: {sum(counts.values())} operations in {arguments.seconds:.0f} s, "
              f"{sum(n for name, n in counts.items() if 'control' in name)} of them "
              f"controls; {'WRONG' if wrong else 'nothing wrong'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
