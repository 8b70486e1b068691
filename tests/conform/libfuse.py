#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libfuse's own test of system calls on a filesystem, test/test_syscalls.c."""

import re
import subprocess
import sys

import conform


def main():
    options = conform.arguments("libfuse", "of github.com/libfuse/libfuse")
    source = conform.need(options.checkout / "test" / "test_syscalls.c", "not a checkout?")

    def run_place(here, results):
        # Built elsewhere than on the mount, which must be empty; libfuse's own build would
        # write this header.
        program = here.source.parent / "test_syscalls"
        (here.source.parent / "fuse_config.h").write_text("#define HAVE_STATX 1\n")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-I", here.source.parent, "-w", "-o", program,
                        source], check=True)
        names = [here.directory]
        if here.mounted:
            names.append(f":{here.source}")
        status, output = conform.run([program, *names], 600)
        failed = re.findall(r"^(.*FAILED.*|.*ERROR.*)$", output, re.MULTILINE)
        results.add(here, "test_syscalls", conform.HANG if status is None else
                    conform.FAIL if status else conform.PASS,
                    "\n".join(failed) or output if status else "")

    sys.exit(conform.run_suite("libfuse", options, run_place))


if __name__ == "__main__":
    main()
