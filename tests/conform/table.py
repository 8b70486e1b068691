#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/conformance.md from the results of the suites: table.py [--note TEXT]... RESULTS.jsonl... > FILE

For each suite the counts on the native filesystem and on each data path, then every case that
a mount does not pass although the native filesystem does, with its reason from reasons.txt. A
case without a reason there is printed as unexplained, and the exit code is 1. Runs with
sanitizers have rows of their own: of those, the native results are the plain run's. A note says
what the counts cannot, such as that a run was ended early."""

import argparse
import collections
import json
import pathlib
import platform
import sys

PATHS = ("native", "passthrough", "mapped")
PASS, FAIL = "pass", "fail"
UNEXPLAINED = "**unexplained**"
REASONS = pathlib.Path(__file__).with_name("reasons.txt")

HEAD = """# Conformance

What the conformance suites say of a mount, beside what they say of the filesystem below it.
Made by `tests/conform/table.py` from the results that the programs in `tests/conform` wrote;
Linux {kernel}, {machine}. How to run them: see docs/testing.md.

A number in brackets was skipped by the suite itself, because the filesystem does not offer
what the case is about. The daemons `asan` and `tsan` were built with
`-Db_sanitize=address,undefined` and `-Db_sanitize=thread`. What a sanitizer says, any other alarm
in the daemon's log, and a descriptor, mapping or backing id that is left open, fail as the case
"at the end".

The suites: {versions}.
"""


def rows_of(files):
    for name in files:
        for line in pathlib.Path(name).read_text().splitlines():
            yield json.loads(line)


def read(rows):
    """{(suite, build, filesystem): {path: {case: {result: row}}}}; the newest run of a case
    counts. In one run a case may have two results: what passed of it, then what failed."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    last = None
    for row in rows:
        build = row.get("build", "plain")
        here = (row["suite"], build, row["fs"]), row["path"], row["case"], row["result"]
        cases = found[here[0]][here[1]]
        if here[:3] + (PASS,) != last or row["result"] != FAIL:
            cases[row["case"]] = {}
        cases[row["case"]][row["result"]] = row
        last = here
    return found


def versions(rows):
    found = {(row["suite"], row["version"]) for row in rows if "version" in row}
    return ", ".join(f"{suite} {version}" for suite, version in sorted(found))


def cell(cases):
    counts = collections.Counter()
    for rows in cases.values():
        for result, row in rows.items():
            counts[result] += row["count"]
    bad = ", ".join(f"{counts[word]} {word}" for word in ("fail", "hang") if counts[word])
    text = f"{counts['pass']} pass" + (f", {bad}" if bad else "")
    return text + (f" ({counts['skip']})" if counts["skip"] else "")


def is_bad(rows):
    return "fail" in rows or "hang" in rows


def reasons():
    """{(suite, case): reason}, of lines "suite case: reason"."""
    known = {}
    for line in REASONS.read_text().splitlines():
        if line and not line.startswith("#"):
            head, reason = line.split(": ", 1)
            suite, case = head.split(" ", 1)
            known[suite, case] = reason
    return known


def differences(suite, paths, native, known):
    """Rows of what mounts fail and native does not: (case, paths, reason)."""
    for case in sorted({case for path in PATHS[1:] for case in paths.get(path, {})}):
        bad = [path for path in PATHS[1:] if is_bad(paths.get(path, {}).get(case, {}))]
        if bad and not is_bad(native.get(case, {})):
            yield case, bad, known.get((suite, case), UNEXPLAINED)


def print_counts(found):
    print("| suite | daemon | source on | native | passthrough | mapped |\n"
          "|---|---|---|---|---|---|")
    for (suite, build, fstype), paths in sorted(found.items()):
        cells = [cell(paths[path]) if path in paths else "not run" for path in PATHS]
        if build != "plain":
            cells[0] = ""
        print(f"| {suite} | {build} | {fstype} | " + " | ".join(cells) + " |")


def print_differences(found):
    """Returns how many have no reason."""
    known = reasons()
    unexplained = 0
    print("\n## What only a mount fails\n\n| suite | daemon | case | on | path | reason |\n"
          "|---|---|---|---|---|---|")
    for (suite, build, fstype), paths in sorted(found.items()):
        native = found.get((suite, "plain", fstype), {}).get("native", {})
        for case, bad, reason in differences(suite, paths, native, known):
            unexplained += reason == UNEXPLAINED
            print(f"| {suite} | {build} | {case} | {fstype} | {', '.join(bad)} | {reason} |")
    return unexplained


def main():
    parser = argparse.ArgumentParser(description="docs/conformance.md from results.")
    parser.add_argument("results", nargs="+")
    parser.add_argument("--note", action="append", default=[], help="a line below the counts")
    options = parser.parse_args()
    rows = list(rows_of(options.results))
    found = read(rows)
    print(HEAD.format(kernel=platform.release().split("-")[0], machine=platform.machine(),
                      versions=versions(rows)))
    print_counts(found)
    for note in options.note:
        print(f"\n{note}")
    sys.exit(1 if print_differences(found) else 0)


if __name__ == "__main__":
    main()
