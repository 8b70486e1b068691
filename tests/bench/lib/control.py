# SPDX-License-Identifier: MIT
"""Control attributes: one round trip, beside one that does nothing; sums over a tree."""

import os

import mmapfs
from metadata import meta, timed
from places import Mounted
from rounds import Work

RESIDENT = "getxattr:user.mmapfs.resident"
ONLY_US = ("mmapfs",)


def nothing(work):
    """The filesystem of nothing.c, as a place."""
    point = work / "points" / "nothing"
    return Mounted("a FUSE getxattr that does nothing", work, point,
                   [mmapfs.BUILD / "tests" / "bench" / "bench-nothing", point])


def works(scale):
    """With `data` warm and held, and `tree` there."""
    count = scale["round_trips"]

    def ask(name, count):
        def run(place):
            path = place / ("f" if place.name.startswith("a FUSE") else "data")
            return meta(name, path, count)
        return run

    # Of a large file it takes a thousand times as long as a round trip.
    few = count // 50
    yield Work("control", "getxattr of resident, warm file", ask(RESIDENT, few), count=few,
               places=("mmapfs", "a FUSE getxattr that does nothing"))
    yield Work("control", "getxattr of an attribute that is not there",
               ask("getxattr:user.none", count), count=count)
    yield Work("control", "stat of a tree: the attribute",
               lambda place: tree_stat(place / "tree"), places=ONLY_US,
               count=scale["files"])
    yield Work("control", "stat of a tree: mmapctl stat -s on the source",
               lambda place: timed(mmapfs.BUILD / "tools" / "mmapctl", "stat", "-s",
                                   place.source / "tree"), places=ONLY_US,
               count=scale["files"])
    yield Work("control", "stat of a tree: vmtouch on the source",
               lambda place: timed("vmtouch", place.source / "tree"), places=("native",),
               count=scale["files"])


def tree_stat(path):
    """Seconds of one getxattr of `stat` on a directory."""
    import time
    begin = time.perf_counter()
    os.getxattr(path, "user.mmapfs.stat")
    return time.perf_counter() - begin
