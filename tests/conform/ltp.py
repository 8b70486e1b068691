#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Linux Test Project's tests of the system calls that meet a filesystem, with their
temporary directory on the mount."""

import re
import resource
import sys

import conform

# Directories below testcases/kernel/syscalls.
GROUPS = """mmap munmap madvise mincore msync mlock mlock2 munlock mlockall truncate ftruncate
    rename renameat renameat2 setxattr getxattr listxattr removexattr fsetxattr fgetxattr
    flistxattr fremovexattr lsetxattr lgetxattr llistxattr lremovexattr open openat openat2
    creat fallocate lseek pread pwrite preadv pwritev read write readv writev
    copy_file_range flock fcntl fsync fdatasync link linkat unlink unlinkat mkdir rmdir
    chmod fchmod chown fchown stat statx fstat utimensat statfs fstatfs getdents sendfile
    splice readlink symlink mknod cachestat readahead fadvise access""".split()

TCONF = 32  # of the exit status: not for this machine or filesystem


def built(checkout, match):
    """(name, program, arguments) of each line of runtest/syscalls that belongs to a group."""
    base = checkout / "testcases" / "kernel" / "syscalls"
    programs = {path.name: path for group in GROUPS for path in (base / group).glob("*")
                if path.is_file() and path.stat().st_mode & 0o100 and "." not in path.name}
    for line in (checkout / "runtest" / "syscalls").read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and words[1] in programs and match in words[0]:
            yield words[0], programs[words[1]], words[2:]


def verdict(status):
    if status is None:
        return conform.HANG
    if status == 0:
        return conform.PASS
    return conform.SKIP if status == TCONF else conform.FAIL


def main():
    options = conform.arguments("ltp", "of github.com/linux-test-project/ltp, built: make "
                                "autotools && ./configure && make, or only the groups "
                                "below testcases/kernel/syscalls")
    tests = list(built(options.checkout, options.match))
    if not tests:
        sys.exit("nothing is built in that checkout")

    # As a login shell has it: some tests use up all descriptors, which would be the daemon's,
    # too, where it may not raise its own limit beyond theirs.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def run_place(here, results):
        here.directory.chmod(0o777)
        # Its own loop devices, for tests that make filesystems, are not the subject.
        env = {"TMPDIR": str(here.directory), "LTP_SINGLE_FS_TYPE": here.fstype,
               "LTP_TIMEOUT_MUL": "2", "LTP_COLORIZE_OUTPUT": "0"}
        for name, program, arguments in tests:
            status, output = conform.run(
                ["prlimit", f"--nofile=1024:{hard}", program, *arguments], 120,
                cwd=program.parent, env=env)
            result = verdict(status)
            bad = "; ".join(re.findall(r"(T(?:FAIL|BROK|CONF).*)", output)[:3])
            results.add(here, name, result, bad if result != conform.PASS else "")

    sys.exit(conform.run_suite("ltp", options, run_place))


if __name__ == "__main__":
    main()
