#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""xfstests' quick generic group in its FUSE mode, beside the same tests on the filesystem
below, each test with a deadline of its own.

In its mount namespace mount(8) finds the mmapfs that was built, and /etc/passwd and /etc/group
have the users that the tests want. The suite also unmounts by the name of what is mounted, for
which a directory will not do: the sources go by the names in SOURCES."""

import pathlib
import re
import subprocess
import sys
import tempfile

import conform
import mmapfs

CHECKOUT = "of git.kernel.org's xfstests (github.com/kdave/xfstests), built: make"
SOURCES = ("mmapfs-test", "mmapfs-scratch")
USERS = ("fsgqa", "fsgqa2", "123456-fsgqa")


def bind(what, where):
    subprocess.run(["mount", "--bind", what, where], check=True)


def teach_type(checkout, base):
    """The suite knows the type "fuse" and takes "fuse.mmapfs" for another filesystem."""
    path = checkout / "common" / "rc"
    known = "s/fuse.ceph-fuse/ceph-fuse/"
    text = path.read_text()
    if known not in text:
        sys.exit(f"{path} is not as expected: cannot teach it the type fuse.mmapfs")
    (base / "rc").write_text(text.replace(known, known + ";s/fuse.mmapfs/fuse/"))
    bind(base / "rc", path)


def furnish(base):
    (base / "bin").mkdir()
    program = base / "bin" / "mmapfs"
    program.write_text(f'#!/bin/sh\nname=$1; shift\n'
                       f'exec {mmapfs.DAEMON.resolve()} "{base}/$name" "$@" -o fsname="$name"\n')
    program.chmod(0o755)
    bind(base / "bin", "/usr/local/bin")
    for name, line in (("passwd", "{0}:*:{1}:{1}::/:/bin/sh"), ("group", "{0}:x:{1}:")):
        extra = [line.format(user, 54000 + i) for i, user in enumerate(USERS)]
        path = base / name
        path.write_text(pathlib.Path("/etc", name).read_text() + "\n".join(extra) + "\n")
        bind(path, f"/etc/{name}")


def settings(fstype, path, disks, base):
    """The environment of ./check."""
    for name in ("test", "scratch"):
        (base / name).mkdir()
    common = {"TEST_DIR": base / "test", "SCRATCH_MNT": base / "scratch",
              "RESULT_BASE": base / "results", "HOST_OPTIONS": base / "none"}
    if path == "native":
        more = {"FSTYP": fstype, "TEST_DEV": disks[0].device,
                "SCRATCH_DEV": disks[1].device}
    else:
        options = f"-oallow_other,dev,suid,data_path={path}"
        more = {"FSTYP": "fuse", "FUSE_SUBTYP": ".mmapfs", "TEST_DEV": SOURCES[0],
                "SCRATCH_DEV": SOURCES[1], "MOUNT_OPTIONS": options,
                "TEST_FS_MOUNT_OPTS": options}
    return {name: str(value) for name, value in {**common, **more}.items()}


def listed(output, head):
    found = re.search(rf"^{head}: (.*)$", output, re.MULTILINE)
    return set(found.group(1).split()) if found else set()


def what_it_said(output, test):
    found = re.search(rf"^{test}\b.*?(?=^generic/|^Ran: |\Z)", output,
                      re.MULTILINE | re.DOTALL)
    return " ".join((found.group(0) if found else output).split())


def check(options, env, tests):
    """{test: (result, what it said)}. Starting ./check takes longer than many of its tests, so
    it gets several; those it did not come to before the deadline are run one by one."""
    status, output = conform.run(["./check", *tests], 300, cwd=options.checkout, env=env)
    if status is None and len(tests) == 1:
        return {tests[0]: (conform.HANG, "")}
    ran, skipped, failed = (listed(output, head) for head in ("Ran", "Not run", "Failures"))
    found = {}
    for test in tests:
        if test in ran and test not in failed | skipped:
            found[test] = (conform.PASS, "")
        elif test in ran or len(tests) == 1:
            found[test] = (conform.SKIP if test in skipped else conform.FAIL,
                           what_it_said(output, test))
        else:
            found.update(check(options, env, [test]))
    return found


def check_all(options, env, where, tests, results):
    left = [test for test in tests if not results.has(where, test)]
    for at in range(0, len(left), options.batch):
        some = left[at:at + options.batch]
        for test, (result, said) in check(options, env, some).items():
            results.add(where, test, result, said)


def name_sources(names, disks):
    for name, disk in zip(SOURCES, disks):
        (names / name).unlink(missing_ok=True)
        (names / name).symlink_to(disk.point)


def run_path(options, fstype, path, names, tests, results):
    with mmapfs.directory() as base:
        disks = []
        for name in ("a", "b"):
            (base / name).mkdir()
            disks.append(mmapfs.Loop(base / name, fstype, 4 << 30))
        if path == "native":
            # ./check mounts them itself.
            for disk in disks:
                subprocess.run(["umount", disk.point], check=True)
        name_sources(names, disks)
        where = conform.Place(fstype, path, None, None, None)
        env = settings(fstype, path, disks, base)
        try:
            check_all(options, env, where, tests, results)
        finally:
            for point in reversed(mmapfs.mounts_below(base)):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
            for disk in disks:
                disk.close()


def quick(checkout, match):
    lines = (checkout / "tests" / "generic" / "group.list").read_text().splitlines()
    tests = [line.split()[0] for line in lines if not line.startswith("#")
             and "quick" in line.split()[1:]]
    return [f"generic/{test}" for test in tests if match in f"generic/{test}"]


def own_arguments(parser):
    parser.add_argument("--resume", action="store_true",
                        help="run only the tests that the file of --out has no result of")
    parser.add_argument("--batch", type=int, default=10,
                        help="tests for each start of ./check; default 10")


def main():
    options = conform.arguments("xfstests", CHECKOUT, add=own_arguments)
    conform.need(options.checkout / "ltp" / "fsx", "build the checkout first")
    tests = quick(options.checkout, options.match)
    results = conform.Results("xfstests", options)
    with tempfile.TemporaryDirectory() as name:
        base = pathlib.Path(name)
        try:
            furnish(base)
            teach_type(options.checkout, base)
            for fstype in options.fs:
                for path in options.path:
                    run_path(options, fstype, path, base, tests, results)
        finally:
            for point in ("/usr/local/bin", "/etc/passwd", "/etc/group",
                          options.checkout / "common" / "rc"):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    sys.exit(1 if results.summary() else 0)


if __name__ == "__main__":
    main()
