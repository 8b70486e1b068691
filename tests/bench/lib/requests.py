# SPDX-License-Identifier: MIT
"""Requests that one operation takes, by the daemon's own counters."""

import os
import re
import subprocess

import mmapfs
from metadata import meta

FILES = 1000


def counters(point):
    text = mmapfs.getattr(point, "metrics")
    return {name: int(number) for name, number in
            re.findall(r'^mmapfs_requests_total\{opcode="(\w+)"\} (\d+)$', text, re.M)}


def taken(point, action, per):
    counters(point)
    before = counters(point)
    action()
    after = counters(point)
    after["getxattr"] = after.get("getxattr", 0) - 1
    return {name: round((number - before.get(name, 0)) / per, 3)
            for name, number in after.items() if number > before.get(name, 0)}


def report_requests(work, place_of, report):
    """@place_of(source, options) is a mounted mmapfs. Names and attributes stay for a minute
    there, so that the speed of the machine does not count."""
    source = work / "requests"
    (source / "tree").mkdir(parents=True)
    (source / "new").mkdir()
    meta("make", source / "tree", FILES)
    place = place_of(source, "attr_timeout=60,entry_timeout=60")
    tree, new = place / "tree", place / "new"
    archive = work / "requests.tar"
    subprocess.run(["tar", "-cf", archive, "-C", source / "tree", "."], check=True)
    os.mkdir(source / "untar")
    rows = (
        ("find with attributes", lambda: meta("list", tree, FILES)),
        ("the same again at once", lambda: meta("list", tree, FILES)),
        ("stat", lambda: meta("stat-cold", tree, FILES)),
        ("open, read 4 KiB, close", lambda: meta("read", tree, FILES)),
        ("create + close + unlink", lambda: meta("create-unlink", new, FILES)),
        ("untar, for each file", lambda: subprocess.run(
            ["tar", "-xf", archive, "-C", place / "untar"], check=True)),
    )
    try:
        for name, action in rows:
            report.write("requests", group="requests", work=name, count=FILES,
                         each=taken(place.point, action, FILES))
    finally:
        place.stop()
    report.say("requests: by operation")
