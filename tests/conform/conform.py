# SPDX-License-Identifier: MIT
"""What the conformance suites share: a place to test in (the native filesystem, or a mount of
it on either data path), commands with a deadline, and results as JSON lines.

A suite is a program tests/conform/SUITE.py CHECKOUT: it runs the suite's cases from a checkout
of its repository, built by its own instructions, on each place, and prints what differs from
the native filesystem. It never downloads anything.

All of it happens in a mount namespace of its own: a process elsewhere that copies the mounts of
the machine would keep a daemon alive after its unmount."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mmapfs  # noqa: E402

PATHS = ("native", "passthrough", "mapped")
FILESYSTEMS = ("ext4", "xfs", "btrfs")
PASS, FAIL, SKIP, HANG = "pass", "fail", "skip", "hang"
INSIDE = "MMAPFS_CONFORM_INSIDE"
PATIENCE = "MMAPFS_CONFORM_PATIENCE"


class Leftover(Exception):
    """Something was wrong with a daemon after all cases had ended."""


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

    def inodes(self):
        """In use on the source, also those without a name; btrfs does not count them."""
        space = os.statvfs(self.source)
        return space.f_files - space.f_ffree


def remove_all(directory):
    subprocess.run(["chattr", "-R", "-f", "-ia", directory], check=False,
                   capture_output=True)
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name != "lost+found":
                shutil.rmtree(path)
        else:
            path.unlink()


def let_go(directory):
    """Of the mounts and loop devices that a case which was ended left in there."""
    for point in reversed(mmapfs.mounts_below(directory)):
        if point != str(directory):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    loops = subprocess.run(["losetup", "-n", "-l", "-O", "NAME,BACK-FILE"], check=True,
                           capture_output=True, text=True).stdout
    for line in loops.splitlines():
        name, *file = line.split(maxsplit=1)
        if file and file[0].startswith(f"{directory}/"):
            subprocess.run(["losetup", "-d", name], check=False, capture_output=True)


def still_open(here, before):
    """How many of each are there that were not there before."""
    descriptors, inodes = before
    spare = mmapfs.SPARE_DESCRIPTORS
    return {"descriptors": max(here.mounted.descriptors() - descriptors - spare, 0),
            "mappings": len(here.mounted.mappings()), "inodes": max(here.inodes() - inodes, 0)}


def left_open(here, before):
    """What still holds a file after all were closed and removed: a descriptor, a mapping, or
    a backing id, which only the source's count of inodes can tell. The daemon is told what the
    kernel forgets one by one, which takes its time."""
    remove_all(here.source)
    mmapfs.drop_kernel_references()
    with contextlib.suppress(AssertionError):
        mmapfs.wait_until(lambda: not any(still_open(here, before).values()))
    return [f"left open: {count} {what}"
            for what, count in still_open(here, before).items() if count]


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
            before = mounted.descriptors(), here.inodes()
            wrong = []
            try:
                yield here
                let_go(point)
                wrong += left_open(here, before)
            finally:
                wrong += mounted.stop()
            if wrong:
                raise Leftover(f"{here}: " + "; ".join(wrong))
        finally:
            disk.close()


def run(command, deadline, cwd=None, env=None):
    """(status, output): the status is None when it did not end in time. All its children are
    ended with it."""
    deadline *= int(os.environ.get(PATIENCE, "1"))
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


def build():
    """Which sanitizer the daemon has: what the results are filed under."""
    program = mmapfs.DAEMON.read_bytes()
    for name in ("asan", "tsan"):
        if b"__" + name.encode() + b"_init" in program:
            return name
    return "plain"


def version(checkout):
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", checkout, "describe",
                           "--always", "--tags"], check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


class Results:
    """Cases as they end: to a file of JSON lines, and counted for the summary."""

    def __init__(self, suite, options):
        out = options.out
        self.always = {"suite": suite, "version": version(options.checkout),
                       "build": build()}
        self.suite = suite
        self.out = open(out, "a+", encoding="utf-8") if out else None
        self.rows = []
        if options.resume and self.out:
            self.out.seek(0)
            rows = [json.loads(line) for line in self.out]
            self.rows = [row for row in rows if self.always.items() <= row.items()]

    def has(self, where, case):
        """With --resume, the cases of before."""
        return any((row["fs"], row["path"], row["case"]) ==
                   (where.fstype, where.path, case) for row in self.rows)

    def add(self, where, case, result, detail="", count=1):
        row = dict(self.always, fs=where.fstype, path=where.path, case=case, result=result,
                   count=count)
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


def enter_namespace():
    """Once more, in a mount namespace of its own, without other people's mounts: a copy of
    them here would keep their daemons and disks busy."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private",
                              sys.executable, *sys.argv])
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        kind, source = right.split()[:2]
        if kind.startswith("fuse") or kind == "overlay" or source.startswith("/dev/loop"):
            subprocess.run(["umount", "-l", left.split()[4]], check=False,
                           capture_output=True)


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
    parser.add_argument("--patience", type=int, default=1, metavar="N",
                        help="deadlines N times as long, for a busy machine or a sanitizer")
    parser.set_defaults(resume=False)
    if add:
        add(parser)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("mounting needs root")
    if not options.checkout or not options.checkout.is_dir():
        print(f"SKIP: {suite}: no checkout was named ({checkout})")
        sys.exit(0)
    enter_namespace()
    options.checkout = options.checkout.resolve()
    os.environ[PATIENCE] = str(options.patience)
    options.fs = options.fs or list(filesystems)
    options.path = options.path or list(PATHS)
    return options


def need(file, how):
    if not file.exists():
        sys.exit(f"{file} is missing: {how}")
    return file


def run_one(run_place, results, manager):
    """The cases of one place; what is wrong when it is taken down is a case of its own."""
    wrong = ""
    try:
        with manager as here:
            run_place(here, results)
    except Leftover as error:
        wrong = str(error)
        print(wrong, file=sys.stderr)
    results.add(here, "at the end", FAIL if wrong else PASS, wrong, count=1 if wrong else 0)


def run_suite(suite, options, run_place, **where):
    """run_place(place, results) on each place asked for; the exit code."""
    results = Results(suite, options)
    for fstype in options.fs:
        for path in options.path:
            begin = time.monotonic()
            run_one(run_place, results, place(fstype, path, **where))
            print(f"{suite}: {path} on {fstype} took {time.monotonic() - begin:.0f} s",
                  file=sys.stderr)
    return 1 if results.summary() else 0
