#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/conformance.md from the results of the suites: table.py RESULTS.jsonl... > FILE

For each suite the counts on the native filesystem and on each data path, then every case that
a mount does not pass although the native filesystem does, with its reason from reasons.txt. A
case without a reason there is printed as unexplained, and the exit code is 1."""

import collections
import json
import pathlib
import platform
import sys

PATHS = ("native", "passthrough", "mapped")
ORDER = ("pass", "fail", "skip", "hang")
REASONS = pathlib.Path(__file__).with_name("reasons.txt")

HEAD = """# Conformance

What the conformance suites say of a mount, beside what they say of the filesystem below it.
Made by `tests/conform/table.py` from the results that the programs in `tests/conform` wrote;
Linux {kernel}, {machine}. How to run them: see docs/testing.md.

A number in brackets was skipped by the suite itself, because the filesystem does not offer
what the case is about.
"""


def read(files):
    """{(suite, fs): {path: {case: (results, detail)}}}; the newest result of a case counts."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for name in files:
        latest = {}
        for line in pathlib.Path(name).read_text().splitlines():
            row = json.loads(line)
            latest.setdefault((row["suite"], row["fs"], row["path"], row["case"]),
                              {})[row["result"]] = row
        for (suite, fstype, path, case), rows in latest.items():
            found[suite, fstype][path][case] = rows
    return found


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


def differences(suite, paths, known):
    """Rows of what only mounts fail, or skip while native passes: (case, paths, reason)."""
    native = paths.get("native", {})
    for case in sorted({case for path in PATHS[1:] for case in paths.get(path, {})}):
        bad = [path for path in PATHS[1:] if is_bad(paths.get(path, {}).get(case, {}))]
        if bad and not is_bad(native.get(case, {})):
            yield case, bad, known.get((suite, case), "**unexplained**")


def main():
    found = read(sys.argv[1:])
    known = reasons()
    unexplained = 0
    print(HEAD.format(kernel=platform.release().split("-")[0], machine=platform.machine()))
    print("| suite | source on | native | passthrough | mapped |\n|---|---|---|---|---|")
    for (suite, fstype), paths in sorted(found.items()):
        cells = [cell(paths[path]) if path in paths else "not run" for path in PATHS]
        print(f"| {suite} | {fstype} | " + " | ".join(cells) + " |")
    print("\n## What only a mount fails\n\n| suite | case | on | path | reason |\n"
          "|---|---|---|---|---|")
    for (suite, fstype), paths in sorted(found.items()):
        for case, bad, reason in differences(suite, paths, known):
            unexplained += reason == "**unexplained**"
            print(f"| {suite} | {case} | {fstype} | {', '.join(bad)} | {reason} |")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
