# SPDX-License-Identifier: MIT
"""What the tests of region tables share: a large source, a table of windows over it."""

import os
import random

import pytest

from mmapfs import KIB, MIB

SIZE = 8 * MIB
# An offset of its own, one that is no multiple of anything, and one that overlaps the first.
AT, ODD, OVER = MIB + 4096, 3 * MIB + 17, MIB + 64 * KIB
LENGTH = 256 * KIB

TABLE = f"""
# name    source       offset      length
aligned   data/big     {AT}        {LENGTH}   write
odd       data/big     {ODD}       {LENGTH}   write   # 17 bytes into a page
over      data/big     {OVER}      256K       write
tail      data/big     7M          rest       write
whole     data/big     0           rest       write
readable  data/big     {AT}        64K        read
memory    anon         0           1M         write
"a name"  "data/a b"   0           -          read
"""

# Those that may be written, with their places.
WINDOWS = {"aligned": (AT, LENGTH), "odd": (ODD, LENGTH), "over": (OVER, LENGTH),
           "tail": (7 * MIB, MIB), "whole": (0, SIZE)}


@pytest.fixture
def big(source):
    """The source of nearly all rows: bytes that never repeat at a distance of pages."""
    (source / "data").mkdir()
    (source / "data" / "a b").write_bytes(b"blanks")
    path = source / "data" / "big"
    path.write_bytes(random.Random(5).randbytes(SIZE))
    return path


@pytest.fixture
def table(source, big):
    path = source / "table"
    path.write_text(TABLE)
    return path


@pytest.fixture
def mounted(table, mount, data_path):
    """The table mounted for everybody, with passthrough and without."""
    return mount(table, f"allow_other,data_path={data_path}")


def part(big, name, length=None):
    """What the window shows, by the source."""
    offset, full = WINDOWS[name]
    return read_at(big, offset, full if length is None else length)


def read_at(path, offset, length):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def write_at(path, offset, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.pwrite(fd, data, offset)
    finally:
        os.close(fd)
