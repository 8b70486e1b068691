#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""pjdfstest: POSIX semantics of names, modes, owners and times, 8,800 assertions."""

import concurrent.futures
import re
import sys

import conform


def run_file(test, here, base):
    """One .t file prints TAP: a line for each assertion. Arguments of Results.add()."""
    name = str(test.relative_to(base))
    status, output = conform.run(["sh", test], 300, cwd=here.directory)
    failed = re.findall(r"^not ok (\d+)(?!.*# TODO)", output, re.MULTILINE)
    passed = len(re.findall(r"^ok \d+|^not ok .*# TODO", output, re.MULTILINE))
    if status is None:
        yield name, conform.HANG
        return
    if passed:
        yield name, conform.PASS, "", passed
    if failed:
        yield name, conform.FAIL, ", ".join(failed), len(failed)
    if not passed and not failed:
        skipped = "1..0" in output
        yield name, conform.SKIP if skipped else conform.FAIL, output


def main():
    options = conform.arguments(
        "pjdfstest", "of github.com/pjd/pjdfstest, built: autoreconf -ifs && ./configure && "
        "make pjdfstest", conform.FILESYSTEMS, add=lambda parser: parser.add_argument(
            "--jobs", type=int, default=1, help="files at once; default 1"))
    conform.need(options.checkout / "pjdfstest", "build the checkout first")
    base = options.checkout / "tests"
    tests = sorted(t for t in base.glob("*/*.t") if options.match in str(t))

    def run_place(here, results):
        here.directory.chmod(0o755)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for rows in pool.map(lambda test: list(run_file(test, here, base)), tests):
                for row in rows:
                    results.add(here, *row)

    sys.exit(conform.run_suite("pjdfstest", options, run_place))


if __name__ == "__main__":
    main()
