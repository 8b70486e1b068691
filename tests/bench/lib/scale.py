# SPDX-License-Identifier: MIT
"""How cost grows: with inodes, with the length of a file, with the size of a tree."""

import contextlib
import os
import statistics
import subprocess
import time

import mmapfs
from metadata import meta, timed
from rounds import exponent

LENGTHS = [1 << power for power in (20, 24, 28, 32, 36, 40, 44)]  # 1 MiB to 16 TiB
RESIDENT_PAGES = 150
LARGEST = (1 << 44) - (1 << 20)


def curve(report, work, unit, points, **more):
    report.write("scale", group="scale", work=work, unit=unit, points=points,
                 exponent=exponent(points), **more)


def median(action, times=3):
    return statistics.median(action() for _ in range(times))


def make_tree(top, count):
    """Empty files, a hundred to a directory."""
    for begin in range(0, count, 100):
        directory = top / f"{begin // 100:04d}"
        directory.mkdir(parents=True)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        for i in range(begin, min(begin + 100, count)):
            os.close(os.open(f"f{i:07d}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)


@contextlib.contextmanager
def disk(work, inodes):
    """A filesystem of its own, thrown away faster than its files could be removed."""
    made = mmapfs.Loop(work, "ext4", max(256 << 20, inodes * 1024),
                       mkfs=["-N", str(inodes + inodes // 50 + 1000), "-O", "^has_journal"])
    try:
        yield made.point
    finally:
        made.close()
        made.image.unlink()
        made.point.rmdir()


def of_inodes(place, count):
    """One size: seconds per find and stat of a file, bytes and descriptors of the daemon."""
    rss, fds = place.status_kib("VmRSS"), place.descriptors()
    begin = time.perf_counter()
    timed("find", place.point, "-type", "f", "-size", "+1")
    cold = time.perf_counter() - begin
    grown, opened = (place.status_kib("VmRSS") - rss) * 1024, place.descriptors() - fds
    return {"find, first": cold,
            "find, again": median(lambda: timed("find", place.point, "-size", "+1")),
            "stat, after a listing": median(lambda: meta("stat", place.point, count)),
            "memory": grown, "descriptors": opened,
            "tree statistics": median(lambda: tree_stat(place.point))}


def tree_stat(path):
    begin = time.perf_counter()
    os.getxattr(path, "user.mmapfs.stat")
    return time.perf_counter() - begin


UNITS = {"memory": "bytes", "descriptors": "descriptors"}


def inodes(work, place_of, sizes, report):
    found = {}
    for size in sizes:
        with disk(work, size) as point:
            make_tree(point, size)
            place = place_of(point, "")
            try:
                for what, value in of_inodes(place, size).items():
                    found.setdefault(what, []).append((size, value))
            finally:
                place.stop()
        report.say(f"scale: {size} inodes")
    for what, points in found.items():
        curve(report, what, UNITS.get(what, "s"), points, over="inodes")


def sparse(path, length):
    with open(path, "wb") as file:
        file.truncate(length)
        for i in range(RESIDENT_PAGES):
            file.seek(i * (length // RESIDENT_PAGES) // 4096 * 4096)
            file.write(b"x" * 4096)


def range_list(work, place_of, report):
    """The list of resident runs of sparse files, with as many pages in each."""
    made = mmapfs.Loop(work, "xfs", 512 << 20)
    points = []
    try:
        place = place_of(made.point, "")
        try:
            for length in LENGTHS:
                length = min(length, LARGEST)
                sparse(made.point / f"{length}", length)
                path = place / f"{length}"
                points.append((length, median(
                    lambda path=path: meta("getxattr:user.mmapfs.ranges", path, 20)) / 20))
        finally:
            place.stop()
    finally:
        made.close()
    curve(report, "range list of a sparse file", "s", points, over="bytes")
    report.say("scale: range list")
