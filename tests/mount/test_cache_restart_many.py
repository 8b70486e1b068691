# SPDX-License-Identifier: MIT
"""Warm restart of many small files: several threads read them in, and order, rate, budget and
cancel hold as for one."""

import contextlib
import os
import time

import pytest

import mmapfs
from mmapfs import KIB, MIB, PAGE
from test_cache_restart import came_back, place, restored, settled, snap, status

__all__ = ["place", "snap"]  # fixtures

COUNT, SIZE = 600, 64 * KIB


class Many:
    """Small files, all of them resident at the first unmount, and none after it."""

    def __init__(self, source, size=SIZE, large=0):
        self.pages = {}
        for number in range(COUNT):
            path = source / f"dir{number % 2}" / f"{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(number.to_bytes(8, "little") * (size // 8))
            self.pages[path] = set(range(mmapfs.pages(size)))
        if large:
            mmapfs.fill(source / "dir0" / "large", large)
            self.pages[source / "dir0" / "large"] = set(range(mmapfs.pages(large)))
        os.sync()

    def record(self, source, mount, snap):
        mounted = mount(source, f"snapshot={snap}")
        settled(mounted.point)
        with contextlib.ExitStack() as held:
            for path in self.pages:
                held.enter_context(mmapfs.hold(path))
            mounted.unmount()
        for path in self.pages:
            mmapfs.evict_by_hand(path)
        return self

    def resident(self, among=""):
        return sum(mmapfs.resident_by_hand(path) for path in self.pages if among in str(path))

    def is_back(self):
        return all(mmapfs.resident_by_hand(path) == len(pages)
                   for path, pages in self.pages.items())


def test_all_of_them_come_back(source, snap, mount):
    many = Many(source, PAGE, large=8 * MIB).record(source, mount, snap)
    mounted, now = restored(mount, source, f"snapshot={snap}")
    assert now["restore"] == "done"
    assert now["restore_files"] == str(COUNT + 1)
    assert now["restore_changed"] == now["restore_failed"] == "0"
    total = COUNT * PAGE + 8 * MIB
    assert now["restore_bytes"] == f"{total}/{total}"
    assert int(now["restore_read"]) <= total
    assert came_back(mounted, many)


def test_they_do_not_pass_the_rate_together(source, snap, mount):
    many = Many(source).record(source, mount, snap)
    begin = time.monotonic()
    _, now = restored(mount, source, f"snapshot={snap},snapshot_rate=16M")
    assert time.monotonic() - begin > 0.9 * int(now["restore_read"]) / (16 * MIB)
    assert int(now["restore_read"]) >= len(many.pages) * SIZE // 2


def test_together_they_take_no_more_than_the_budget_has_room_for(source, snap, mount):
    many = Many(source).record(source, mount, snap)
    _, now = restored(mount, source, f"snapshot={snap},budget=16M,snapshot_rate=0")
    assert many.resident() * PAGE <= 16 * MIB
    assert now["restore"] == "budget"
    # A look of the budget that comes meanwhile counts some of it twice until the next: then it
    # ends the earlier.
    assert 4 * MIB < int(now["restore_read"]) <= 16 * MIB


def test_the_hottest_come_first_until_it_is_cancelled(base, source, snap, mount):
    """The files of dir1 have a higher priority. Cancelled before all of them are read in, none
    of the others is."""
    (base / "rules").write_text("[dir1/*]\npriority = 90\n")
    many = Many(source)
    options = f"snapshot={snap},policy={base / 'rules'}"
    mounted = mount(source, options)
    settled(mounted.point)
    with contextlib.ExitStack() as held:
        for path in many.pages:
            held.enter_context(mmapfs.hold(path))
        mounted.unmount()
    for path in many.pages:
        mmapfs.evict_by_hand(path)
    mounted = mount(source, options + ",snapshot_rate=2M")

    def done():
        return int(status(mounted.point)["restore_bytes"].split("/")[0])

    mmapfs.wait_until(lambda: done() > MIB, what="the first files")
    mmapfs.setattr(mounted.point, "snapshot", "cancel")
    now = settled(mounted.point)
    assert now["restore"] == "cancelled"
    assert int(now["restore_files"]) < COUNT // 2, "too slow to tell"
    assert many.resident("dir0") == 0
    assert many.resident("dir1") > 0


@pytest.mark.parametrize("end", ["unmount", "kill"])
def test_the_end_does_not_wait_for_them(end, source, snap, mount):
    Many(source).record(source, mount, snap)
    before = snap.read_bytes()
    mounted = mount(source, f"snapshot={snap},snapshot_rate=1M")
    mmapfs.wait_until(lambda: status(mounted.point)["state"] == "restoring", what="a start")
    getattr(mounted, end)()
    assert snap.read_bytes() == before
