#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""pjdfstest: POSIX semantics of names, modes, owners and times, 8,800 assertions."""

import re
import sys

import conform


def run_file(test, here, results, base):
    """One .t file prints TAP: a line for each assertion."""
    name = str(test.relative_to(base))
    status, output = conform.run(["sh", test], 300, cwd=here.directory)
    failed = re.findall(r"^not ok (\d+)(?!.*# TODO)", output, re.MULTILINE)
    passed = len(re.findall(r"^ok \d+|^not ok .*# TODO", output, re.MULTILINE))
    if status is None:
        results.add(here, name, conform.HANG)
        return
    if passed:
        results.add(here, name, conform.PASS, count=passed)
    if failed:
        results.add(here, name, conform.FAIL, ", ".join(failed), count=len(failed))
    if not passed and not failed:
        skipped = "1..0" in output
        results.add(here, name, conform.SKIP if skipped else conform.FAIL, output)


def main():
    options = conform.arguments("pjdfstest", "of github.com/pjd/pjdfstest, built: autoreconf "
                                "-ifs && ./configure && make pjdfstest", conform.FILESYSTEMS)
    conform.need(options.checkout / "pjdfstest", "build the checkout first")
    base = options.checkout / "tests"
    tests = sorted(t for t in base.glob("*/*.t") if options.match in str(t))

    def run_place(here, results):
        here.directory.chmod(0o755)
        for test in tests:
            run_file(test, here, results, base)

    sys.exit(conform.run_suite("pjdfstest", options, run_place))


if __name__ == "__main__":
    main()
