# SPDX-License-Identifier: MIT
"""The manual pages against what they are about, both ways: nothing that is there is missing,
and nothing is described that is not there."""

import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1])
PAGES = TOP / "docs" / "man"

# Words of the kernel and of libfuse, which mmapfs(8) may mention.
OF_THE_KERNEL = set("ro rw nosuid suid nodev dev noexec exec noatime allow_other".split())

wrong = []


def page(name):
    return (PAGES / (name + ".scd")).read_text()


def section(text, title):
    """From that heading to the next of the same depth."""
    depth = title.split()[0]
    found = re.search(rf"^{re.escape(title)}$(.*?)(?=^#{{1,{len(depth)}}} |\Z)", text,
                      re.MULTILINE | re.DOTALL)
    if not found:
        wrong.append(f"there is no section '{title}'")
        return ""
    return found.group(1)


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def compare(where, there, described):
    wrong.extend(f"{where}: {name} is not described" for name in sorted(there - described))
    wrong.extend(f"{where}: {name} is described, but does not exist"
                 for name in sorted(described - there))


def bold(text, pattern):
    """Words in bold at the beginning of an entry, alone or in a list with commas."""
    found = set()
    for line in re.findall(r"^\t*(\*[-a-z_].*)$", text, re.MULTILINE):
        found |= set(re.findall(rf"\*({pattern})\*", line))
    return found


def check_mount_options():
    text = section_of_help(output(BUILD / "fs" / "mmapfs", "--help"), "Options:")
    there = set(re.findall(r"^  (?:-o )?(-?-?[a-zA-Z_]+)(?:[= ]|$)", text, re.MULTILINE))
    options = section(page("mmapfs.8"), "# OPTIONS")
    described = bold(options, r"-?-?[a-zA-Z_]+") - {"auto", "passthrough", "mapped", "off"}
    compare("mmapfs(8)", there - {"-o", "others"} - OF_THE_KERNEL,
            described - OF_THE_KERNEL - {"-o", "--help", "--version"})
    for option in ("--help", "--version"):
        output(BUILD / "fs" / "mmapfs", option)


def check_verbs():
    text = output(BUILD / "tools" / "mmapctl", "--help")
    verbs = re.findall(r"^  ([a-z]+)  ", section_of_help(text, "Verbs:"), re.MULTILINE)
    manual = page("mmapctl.1")
    described = re.findall(r"^## ([a-z]+)$", section(manual, "# VERBS"), re.MULTILINE)
    compare("mmapctl(1)", set(verbs), set(described))
    shared = bold(manual[manual.index("# OPTIONS: WHICH FILES"):manual.index("# OUTPUT")],
                  r"--[a-z-]+")
    seen = set()
    for verb in verbs:
        seen |= check_verb(verb, section(manual, "## " + verb), shared)
    compare("mmapctl(1), options of several verbs", shared & seen, shared)


def section_of_help(text, title):
    return text[text.index(title) + len(title):].split("\n\n")[0]


def check_verb(verb, text, shared):
    """A verb describes the options that are its own; the others are described for all."""
    help_text = output(BUILD / "tools" / "mmapctl", verb, "--help")
    there = set(re.findall(r"^ +(?:-\w, +)?(--[a-z-]+)", help_text, re.MULTILINE))
    own = bold(text, r"--[a-z-]+")
    wrong.extend(f"mmapctl(1), {verb}: {name} is not described"
                 for name in sorted(there - own - shared))
    wrong.extend(f"mmapctl(1), {verb}: {name} is described, but does not exist"
                 for name in sorted(own - there))
    return there


def check_attributes():
    rows = (TOP / "fs" / "ctl.c").read_text()
    there = set(re.findall(r'\{ \.name = "([a-z]*)"', rows))
    text = page("mmapfs-attributes.7")
    described = set(re.findall(r"^\*user\.mmapfs\.?([a-z]*)\*", text, re.MULTILINE))
    for line in re.findall(r"^\*user\.mmapfs\..*", text, re.MULTILINE):
        described |= set(re.findall(r"\*user\.mmapfs\.([a-z]+)\*", line))
    compare("mmapfs-attributes(7), user.mmapfs.", there, described)
    metrics = re.findall(r'\.name = "(mmapfs_\w+)"', (TOP / "fs" / "metrics.c").read_text())
    compare("mmapfs-attributes(7)", set(metrics),
            set(re.findall(r"\*(mmapfs_\w+)\*", text)))


def check_functions():
    exported = set(re.findall(r"^\t(mmapfs_\w+);$", (TOP / "core" / "mmapfs.sym").read_text(),
                              re.MULTILINE))
    described = set(re.findall(r"\*(mmapfs_\w+)\*\(", page("libmmapfs.3")))
    compare("libmmapfs(3)", exported, described)


def check_features():
    """What can be switched off."""
    features = set(re.findall(r'\[MMAPFS_FEATURE_\w+\] = \{ "([a-z-]+)"',
                              (TOP / "core" / "probe.c").read_text()))
    environment = section(page("libmmapfs.3"), "# ENVIRONMENT")
    compare("libmmapfs(3), MMAPFS_DISABLE", features,
            set(re.findall(r"\*([a-z-]+)\*", environment)))
    table = (TOP / "docs" / "kernel.md").read_text()
    table = table[table.index("## The library"):table.index("Some filesystems")]
    compare("docs/kernel.md", features, set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)))


check_mount_options()
check_verbs()
check_attributes()
check_functions()
check_features()
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
