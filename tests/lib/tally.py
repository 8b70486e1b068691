# SPDX-License-Identifier: MIT
"""Count test results for run.sh: meson's testlog.json, pytest's junit.xml, node's TAP and
one-line results of scripts, into one table; print what failed; print the closing line."""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree

CMOCKA = {key: re.compile(rf"^\[  {word}\s*\] (\d+) test\(s\)", re.MULTILINE)
          for key, word in (("passed", "PASSED"), ("failed", "FAILED"),
                            ("skipped", "SKIPPED"))}
SKIP = 77


def from_meson(path):
    """One row for each cmocka case that a program counted; one for a program that did not."""
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        output = entry.get("stdout", "") + entry.get("stderr", "")
        counts = {key: sum(map(int, pattern.findall(output)))
                  for key, pattern in CMOCKA.items()}
        result = entry["result"]
        if result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS"):
            # A crash has no count of its own, and is never nothing.
            counts["failed"] = max(counts["failed"], 1)
        elif result == "SKIP":
            counts["skipped"] = max(counts["skipped"], 1)
        elif not sum(counts.values()):
            counts["passed"] = 1
        yield entry["name"], counts, output if counts["failed"] else ""


def from_junit(path):
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        broken = [child for child in case if child.tag in ("failure", "error")]
        skipped = [child for child in case if child.tag == "skipped"]
        output = skipped[0].get("message", "") if skipped and not broken else ""
        counts = {"passed": int(not broken and not skipped), "failed": int(bool(broken)),
                  "skipped": int(bool(skipped) and not broken)}
        yield name, counts, output


def from_script(path):
    """NAME and EXIT STATUS in a line; the output is in NAME.log beside it."""
    for line in path.read_text().splitlines():
        name, status = line.rsplit(" ", 1)
        key = {0: "passed", SKIP: "skipped"}.get(int(status), "failed")
        yield name, {key: 1}, (path.parent / f"{name}.log").read_text(errors="replace")


TAP = {key: re.compile(rf"^# {word} (\d+)$", re.MULTILINE)
       for key, word in (("passed", "pass"), ("failed", "fail"), ("skipped", "skipped"),
                         ("cancelled", "cancelled"))}


def from_tap(path):
    """What node --test counts at its end; without that end, the suite is a failure."""
    text = path.read_text(errors="replace")
    counts = {key: sum(map(int, pattern.findall(text))) for key, pattern in TAP.items()}
    counts["failed"] += counts.pop("cancelled")
    if not sum(counts.values()):
        counts["failed"] = 1
    telling = r"\s*(not ok|error:|code:|stack:|at )" if counts["failed"] else r".* # SKIP"
    output = "\n".join(line for line in text.splitlines() if re.match(telling, line))
    yield path.stem, counts, output


READERS = {"tap.txt": from_tap, "testlog.json": from_meson, "junit.xml": from_junit, "scripts.txt": from_script}


def count(suite):
    """Sum of one suite's results directory; what failed and what was skipped is printed."""
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name, reader in READERS.items():
        if not (suite / name).exists():
            continue
        for case, counts, output in reader(suite / name):
            for key, value in counts.items():
                total[key] += value
            if counts.get("failed"):
                print(f"FAILED: {suite.name}: {case}")
                if output:
                    print("\n".join("    " + line for line in output.splitlines()[-60:]))
            elif counts.get("skipped"):
                why = "".join(f": {line}" for line in output.splitlines()[-1:])
                print(f"skipped: {suite.name}: {case}{why}")
    if (suite / "broken").exists():
        print(f"FAILED: {suite.name}: {(suite / 'broken').read_text().strip()}")
        total["failed"] += 1
    return total


def line_of(total):
    return "{passed} passed, {failed} failed, {skipped} skipped".format(**total)


def main():
    results = pathlib.Path(sys.argv[1])
    if len(sys.argv) > 2:
        print(f"   {line_of(count(results / sys.argv[2]))}")
        return 0
    # The suites have printed their own failures already; here they are only summed.
    quiet, sys.stdout = sys.stdout, open("/dev/null", "w")
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for suite in sorted(path for path in results.iterdir() if path.is_dir()):
        for key, value in count(suite).items():
            total[key] += value
    sys.stdout = quiet
    print(line_of(total))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
