# SPDX-License-Identifier: MIT
"""A budget over a region table: pages count once however many windows show them, are kept when
any window has them locked, written or open; memory is told and left alone."""

import os
import random
import time

import pytest

import mmapfs
from mmapfs import KIB, MIB, PAGE, wait_until
from region_table import read_at, write_at

SIZE, LIMIT = 96 * MIB, 32 * MIB
AT = MIB + 4096

# Of the pages of `over` the first half also belong to `aligned`; `inner` has none of its own.
TABLE = f"""
aligned  big   {AT}             16M   write
over     big   {AT + 8 * MIB}   16M   write
inner    big   {AT + 4 * MIB}   2M    write
odd      big   {40 * MIB + 17}  24M   write
tail     big   64M              rest  write
memory   anon  0                48M   write
"""


@pytest.fixture
def big(source):
    path = source / "big"
    path.write_bytes(random.Random(7).randbytes(MIB) * (SIZE // MIB))
    mmapfs.evict_by_hand(path)
    return path


@pytest.fixture
def mounted(source, big, mount):
    (source / "table").write_text(TABLE)
    return mount(source / "table", f"budget={LIMIT}")


def read(path):
    """All of it, through read(2)."""
    with open(path, "rb", buffering=0) as file:
        while file.read(MIB):
            pass


def used(mounted):
    """What the budget counts, once it has looked anew at what is open."""
    looks = mmapfs.budget(mounted.point)["looks"]
    wait_until(lambda: mmapfs.budget(mounted.point)["looks"] > looks + 1, what="two looks")
    return mmapfs.budget(mounted.point)["used"]


def resident(big, offset, length):
    with mmapfs.mapped(big, length=length, offset=offset) as mapping:
        return mapping.resident() * PAGE


def resident_of_windows(big):
    """Bytes of pages that some window shows."""
    return resident(big, AT, 24 * MIB) + resident(big, 40 * MIB, 56 * MIB)


def fits(mounted):
    wait_until(lambda: 0 < mmapfs.budget(mounted.point)["used"] <= LIMIT, what="the budget")


def test_a_page_in_several_windows_counts_once(mounted, big):
    names = ("aligned", "over", "inner")
    with mmapfs.hold(big, length=24 * MIB, offset=AT):
        fds = [os.open(mounted / name, os.O_RDONLY) for name in names]
        try:
            wait_until(lambda: used(mounted) == 24 * MIB, what="the sum")
        finally:
            for fd in fds:
                os.close(fd)


@pytest.mark.parametrize("name", ["inner", "over", "odd"])
def test_what_one_open_window_shows_is_seen_at_once(mounted, big, name):
    """Also where the pages count with another window, which nobody has open."""
    offset, length = {"inner": (AT + 4 * MIB, 2 * MIB), "over": (AT + 8 * MIB, 16 * MIB),
                      "odd": (40 * MIB, 24 * MIB + PAGE)}[name]
    fd = os.open(mounted / name, os.O_RDONLY)
    try:
        wait_until(lambda: mmapfs.budget(mounted.point)["files"], what="the open")
        full = mmapfs.budget(mounted.point)["full_looks"]
        with mmapfs.hold(big, length=length, offset=offset, readahead=False):
            wait_until(lambda: used(mounted) >= length, what="the sum")
            assert used(mounted) <= length + MIB
            assert mmapfs.budget(mounted.point)["full_looks"] <= full + 3
    finally:
        os.close(fd)


def test_what_is_read_through_windows_stays_under_it(mounted, big):
    for _ in range(2):
        for name in ("aligned", "over", "inner", "odd", "tail"):
            read(mounted / name)
    fits(mounted)
    wait_until(lambda: resident_of_windows(big) <= LIMIT, what="what is resident")
    assert mmapfs.budget(mounted.point)["evicted"] >= 40 * MIB


def test_what_any_window_has_locked_stays(mounted, big):
    """`inner` locks pages that count with `aligned`."""
    mmapfs.setattr(mounted / "inner", "lock", "on")
    for _ in range(3):
        for name in ("odd", "tail", "aligned", "over"):
            read(mounted / name)
    fits(mounted)
    assert resident(big, AT + 4 * MIB, 2 * MIB) == 2 * MIB
    fields = mmapfs.budget(mounted.point)
    assert fields["locked"] == 2 * MIB
    assert fields["evicted"]


@pytest.mark.slow
def test_what_is_written_through_windows_is_not_lost(mounted, big):
    rng, model = random.Random(3), bytearray(big.read_bytes())
    places = {"aligned": (AT, 16 * MIB), "over": (AT + 8 * MIB, 16 * MIB),
              "inner": (AT + 4 * MIB, 2 * MIB), "odd": (40 * MIB + 17, 24 * MIB),
              "tail": (64 * MIB, 32 * MIB)}
    for turn in range(150):
        name = rng.choice(list(places))
        base, length = places[name]
        at, data = rng.randrange(length - 256 * KIB), rng.randbytes(rng.randint(1, 256 * KIB))
        assert write_at(mounted / name, at, data) == len(data)
        model[base + at:base + at + len(data)] = data
        if turn % 30 == 0:
            read(mounted / "tail")
    for name, (base, length) in places.items():
        assert read_at(mounted / name, 0, length) == model[base:base + length], name
    fits(mounted)
    assert mmapfs.budget(mounted.point)["evicted"]
    mounted.unmount()
    mmapfs.evict_by_hand(big)
    assert big.read_bytes() == model


def test_memory_is_told_and_not_asked_for_again_and_again(mounted, big):
    data = random.Random(9).randbytes(MIB)
    with open(mounted / "memory", "r+b", buffering=0) as file:
        for _ in range(48):
            file.write(data)
        # More than the limit, and nothing of it can go.
        wait_until(lambda: mmapfs.budget(mounted.point)["fixed"] == 48 * MIB, what="a look")
        before = mmapfs.budget(mounted.point)
        time.sleep(2)
        after = mmapfs.budget(mounted.point)
        assert after["looks"] - before["looks"] < 40
        assert after["evicted"] == before["evicted"] == after["refused"] == 0
        # What can go does, and the memory is what it was.
        read(mounted / "odd")
        wait_until(lambda: resident_of_windows(big) < 4 * MIB, what="what can go")
        file.seek(0)
        assert all(file.read(MIB) == data for _ in range(48))
        file.truncate(0)
    wait_until(lambda: mmapfs.budget(mounted.point)["fixed"] == 0, what="the memory given back")


def test_a_window_that_its_source_no_longer_reaches_counts_nothing(mounted, big):
    read(mounted / "odd")
    os.truncate(big, 8 * MIB)
    with open(mounted / "odd", "rb"), open(mounted / "aligned", "rb"):
        wait_until(lambda: used(mounted) <= 8 * MIB, what="the shorter source")
