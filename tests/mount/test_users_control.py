# SPDX-License-Identifier: MIT
"""Who may control and observe, through both doors: extended attributes and the ioctl."""

import fcntl
import os
import struct

import pytest

import mmapfs
from mmapfs import errno_of, run_as

ALICE, BOB, STAFF = 12001, 12002, 12050
PAGES = 64

CONTROL = struct.Struct("=II4I96s8072s")
GET, SET = 0, 1
IOC_CONTROL = (3 << 30) | (CONTROL.size << 16) | (ord("M") << 8) | 0x6d


def by_ioctl(path, op, name, value="", flags=os.O_RDONLY):
    buffer = bytearray(CONTROL.pack(op, len(value), 0, 0, 0, 0, name.encode(),
                                    value.encode()))
    fd = os.open(path, flags)
    try:
        fcntl.ioctl(fd, IOC_CONTROL, buffer, True)
    finally:
        os.close(fd)
    fields = CONTROL.unpack(bytes(buffer))
    return fields[7][:fields[1]].decode()


DOORS = {
    "xattr": (mmapfs.getattr, mmapfs.setattr),
    "ioctl": (lambda path, name: by_ioctl(path, GET, name),
              lambda path, name, value: by_ioctl(path, SET, name, value)),
}


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


@pytest.fixture
def files(source):
    """In a directory of everybody's: a file of everybody's, one of Alice's alone, and one
    of a group's; all of them resident and not to be evicted."""
    (source / "d").mkdir()
    for name, uid, gid, mode in (("open", 0, 0, 0o666), ("hers", ALICE, ALICE, 0o600),
                                 ("team", 0, STAFF, 0o660)):
        path = mmapfs.fill(source / "d" / name, PAGES * mmapfs.PAGE)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
    os.chmod(source, 0o755)
    os.chmod(source / "d", 0o777)
    with mmapfs.hold(source / "d" / "open"), mmapfs.hold(source / "d" / "hers"), \
            mmapfs.hold(source / "d" / "team"):
        yield


SETS = [("warm", ""), ("evict", ""), ("lock", "on"), ("lock", "off"), ("sync", "sync"),
        ("advise", "random")]
GETS = ["stat", "pages", "resident", "dirty", "writeback", "evicted", "locked", "ranges",
        "map", "advise", "warm", "evict", "lock", ""]


def test_nothing_of_a_closed_file_is_told(files, mounted, door):
    get, _ = door
    path = mounted / "d" / "hers"
    assert {errno_of(lambda: run_as(BOB, lambda name=name: get(path, name)))
            for name in GETS} == {"EACCES"}
    assert run_as(ALICE, lambda: get(path, "resident")) == str(PAGES)


def test_nothing_is_done_to_a_closed_file(files, mounted, door):
    _, set_value = door
    path = mounted / "d" / "hers"
    for name, value in SETS:
        assert errno_of(lambda n=name, v=value: run_as(
            BOB, lambda: set_value(path, n, v))) == "EACCES"
    assert mmapfs.number(path, "locked") == 0
    assert mmapfs.getattr(path, "advise") == "normal"


def test_who_may_only_read_cannot_control(files, source, mounted, door):
    get, set_value = door
    os.chmod(source / "d" / "hers", 0o644)
    path = mounted / "d" / "hers"
    assert run_as(BOB, lambda: get(path, "resident")) == str(PAGES)
    for name, value in SETS:
        assert errno_of(lambda n=name, v=value: run_as(
            BOB, lambda: set_value(path, n, v))) == "EACCES"


def test_who_may_only_write_is_told_nothing(files, source, mounted):
    """Also through a descriptor, which here can be had for writing."""
    os.chmod(source / "d" / "hers", 0o622)
    path = mounted / "d" / "hers"
    for flags in (os.O_WRONLY, os.O_WRONLY | os.O_APPEND):
        assert {errno_of(lambda f=flags, n=name: run_as(
            BOB, lambda: by_ioctl(path, GET, n, flags=f))) for name in GETS} == {"EACCES"}
    assert run_as(ALICE, lambda: by_ioctl(
        path, GET, "resident", flags=os.O_WRONLY)) == str(PAGES)
    assert run_as(BOB, lambda: by_ioctl(path, SET, "sync", "sync",
                                        flags=os.O_WRONLY)) == ""


def test_a_descriptor_for_reading_is_enough_to_be_told(files, mounted):
    """As it is enough to read: it may have been handed over."""
    fd = os.open(mounted / "d" / "hers", os.O_RDONLY)

    def ask():
        buffer = bytearray(CONTROL.pack(GET, 0, 0, 0, 0, 0, b"resident", b""))
        fcntl.ioctl(fd, IOC_CONTROL, buffer, True)
        return CONTROL.unpack(bytes(buffer))[7][:2]
    try:
        assert run_as(BOB, ask) == b"%d" % PAGES
    finally:
        os.close(fd)


