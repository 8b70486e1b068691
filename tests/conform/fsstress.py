#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""fsstress: all operations at random from several processes at once; afterwards the mount
and the source must be the same tree, and the filesystem below it must be sound."""

import hashlib
import os
import stat
import sys

import conform


def describe(path):
    st = os.lstat(path)
    text = f"{stat.filemode(st.st_mode)} {st.st_nlink} {st.st_uid} {st.st_gid}"
    if stat.S_ISREG(st.st_mode):
        with open(path, "rb") as file:
            digest = hashlib.file_digest if hasattr(hashlib, "file_digest") else None
            text += " " + (digest(file, "sha1") if digest
                           else hashlib.sha1(file.read())).hexdigest()
    elif stat.S_ISLNK(st.st_mode):
        text += " " + os.readlink(path)
    return text


def tree(top):
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = describe(path)
    return found


def main():
    options = conform.arguments(
        "fsstress", "of xfstests, built: make", conform.FILESYSTEMS,
        add=lambda parser: parser.add_argument("--operations", type=int, default=20_000,
                                               help="of each of 4 processes"))
    program = conform.need(options.checkout / "ltp" / "fsstress", "build the checkout first")

    def run_place(here, results):
        for seed in ("1", "2"):
            top = here.directory / f"seed{seed}"
            top.mkdir()
            status, output = conform.run([program, "-d", top, "-p", "4", "-s", seed, "-n",
                                          str(options.operations)], 1800)
            bad = status != 0
            if here.mounted and not bad:
                bad = tree(top) != tree(here.source / f"seed{seed}")
                output = "the mount and the source are different trees"
            results.add(here, f"seed {seed}", conform.HANG if status is None else
                        conform.FAIL if bad else conform.PASS, output if bad else "",
                        count=4 * options.operations if not bad else 1)

    sys.exit(conform.run_suite("fsstress", options, run_place, size=4 << 30))


if __name__ == "__main__":
    main()
