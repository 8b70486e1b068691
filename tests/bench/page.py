#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/bench.md and its pictures from the lines of bench.py.

Usage: page.py LINES... [--out docs/bench.md] [--limits docs/bench-limits.md]

Work that is in a later file too (bench.py --only) is taken from there, for all filesystems."""

import argparse
import json
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "bench" / "lib"))

import svg  # noqa: E402

OURS = "mmapfs"
DAY = "mmapfs-day"
NATIVE = "native"
NOTHING = "a FUSE getxattr that does nothing"

# (work, what, at least): ours against native, the best FUSE peer, passthrough_hp or nothing.
TARGETS = [
    ("sequential read, 1 MiB, psync, 1 job", NATIVE, 0.97),
    ("sequential write, 1 MiB, psync, 1 job", NATIVE, 0.97),
    ("sequential read, 1 MiB, mmap, 1 job", NATIVE, 0.97),
    ("random read, 4 KiB, mmap, 1 job", NATIVE, 0.97),
    ("random write, 4 KiB, mmap, 1 job", NATIVE, 0.97),
    ("random write, 4 KiB, psync, 1 job", NATIVE, 0.90),
    ("random read, 4 KiB, psync, 1 job", NATIVE, 0.75),
    ("random write, 4 KiB, psync, 1 job", "passthrough_hp", 5),
    ("open, read 4 KiB, close", "best", 1.3),
    ("find, cold", "best", 1.2), ("find, again at once", "best", 1.2),
    ("stat, after a listing", "best", 1.2), ("stat, cold", "best", 1.2),
    ("create + close + unlink", "best", 1.2),
    ("git status", "best", 1.2), ("untar", "best", 1.2),
    ("getxattr of resident, warm file", NOTHING, 1 / 1.5),
]


class Lines:
    def __init__(self, paths):
        self.all = []
        self.again = []  # (what, facts) of the later files
        for path in paths:
            self._add([json.loads(line) for line in path.read_text().splitlines()])

    def _add(self, lines):
        def work_of(row):
            return row.get("group"), row.get("work")

        facts, *rows = lines
        if self.all:
            what = {group if group != "script" else work for group, work in map(work_of, rows)}
            self.again.append((sorted(what), facts))
        else:
            self.facts = facts
        fresh = set(map(work_of, rows))
        place = {}
        for row in [*self.all, *rows]:
            place.setdefault(work_of(row), len(place))
        self.all = sorted([row for row in self.all if work_of(row) not in fresh] + rows,
                          key=lambda row: place[work_of(row)])

    def kind(self, kind):
        return [line for line in self.all if line["kind"] == kind]

    def works(self, group):
        """{work: {place: row}}, in the order in which they were measured."""
        found = {}
        for row in self.all:
            if row["kind"] in ("result", "missing") and row.get("group") == group:
                found.setdefault(row["work"], {})[row["place"]] = row
        return found


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def per_one(row):
    """What is shown of a row: microseconds for one, milliseconds, or a rate."""
    if row["kind"] == "missing":
        return "-"
    value = row["median"]
    if row["unit"] != "s":
        return f"{value:,.0f}"
    if row.get("count"):
        return f"{value * 1e6 / row['count']:.1f}"
    return f"{value * 1e3:.1f} ms"


def speed(row):
    """Of one operation: trees may differ in size, see places.Place.hungry."""
    return row["median"] if row["unit"] != "s" else (row["count"] or 1) / row["median"]


def ratio(ours, theirs):
    return speed(ours) / speed(theirs)


def peers(rows):
    """Other FUSE filesystems, the fastest first."""
    found = [row for name, row in rows.items() if row["kind"] == "result" and
             name not in (OURS, DAY, NATIVE, NOTHING)]
    return sorted(found, key=speed, reverse=True)


def spread(row):
    return (row["most"] - row["least"]) / row["median"]


def comparison(lines, group):
    works = lines.works(group)
    names = []
    for rows in works.values():
        names += [name for name in rows if name not in names]
    out = []
    for work, rows in works.items():
        best = peers(rows)
        ours, native = rows.get(OURS), rows.get(NATIVE)
        can = ours and ours["kind"] == "result"
        out.append([work, *(per_one(rows[name]) if name in rows else "" for name in names),
                    f"{ratio(ours, native):.2f}"
                    if can and native and native["kind"] == "result" else "",
                    f"{ratio(ours, best[0]):.2f} ({best[0]['place']})" if can and best else "",
                    f"{spread(ours) * 100:.0f} %" if can else ""])
    return table(["", *names, "speed, of native", "of the best peer", "spread"], out)


def missing(lines):
    rows = [(row["place"], row["work"] or "all", row["why"].replace("|", "/")[:160])
            for row in lines.kind("missing")]
    if not rows:
        return []
    return ["What could not be measured, and why:", "",
            *table(["what", "where", "why"], rows)]


def kept_for_a_day(rows, theirs):
    ours = rows.get(DAY)
    return f"{ratio(ours, theirs):.2f}" if ours and ours["kind"] == "result" else ""


def target_rows(lines):
    works = {work: rows for group in ("data", "metadata", "control")
             for work, rows in lines.works(group).items()}
    for work, against, least in TARGETS:
        rows = works.get(work, {})
        ours = rows.get(OURS)
        theirs = (peers(rows) or [None])[0] if against == "best" else rows.get(against)
        if not ours or not theirs or "missing" in (ours["kind"], theirs["kind"]):
            yield [work, against, f"{least:.2f}", "not measured", "", ""]
            continue
        found = ratio(ours, theirs)
        name = f"the best peer, {theirs['place']}" if against == "best" else against
        yield [work, name, f"{least:.2f}", f"{found:.2f}",
               "reached" if found >= least else "**not reached**",
               kept_for_a_day(rows, theirs)]
    for curve in lines.kind("scale"):
        if curve["work"] == "memory":
            size, value = curve["points"][-1]
            each = value / size
            yield [f"memory of an idle inode, of {size:,}", "", "at most 300 bytes",
                   f"{each:.0f} bytes", "reached" if each <= 300 else "**not reached**", ""]


def requests(lines):
    rows = []
    for line in lines.kind("requests"):
        each = {name: number for name, number in line["each"].items() if number >= 0.005}
        rows.append([line["work"], f"{sum(each.values()):.2f}",
                     ", ".join(f"{name} {number:g}" for name, number in
                               sorted(each.items(), key=lambda pair: -pair[1]))])
    return table(["for one file", "requests", "which"], rows)


PICTURES = {
    "inodes": ("time.svg", "Seconds for a tree", "inodes",
               ("find, first", "find, again", "stat, after a listing", "tree statistics")),
    "memory": ("memory.svg", "Bytes of the daemon", "inodes", ("memory",)),
    "bytes": ("ranges.svg", "Seconds for the range list", "bytes of a sparse file",
              ("range list of a sparse file",)),
}


def pictures(lines, directory):
    found = {line["work"]: line["points"] for line in lines.kind("scale")}
    directory.mkdir(exist_ok=True)
    out = []
    for name, title, x_name, works in PICTURES.values():
        named = [(work, [(x, y) for x, y in found[work] if y > 0])
                 for work in works if work in found]
        named = [(work, points) for work, points in named if points]
        if named:
            (directory / name).write_text(svg.curves(title, x_name, named))
            out.append(f"![{title}]({directory.name}/{name})")
    return [*out, ""]


def scale(lines):
    rows = []
    for line in lines.kind("scale"):
        points = ", ".join(f"{svg.label(x)}: {y:.3g}" for x, y in line["points"])
        rows.append([line["work"], line["unit"], points,
                     "flat" if line["exponent"] is None else line["exponent"]])
    return table(["", "unit", "at each size", "exponent"], rows)


def flat(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {flat(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def scripts(lines, name):
    """The lines of one of the programs: equal keys are one table."""
    rows = [line["line"] for line in lines.kind("script") if line["work"] == name]
    if not rows:
        return ["Not measured in this run.", ""]
    rows = [{key: value for key, value in row.items() if key not in ("control", "bench")}
            for row in rows]
    if len(rows) == 1:
        return table(["", ""], [(key, flat(value)) for key, value in rows[0].items()])
    keys = []
    for row in rows:
        keys += [key for key in row if key not in keys]
    return table(keys, [[flat(row.get(key, "")) for key in keys] for row in rows])


def head(lines):
    facts = lines.facts
    versions = {row["place"]: row["version"] for row in lines.kind("result")
                if row.get("version")}
    return ["# How fast", "",
            "Written by `tests/bench/page.py` from what `tests/bench/run.sh` measured; do not edit.",
            "Medians; all filesystems in turn in each round, on the same source: what is compared was",
            "measured in one run. A ratio above 1",
            "means that mmapfs is faster. Spread is (most - least) / median of mmapfs's own rounds:",
            "a difference below it means nothing.", "",
            *(["**A quick run on small trees: to see that it works, not to be quoted.**", ""]
              if facts["quick"] else []),
            "A filesystem that keeps a descriptor for each inode gets a tree of half the size where",
            "the limit of descriptors asks for it, and is mounted anew for each work.", "",
            f"{DAY} is mmapfs with attr_timeout, entry_timeout and negative_timeout of 86400: all is",
            "kept as long as passthrough_hp and fuse-overlayfs keep it, for sources that nobody",
            "changes behind the mount. By default it is a second, and missing names not at all.", "",
            *table(["machine", ""], [
                ("when", facts["date"]),
                *((f"when: {', '.join(what)}", f"{again['date']}, load before "
                   f"{again['load_before']:.2f}") for what, again in lines.again),
                ("system", f"{facts['system']}, Linux {facts['kernel']}"),
                ("processor", f"{facts['processors']} x {facts['processor']}" +
                 (", a virtual machine" if facts["virtual"] else "")),
                ("memory", f"{facts['memory_gib']} GiB"),
                ("source on", facts["filesystem"]),
                ("load before", f"{facts['load_before']:.2f}"),
                *versions.items()])]


def page(lines, out, limits):
    text = head(lines)
    text += ["## What was to be reached", "",
             *table(["work", "against", "at least", "is", "", DAY], target_rows(lines))]
    if limits.is_file():
        text += [limits.read_text().strip(), ""]
    text += ["## Data", "", "fio on a warm file, operations per second.", "",
             *comparison(lines, "data")]
    text += ["## Names and attributes", "", "Microseconds for one file.", "",
             *comparison(lines, "metadata")]
    text += ["## Control attributes", "", "Microseconds for one question, or one file of a tree.",
             "", *comparison(lines, "control")]
    text += ["## Requests", "",
             "By the daemon's own counters, with names and attributes kept for a minute.", "",
             *requests(lines)]
    text += ["## Growth", "", "The exponent is b of cost = a * size^b, by least squares in",
             "logarithms: 1 is linear, 0 flat.", "", *pictures(lines, out.with_suffix("")),
             *scale(lines)]
    for name, title in (("residency", "Counting tools"), ("restore", "Restore of a snapshot"),
                        ("restart", "Warm restart"), ("budget", "Budget"),
                        ("node", "Node.js, microseconds")):
        text += [f"## {title}", "", *scripts(lines, name)]
    return "\n".join([*text, *missing(lines)]).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("lines", type=pathlib.Path, nargs="+")
    parser.add_argument("--out", type=pathlib.Path, default=TOP / "docs" / "bench.md")
    parser.add_argument("--limits", type=pathlib.Path, default=TOP / "docs" / "bench-limits.md")
    options = parser.parse_args()
    options.out.write_text(page(Lines(options.lines), options.out, options.limits))


if __name__ == "__main__":
    main()