def test_groups_count_as_on_the_source(files, mounted, door):
    """Supplementary ones too; they give no right to lock."""
    get, set_value = door
    path = mounted / "d" / "team"
    assert errno_of(lambda: run_as(BOB, lambda: get(path, "resident"))) == "EACCES"
    assert run_as(BOB, lambda: get(path, "resident"), groups=[STAFF]) == str(PAGES)
    run_as(BOB, lambda: set_value(path, "sync", "sync"), groups=[STAFF])
    assert errno_of(lambda: run_as(BOB, lambda: set_value(path, "lock", "on"),
                                   groups=[STAFF])) == "EPERM"


@pytest.mark.parametrize("name, value", [("budget", "1G"), ("snapshot", "save"),
                                         ("policy", "reload")])
def test_a_stranger_cannot_steer_the_mount(name, value, mounted, door):
    """Not even who may write its root directory."""
    _, set_value = door
    for mode, expected in ((0o755, "EACCES"), (0o777, "EPERM")):
        os.chmod(mounted.point, mode)
        assert errno_of(lambda: run_as(BOB, lambda: set_value(
            mounted.point, name, value))) == expected


# ---- trees -----------------------------------------------------------------------------


def fields_of(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def test_sums_leave_out_what_the_caller_may_not_read(files, mounted, door):
    """The pages that are locked, too: they are resident ones."""
    get, _ = door
    mmapfs.setattr(mounted / "d" / "hers", "lock", "on")
    for uid, groups, resident, locked in ((BOB, [], 1, 0), (BOB, [STAFF], 2, 0),
                                          (ALICE, [], 2, 1), (0, [], 3, 1)):
        def ask(uid=uid, groups=groups):
            return run_as(uid, lambda: [fields_of(get(mounted / "d", "stat")),
                                        get(mounted / "d", "locked")], groups=groups)
        stat, number = ask()
        assert stat["resident"] == str(resident * PAGES)
        assert stat["locked"] == str(locked * PAGES)
        assert stat["unknown_files"] == str(3 - resident)
        assert number == str(locked * PAGES)


def test_a_closed_directory_below_is_left_out(files, source, mounted, door):
    get, _ = door
    (source / "d" / "room").mkdir()
    os.rename(source / "d" / "open", source / "d" / "room" / "open")
    os.chmod(source / "d" / "room", 0o700)
    fields = fields_of(run_as(BOB, lambda: get(mounted / "d", "stat")))
    assert fields["resident"] == "0" or fields["resident"] == "unknown"
    assert run_as(0, lambda: fields_of(get(mounted / "d", "stat")))["resident"] == str(
        3 * PAGES)


@pytest.mark.parametrize("name, value", [("advise", "random"), ("sync", "sync"),
                                         ("advise", "pageout")])
def test_a_control_of_a_directory_says_that_it_left_files_out(name, value, files, mounted,
                                                              door):
    _, set_value = door
    assert errno_of(lambda: run_as(BOB, lambda: set_value(
        mounted / "d", name, value))) == "EACCES"
    assert mmapfs.getattr(mounted / "d" / "hers", "advise") in ("normal", value)


def test_evict_of_a_directory_reaches_what_its_caller_may_write(files, mounted, door):
    """Who else has the pages mapped does not matter for which files were looked at."""
    _, set_value = door
    path = mounted / "d"
    for uid, groups, reached in ((BOB, [], 1), (BOB, [STAFF], 2), (0, [], 3)):
        run_as(uid, lambda: set_value(path, "evict", ""), groups=groups)
        mmapfs.wait_until(
            lambda: mmapfs.getattr(path, "evict").split()[0] in ("done", "failed"),
            what="the end of the evict")
        words = mmapfs.getattr(path, "evict").split()
        assert f"before={reached * PAGES}" in words


def test_a_directory_that_may_not_be_written_cannot_be_controlled(files, source, mounted,
                                                                  door):
    get, set_value = door
    os.chmod(source / "d", 0o755)
    path = mounted / "d"
    mmapfs.wait_until(lambda: path.stat().st_mode & 0o777 == 0o755, what="the new mode")
    for name, value in (("warm", ""), ("evict", ""), ("sync", "sync"), ("advise", "random")):
        assert errno_of(lambda n=name, v=value: run_as(
            BOB, lambda: set_value(path, n, v))) == "EACCES"
    assert run_as(BOB, lambda: fields_of(get(path, "stat")))["resident"] == str(PAGES)
