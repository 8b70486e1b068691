#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The commands of README.md and the manual pages, as a list for tests/package/in-tree.sh.

Prints lines of three words, separated by tabs: WHERE (file:line), WHAT and TEXT. WHAT is
  page    what follows is of this page
  begin   what follows is of a block of its own
  run     a command; TEXT is the line
  output  a line that the command before shows
  block   commands that belong together; TEXT has "\\n" for a newline
  fstab   a line of /etc/fstab
  table   a region table, and
  policy  a policy file, written like block
What is neither is told on standard error, and is an error: no example is passed over.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]

# Blocks that are not for a shell, or are run by another suite: by their first words.
ELSEWHERE = {
    "README.md": {
        "sudo tools/quickstart.sh": "suite quickstart",
        "const { open }": "node/test/examples.test.js",
        "meson setup build": "packaging/deb.sh builds it",
        "user.mmapfs ": "a table of the attributes: tests/api/check-docs.sh",
    },
    "libmmapfs.3.scd": {
        "#include <mmapfs.h>": "the synopsis: tests/api/check-header.sh",
        "#include <fcntl.h>": "tests/api/check-examples.sh",
    },
}


def blocks_of_markdown(lines):
    """(line number, lines) of what is indented by four, blank lines within included."""
    block, start = [], 0
    for number, line in enumerate(lines + ["end"], 1):
        if line.startswith("    "):
            block.append(line[4:])
            start = start or number
        elif block and not line.strip():
            block.append("")
        elif block:
            yield start, block
            block, start = [], 0


def blocks_of_scdoc(lines):
    """The same of what is between lines of three backquotes; there \\\\ is one backslash."""
    block = None
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            if block:
                yield block
            block = (number + 1, []) if block is None else None
        elif block is not None:
            block[1].append(line.replace("\\\\", "\\"))


COMMAND = re.compile(r"(sudo )?(mount|umount|mmapctl|getfattr|setfattr|find) ")


def session(block, number):
    """A block with prompts: commands, and what they show up to the next blank line."""
    shows = False
    for line in block:
        if line.startswith("# "):
            shows = True
            yield number, "run", line[2:]
        elif not line.strip():
            shows = False
        elif shows:
            yield number, "output", line
        elif COMMAND.match(line):
            yield number, "run", line
        else:
            sys.exit(f"line {number}: neither a command nor what one shows: {line}")
        number += 1


def is_fstab(block):
    return all(re.match(r"/\S+\s+/\S+\s+(fuse\.)?mmapfs\s", line) for line in block)


def classify(block, number):
    lines = [line for line in block if line.strip()]
    text = "\\n".join(block)
    if is_fstab(lines):
        return [(number, "fstab", line) for line in lines]
    if any(re.match(r"# (mount|mmapctl|getfattr) ", line) for line in lines):
        return session(block, number)
    if re.match(r"# name +source", lines[0]):
        return [(number, "table", text)]
    if any(re.match(r"\[.*\]$", line) for line in lines):
        return [(number, "policy", text)]
    if lines[0].startswith("cd "):
        return [(number, "block", text)]
    if all(COMMAND.match(line) for line in lines):
        return [(number + i, "run", line) for i, line in enumerate(block) if line.strip()]
    return None


def rows(path):
    lines = path.read_text().splitlines()
    blocks = blocks_of_scdoc if path.suffix == ".scd" else blocks_of_markdown
    elsewhere = ELSEWHERE.get(path.name, {})
    for number, block in blocks(lines):
        while block and not block[-1].strip():
            block.pop()
        # One block may end with commands after lines of another kind.
        if any(block[0].startswith(words) for words in elsewhere):
            block = block[1:] if block[0].startswith("meson setup") else []
            number += 1
        if not block:
            continue
        found = classify(block, number)
        if found is None:
            sys.exit(f"{path.name}:{number}: no test knows how to run this:\n"
                     + "\n".join(block))
        yield number, "begin", "block"
        yield from found


def main():
    for path in [TOP / "README.md"] + sorted((TOP / "docs" / "man").glob("*.scd")):
        print(path.name, "page", path.name, sep="\t")
        for number, what, text in rows(path):
            print(f"{path.name}:{number}", what, text, sep="\t")


main()
