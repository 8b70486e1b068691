#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""fsx: random reads, writes, truncates, holes and maps of one file, checked byte by byte."""

import sys

import conform

# What each case leaves to do: -R and -W take mapped reads and writes out, -Z is O_DIRECT.
CASES = {
    "buffered and mapped": [],
    "buffered": ["-R", "-W"],
    "direct": ["-R", "-W", "-Z", "-r", "4096", "-w", "4096", "-t", "4096"],
    "large, syncing": ["-l", "16777216", "-o", "1048576", "-y"],
}


def main():
    options = conform.arguments(
        "fsx", "of xfstests, built: make",
        add=lambda parser: parser.add_argument("--operations", type=int, default=250_000,
                                               help="of each case; default 250000"))
    program = conform.need(options.checkout / "ltp" / "fsx", "build the checkout first")

    def run_place(here, results):
        for name, switches in CASES.items():
            if options.match not in name:
                continue
            operations = options.operations // (50 if "syncing" in name else 1)
            status, output = conform.run(
                [program, "-q", "-S", "1", "-N", str(operations), *switches,
                 here.directory / "f"], 3600)
            results.add(here, name, conform.HANG if status is None else
                        conform.FAIL if status else conform.PASS, output if status else "",
                        count=operations if status == 0 else 1)

    sys.exit(conform.run_suite("fsx", options, run_place))


if __name__ == "__main__":
    main()
