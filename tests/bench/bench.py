#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Everything that docs/bench.md shows, measured in one run; JSON lines.

It reports; it does not pass or fail. `page.py` makes the page from the lines."""

import argparse
import contextlib
import os
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "lib"), str(TOP / "tests" / "bench" / "lib")]

import mmapfs  # noqa: E402

import control  # noqa: E402
import data  # noqa: E402
import facts  # noqa: E402
import metadata  # noqa: E402
import others  # noqa: E402
import places  # noqa: E402
import requests  # noqa: E402
import rounds  # noqa: E402
import scale as growth  # noqa: E402

FULL = {"files": 20000, "create": 10000, "git": 4650, "untar": 6000, "data": 512 << 20,
        "resident": 1 << 30, "fio_ms": 500, "fio_rounds": 5, "heavy_rounds": 3,
        "round_trips": 5000, "inodes": (1000, 10000, 100000)}
QUICK = {"files": 1000, "create": 500, "git": 300, "untar": 300, "data": 64 << 20,
         "resident": 64 << 20, "fio_ms": 200, "fio_rounds": 1, "heavy_rounds": 1,
         "round_trips": 500, "inodes": (100, 1000, 10000)}
SKIP = 77


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", default="bench.jsonl", help="where the lines go")
    parser.add_argument("--only", action="append", metavar="TEXT",
                        help="workloads with TEXT at a word of `group: name`, may be repeated; "
                             "groups are data, metadata, control, requests, scale, script")
    parser.add_argument("--places", default="", metavar="NAME,...",
                        help="these filesystems; native always")
    parser.add_argument("--libfuse", metavar="DIRECTORY",
                        help="where passthrough_hp was built from libfuse >= 3.17")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    parser.add_argument("--million", action="store_true",
                        help="scale: up to 1,000,000 inodes; takes some minutes")
    parser.add_argument("--dir", default=os.environ.get("TMPDIR", "/var/tmp"))
    return parser.parse_args()


@contextlib.contextmanager
def mounted(work, source, options, files, report):
    only = [name for name in options.places.split(",") if name]
    running, missing = places.all_places(work, source, options.libfuse, files, only)
    for name, why in missing:
        report.write("missing", group="", work="", place=name, why=why)
        report.say(f"without {name}: {why}")
    try:
        yield running
    finally:
        for place in running:
            place.stop()


def wanted(options, group, name=""):
    """Of a group without a name: whether anything of it may be."""
    return not options.only or any(f" {text}" in f" {group}: {name}" or
                                   (not name and text.startswith(f"{group}:"))
                                   for text in options.only)


def measure(works, running, options, report):
    for one in works:
        if wanted(options, one.group, one.name):
            rounds.measure(one, running, options.rounds, report)


def comparisons(work, options, scale, report):
    """All that runs on every filesystem in turn."""
    source = work / "source"
    source.mkdir()
    mmapfs.fill(source / "data", scale["resident"])
    metadata.prepare(work, source, places.NAMES, scale)
    report.say("the trees are made")
    with mounted(work, source, options, scale["files"], report) as running:
        alike = [place for place in running if place.name != places.DAY]
        with mmapfs.hold(source / "data"):
            measure(data.works(scale), alike, options, report)
            nothing = control.nothing(work).start()
            try:
                measure(control.works(scale), [*alike, nothing], options, report)
            finally:
                nothing.stop()
        measure(metadata.works(work, scale), running, options, report)


def run(options, report):
    scale = QUICK if options.quick else FULL
    sizes = (*scale["inodes"], 1000000) if options.million else scale["inodes"]
    report.write("facts", quick=options.quick, files=scale, **facts.facts(options.dir))
    with mmapfs.directory() as work:
        alone = places.mmapfs_on(work)
        (work / "points").mkdir()
        if any(wanted(options, group) for group in ("data", "metadata", "control")):
            comparisons(work, options, scale, report)
        if wanted(options, "requests"):
            requests.report_requests(work, alone, report)
        if wanted(options, "scale"):
            growth.range_list(work, alone, report)
            growth.inodes(work, alone, sizes, report)
    for name, command in others.commands(options.quick, options.dir).items():
        if wanted(options, "script", name):
            others.run(name, command, report)


def main():
    options = arguments()
    if os.geteuid() != 0:
        print("mounting needs root", file=sys.stderr)
        return SKIP
    os.environ["TMPDIR"] = options.dir
    places.raise_descriptors()
    run(options, rounds.Report(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
