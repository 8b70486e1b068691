# SPDX-License-Identifier: MIT
"""What the conformance suites share: a place to test in (the native filesystem, or a mount of
it on either data path), commands with a deadline, and results as JSON lines.

A suite is a program tests/conform/SUITE.py CHECKOUT: it runs the suite's cases from a checkout
of its repository, built by its own instructions, on each place, and prints what differs from
the native filesystem. It never downloads anything."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mmapfs  # noqa: E402

PATHS = ("native", "passthrough", "mapped")
FILESYSTEMS = ("ext4", "xfs", "btrfs")
PASS, FAIL, SKIP, HANG = "pass", "fail", "skip", "hang"


class Place:
    """A directory to test in, and the mount behind it (None: the filesystem itself)."""

    def __init__(self, fstype, path, directory, source, mounted):
        self.fstype = fstype
        self.path = path
        self.directory = directory
        self.source = source
        self.mounted = mounted

    def __str__(self):
        return f"{self.path} on {self.fstype}"


@contextlib.contextmanager
def place(fstype, path, size=2 << 30, mkfs=(), options=""):
    """A fresh filesystem on a loop device, mounted as path says. What is left behind at the
    end - a descriptor, a mapping, a message, a daemon that does not end - is an error."""
    with mmapfs.directory() as base:
        disk = mmapfs.Loop(base, fstype, size, mkfs=mkfs)
        try:
            if path == "native":
                yield Place(fstype, path, disk.point, disk.point, None)
                return
            point = base / "mnt"
            point.mkdir()
            mounted = mmapfs.Mount(disk.point, point, base / "log",
                                   f"allow_other,dev,suid,data_path={path}{options}").start()
            here = Place(fstype, path, point, disk.point, mounted)
            try:
                with mmapfs.nothing_left(mounted):
                    yield here
            finally:
                wrong = mounted.stop()
            assert not wrong, f"{here}: " + "; ".join(wrong)
        finally:
            disk.close()


def run(command, deadline, cwd=None, env=None):
    """(status, output): the status is None when it did not end in time. All its children are
    ended with it."""
    process = subprocess.Popen([str(word) for word in command], cwd=cwd,
                               env=dict(os.environ, **(env or {})), text=True,
                               errors="replace", stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=deadline)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        # A process that not even SIGKILL ends keeps the pipe open: do not wait for ever.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
        return None, ""


class Results:
    """Cases as they end: to a file of JSON lines, and counted for the summary."""

    def __init__(self, suite, out):
        self.suite = suite
        self.out = open(out, "a", encoding="utf-8") if out else None
        self.rows = []

    def add(self, where, case, result, detail="", count=1):
        row = {"suite": self.suite, "fs": where.fstype, "path": where.path, "case": case,
               "result": result, "count": count}
        if detail:
            row["detail"] = detail[-400:]
        self.rows.append(row)
        if self.out:
            print(json.dumps(row), file=self.out, flush=True)

    def counts(self, fstype, path):
        sums = dict.fromkeys((PASS, FAIL, SKIP, HANG), 0)
        for row in self.rows:
            if (row["fs"], row["path"]) == (fstype, path):
                sums[row["result"]] += row["count"]
        return sums

    def bad(self, fstype, path):
        return {row["case"] for row in self.rows if row["result"] in (FAIL, HANG)
                and (row["fs"], row["path"]) == (fstype, path)}

    def summary(self):
        """Print the counts and what fails on a mount only; whether there was such a case."""
        worse = False
        for fstype, path in dict.fromkeys((row["fs"], row["path"]) for row in self.rows):
            counts = ", ".join(f"{n} {what}" for what, n in self.counts(fstype, path).items())
            print(f"{self.suite}: {path} on {fstype}: {counts}")
            for case in sorted(self.bad(fstype, path) - self.bad(fstype, "native")):
                if path != "native":
                    worse = True
                    print(f"  only here: {case}")
        return worse


def arguments(suite, checkout, filesystems=("ext4",), add=None):
    """The command line that all suites share; ends with SKIP when there is no checkout."""
    parser = argparse.ArgumentParser(
        description=f"Run {suite} on the native filesystem and on mounts of it.")
    parser.add_argument("checkout", nargs="?", type=pathlib.Path, help=checkout)
    parser.add_argument("--fs", action="append", choices=FILESYSTEMS,
                        help="may be repeated; default " + " ".join(filesystems))
    parser.add_argument("--path", action="append", choices=PATHS,
                        help="may be repeated; default all three")
    parser.add_argument("--match", default="", help="only cases whose name has this in it")
    parser.add_argument("--out", help="append the results to this file, as JSON lines")
    if add:
        add(parser)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("mounting needs root")
    if not options.checkout or not options.checkout.is_dir():
        print(f"SKIP: {suite}: no checkout was named ({checkout})")
        sys.exit(0)
    options.checkout = options.checkout.resolve()
    options.fs = options.fs or list(filesystems)
    options.path = options.path or list(PATHS)
    return options


def need(file, how):
    if not file.exists():
        sys.exit(f"{file} is missing: {how}")
    return file


def run_suite(suite, options, run_place, **where):
    """run_place(place, results) on each place asked for; the exit code."""
    results = Results(suite, options.out)
    for fstype in options.fs:
        for path in options.path:
            begin = time.monotonic()
            with place(fstype, path, **where) as here:
                run_place(here, results)
            print(f"{suite}: {path} on {fstype} took {time.monotonic() - begin:.0f} s",
                  file=sys.stderr)
    return 1 if results.summary() else 0
