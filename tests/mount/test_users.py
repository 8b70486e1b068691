# SPDX-License-Identifier: MIT
"""Several users on one mount: who owns what, what is dropped, what is refused. Each is done
on the mount and on a plain directory, and must come out the same."""

import os
import stat
import subprocess

import pytest

import mmapfs
from mmapfs import errno_of, run_as

ALICE, BOB, CAROL, STAFF = 12001, 12002, 12003, 12050
# VFS_CAP_REVISION_2, cap_net_raw permitted.
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid, oct(st.st_mode)


CASES = []


def case(function):
    CASES.append(pytest.param(function, id=function.__name__))
    return function


@pytest.mark.parametrize("act", CASES)
def test_is_as_on_the_source(act, base, source, mounted):
    (base / "native").mkdir()
    (source / "d").mkdir()
    for place in (base / "native", source / "d"):
        place.chmod(0o1777)
    assert act(mounted.point / "d") == act(base / "native")


@case
def what_a_user_creates_is_theirs(d):
    def create():
        (d / "f").write_bytes(b"")
        os.mkdir(d / "sub")
        os.symlink("f", d / "link")
        os.mkfifo(d / "fifo")
    run_as(ALICE, create)
    return [owner(d / name) for name in ("f", "sub", "link", "fifo")]


@case
def umask_is_the_callers(d):
    run_as(ALICE, lambda: (d / "f").write_bytes(b"") and None, umask=0o077)
    run_as(ALICE, lambda: os.mkdir(d / "sub"), umask=0o007)
    return owner(d / "f"), owner(d / "sub")


@case
def setgid_directory_gives_its_group(d):
    os.mkdir(d / "team")
    os.chown(d / "team", ALICE, STAFF)
    os.chmod(d / "team", 0o2775)

    def create():
        (d / "team" / "f").write_bytes(b"")
        os.mkdir(d / "team" / "sub")
        os.close(os.open(d / "team" / "x", os.O_CREAT | os.O_WRONLY, 0o2775))
    run_as(ALICE, create)
    return [owner(d / "team" / name) for name in ("f", "sub", "x")]


@case
def supplementary_groups_count(d):
    os.mkdir(d / "team")
    os.chown(d / "team", 0, STAFF)
    os.chmod(d / "team", 0o770)

    def create():
        (d / "team" / "f").write_bytes(b"")
    return (errno_of(lambda: run_as(ALICE, create)),
            errno_of(lambda: run_as(ALICE, create, groups=[STAFF])),
            os.path.exists(d / "team" / "f") and owner(d / "team" / "f"))


@case
def chgrp_to_an_own_group(d):
    (d / "f").write_bytes(b"")
    os.chown(d / "f", ALICE, ALICE)

    def change():
        os.chown(d / "f", -1, STAFF)
    first = errno_of(lambda: run_as(ALICE, change))
    second = errno_of(lambda: run_as(ALICE, change, groups=[STAFF]))
    return first, second, owner(d / "f")


@case
def default_acl_is_inherited(d):
    os.mkdir(d / "team", 0o777)
    os.chmod(d / "team", 0o777)
    subprocess.run(["setfacl", "-d", "-m", f"u:{BOB}:rwx,g::---,o::---", d / "team"],
                   check=True)
    run_as(ALICE, lambda: (d / "team" / "f").write_bytes(b"x") and None)
    seen = subprocess.run(["getfacl", "-n", "-c", d / "team" / "f"], check=True,
                          capture_output=True, text=True).stdout
    return (seen, run_as(BOB, lambda: (d / "team" / "f").read_bytes()),
            errno_of(lambda: run_as(mmapfs.NOBODY, (d / "team" / "f").read_bytes)))


@case
def an_acl_takes_the_sgid_bit_from_a_stranger_to_the_group(d):
    """Not from a member, also when only by a supplementary group."""
    found = []
    for name, member in (("stranger", []), ("member", [STAFF])):
        path = d / name
        path.write_bytes(b"")
        os.chown(path, ALICE, STAFF)
        os.chmod(path, 0o2775)

        def give():
            subprocess.run(["setfacl", "-m", "u::rwx,g::rwx,o::rwx", path], check=True,
                           capture_output=True)
        run_as(ALICE, give, groups=member)
        found.append(owner(path))
    assert found[0][2] != found[1][2]
    return found


@case
def suid_and_sgid_are_dropped_by_a_write(d):
    results = []
    for name, mode in (("u", 0o4777), ("g", 0o2777), ("both", 0o6777), ("plain", 0o2766)):
        (d / name).write_bytes(b"program")
        os.chmod(d / name, mode)

        def write(path=d / name):
            fd = os.open(path, os.O_WRONLY)
            os.pwrite(fd, b"P", 0)
            os.close(fd)
        run_as(ALICE, write)
        results.append(owner(d / name))
    return results


@case
def set_id_bits_stay_where_the_writer_may_keep_them(d):
    """Root keeps them all, and a member of the group the bit that gives no right."""
    found = []
    for name, mode, uid in (("root", 0o6775, 0), ("member", 0o2644, ALICE)):
        path = d / name
        path.write_bytes(b"1234")
        os.chown(path, ALICE, STAFF)
        os.chmod(path, mode)

        def write():
            with open(path, "r+b", buffering=0) as file:
                os.pwrite(file.fileno(), b"x", 0)
        run_as(uid, write, gid=STAFF if uid else 0)
        found.append(owner(path))
    assert [int(mode, 8) & 0o7777 for _, _, mode in found] == [0o6775, 0o2644]
    return found


@case
def suid_is_dropped_by_truncate_and_chown(d):
    results = []
    for name in ("t", "c", "o"):
        (d / name).write_bytes(b"program")
        os.chown(d / name, ALICE, ALICE)
        os.chmod(d / name, 0o6777)
    run_as(ALICE, lambda: os.truncate(d / "t", 3))
    run_as(ALICE, lambda: os.chown(d / "c", ALICE, ALICE))
    run_as(BOB, lambda: os.close(os.open(d / "o", os.O_WRONLY | os.O_TRUNC)))
    for name in ("t", "c", "o"):
        results.append(owner(d / name))
    return results


@case
def suid_is_dropped_by_a_write_through_mmap_only_when_natively_so(d):
    (d / "f").write_bytes(b"program")
    os.chmod(d / "f", 0o4777)

    def store():
        with mmapfs.mapped(d / "f", write=True) as mapping:
            mapping.write(0, b"P")
            mapping.sync()
    run_as(ALICE, store)
    return owner(d / "f")


@case
def file_capabilities_are_dropped_by_a_write(d):
    (d / "f").write_bytes(b"program")
    os.chmod(d / "f", 0o777)
    os.setxattr(d / "f", "security.capability", NET_RAW)

    def write():
        with open(d / "f", "r+b") as file:
            file.write(b"P")
    run_as(ALICE, write)
    return errno_of(os.getxattr, d / "f", "security.capability")


@case
def sticky_directory_protects(d):
    run_as(ALICE, lambda: (d / "hers").write_bytes(b"") and None)
    return (errno_of(lambda: run_as(BOB, lambda: os.unlink(d / "hers"))),
            errno_of(lambda: run_as(BOB, lambda: os.rename(d / "hers", d / "his"))),
            errno_of(lambda: run_as(ALICE, lambda: os.unlink(d / "hers"))))


@case
def modes_are_enforced(d):
    (d / "private").write_bytes(b"secret")
    os.chown(d / "private", ALICE, ALICE)
    os.chmod(d / "private", 0o600)
    os.mkdir(d / "closed", 0o700)
    os.chown(d / "closed", ALICE, ALICE)
    path = d / "private"
    return [errno_of(lambda act=act: run_as(BOB, act)) for act in (
        lambda: path.read_bytes(), lambda: path.write_bytes(b""),
        lambda: os.chmod(path, 0o666), lambda: os.chown(path, BOB, BOB),
        lambda: os.truncate(path, 0), lambda: os.utime(path),
        lambda: os.utime(path, (1, 1)), lambda: os.listdir(d / "closed"),
        lambda: os.stat(d / "closed" / "x"), lambda: os.setxattr(path, "user.a", b""),
        lambda: os.getxattr(path, "user.a"), lambda: os.link(path, d / "l"),
        lambda: os.mknod(d / "dev", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        lambda: os.setxattr(path, "trusted.a", b""))]


@case
def all_kinds_in_a_setgid_directory_take_its_group(d):
    """By somebody who is no member, and by a member for whom it is not the first group."""
    os.mkdir(d / "team")
    os.chown(d / "team", 0, STAFF)
    os.chmod(d / "team", 0o2777)
    found = []
    for name, groups in (("stranger", []), ("member", [STAFF])):
        def create(path=d / "team" / name):
            fd = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o2775)
            mmapfs.link_descriptor(fd, f"{path}-tmpfile")
            os.close(fd)
            os.mkfifo(f"{path}-fifo", 0o660)
            os.symlink("x", f"{path}-link")
            os.mkdir(f"{path}-sub", 0o775)
            os.close(os.open(f"{path}-sub/f", os.O_CREAT | os.O_WRONLY, 0o2755))
        run_as(ALICE, create, groups=groups)
        found += [owner(d / "team" / f"{name}-{kind}")
                  for kind in ("tmpfile", "fifo", "link", "sub", "sub/f")]
    return found


@case
def chmod_gives_the_setgid_bit_only_to_members(d):
    found = []
    for name, groups in (("stranger", []), ("member", [STAFF])):
        (d / name).write_bytes(b"")
        os.chown(d / name, ALICE, STAFF)
        run_as(ALICE, lambda path=d / name: os.chmod(path, 0o2775), groups=groups)
        found.append(owner(d / name))
    assert found[0] != found[1]
    return found


@case
def default_acl_takes_the_place_of_the_umask(d):
    os.mkdir(d / "team")
    os.chmod(d / "team", 0o777)
    subprocess.run(["setfacl", "-d", "-m", f"g:{STAFF}:rwx,u::rwx,g::rx,o::-", d / "team"],
                   check=True)

    def create():
        (d / "team" / "f").write_bytes(b"x")
        os.mkdir(d / "team" / "sub", 0o770)
        os.mkfifo(d / "team" / "fifo", 0o622)
        fd = os.open(d / "team", os.O_TMPFILE | os.O_WRONLY, 0o666)
        mmapfs.link_descriptor(fd, d / "team" / "tmpfile")
        os.close(fd)
    run_as(ALICE, create, umask=0o077)
    return subprocess.run(["getfacl", "-n", "-R", "-p", "."], cwd=d / "team", check=True,
                          capture_output=True, text=True).stdout


@case
def an_acl_lets_in_whom_it_names(d):
    """A user, a group of theirs that is not the first, and nobody beyond the mask."""
    for name, acl in (("user", f"u:{BOB}:rw"), ("group", f"g:{STAFF}:rw"),
                      ("masked", f"u:{BOB}:rw,m::r"), ("barred", f"u:{BOB}:-,o::rw")):
        (d / name).write_bytes(b"x")
        os.chmod(d / name, 0o600)
        subprocess.run(["setfacl", "-m", acl, d / name], check=True)
    return [errno_of(lambda name=name, flags=flags, groups=groups: run_as(
        BOB, lambda: os.close(os.open(d / name, flags)), groups=groups))
            for name in ("user", "group", "masked", "barred")
            for flags in (os.O_RDONLY, os.O_WRONLY) for groups in ([], [STAFF])]


@case
def sticky_directory_protects_all_kinds(d):
    """From others; not from their owners, nor from the directory's."""
    os.mkdir(d / "shared")
    os.chown(d / "shared", BOB, BOB)
    os.chmod(d / "shared", 0o1777)
    place = d / "shared"

    def create():
        (place / "f").write_bytes(b"")
        os.mkdir(place / "sub")
        os.symlink("f", place / "link")
        os.mkfifo(place / "fifo")
    run_as(ALICE, create)
    run_as(CAROL, lambda: (place / "hers").write_bytes(b""))
    acts = [lambda: os.rmdir(place / "sub"), lambda: os.unlink(place / "link"),
            lambda: os.rename(place / "hers", place / "f"),
            lambda: os.rename(place / "fifo", d / "fifo"),
            # What fs.protected_regular, _fifos and _symlinks have to say to it.
            lambda: os.close(os.open(place / "f", os.O_CREAT | os.O_WRONLY)),
            lambda: os.close(os.open(place / "fifo", os.O_CREAT | os.O_RDWR)),
            lambda: os.close(os.open(place / "link", os.O_RDONLY)),
            lambda: os.link(place / "f", place / "again")]
    return [errno_of(lambda act=act: run_as(uid, act)) for uid in (CAROL, BOB)
            for act in acts]


# ---- what a change takes away ----------------------------------------------------------


def with_descriptor(flags, act):
    def change(path):
        fd = os.open(path, flags)
        try:
            act(fd)
        finally:
            os.close(fd)
    return change


def copy_into(path):
    with open(path.parent / "other", "rb") as old, open(path, "r+b") as new:
        os.copy_file_range(old.fileno(), new.fileno(), 4, 0, 0)


def send_into(path):
    with open(path.parent / "other", "rb") as old, open(path, "r+b") as new:
        os.sendfile(new.fileno(), old.fileno(), 0, 4)


CHANGES = {
    "write": with_descriptor(os.O_WRONLY, lambda fd: os.pwrite(fd, b"P", 0)),
    "write-nothing": with_descriptor(os.O_WRONLY, lambda fd: os.pwrite(fd, b"", 0)),
    "append": with_descriptor(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"P")),
    "open": with_descriptor(os.O_RDWR, lambda fd: None),
    "open-truncate": with_descriptor(os.O_WRONLY | os.O_TRUNC, lambda fd: None),
    "truncate": lambda path: os.truncate(path, 3),
    "truncate-to-the-same": lambda path: os.truncate(path, 7),
    "ftruncate": with_descriptor(os.O_WRONLY, lambda fd: os.ftruncate(fd, 9)),
    "fallocate": with_descriptor(os.O_WRONLY, lambda fd: os.posix_fallocate(fd, 0, 99)),
    "punch": lambda path: mmapfs.fallocate(path, 3, 0, 4),
    "copy_file_range": copy_into,
    "sendfile": send_into,
    "chown": lambda path: os.chown(path, os.geteuid(), -1),
    "chgrp": lambda path: os.chown(path, -1, STAFF),
    "chown-nothing": lambda path: os.chown(path, -1, -1),
    "utime": lambda path: os.utime(path, (1, 1)),
    "setxattr": lambda path: os.setxattr(path, "user.a", b"1"),
    "rename": lambda path: os.rename(path, path),
}


def privileged_program(path):
    path.write_bytes(b"program")
    os.chown(path, ALICE, STAFF)
    os.chmod(path, 0o6777)
    os.setxattr(path, "security.capability", NET_RAW)
    return path


@case
def set_id_bits_and_capabilities_after_each_change(d):
    """By the owner, by a member of the group, by a stranger who may write, and by root."""
    found = {}
    (d / "other").write_bytes(b"other")
    for who, uid, groups in (("owner", ALICE, [STAFF]), ("member", BOB, [STAFF]),
                             ("stranger", BOB, []), ("root", 0, [])):
        # The kernel sends for "chown-nothing" what it also sends before a write, so nobody can
        # be refused, and root's own cannot be told from root's write.
        paths = {name: privileged_program(d / f"{who}-{name}") for name in CHANGES
                 if name != "chown-nothing" or who == "owner"}
        results = run_as(uid, lambda p=paths: {
            name: errno_of(CHANGES[name], path) for name, path in p.items()}, groups=groups)
        for name, path in paths.items():
            found[path.name] = (results[name], *owner(path),
                                errno_of(os.getxattr, path, "security.capability"))
    return found


def test_reserved_blocks_stay_reserved(loop, mount, data_path):
    """A user cannot fill what is left for root, although a root daemon writes for them."""
    disk = loop("ext4", 32 * mmapfs.MIB, mkfs=["-m", "25"])
    os.chmod(disk.point, 0o777)

    def fill():
        written = 0
        with open(point / "f", "wb", buffering=0) as file:
            try:
                while True:
                    written += file.write(b"x" * 65536)
            except OSError as error:
                assert mmapfs.errno_name(error.errno) == "ENOSPC"
        return written

    point = disk.point
    natively = run_as(ALICE, fill)
    os.unlink(point / "f")
    os.sync()
    mounted = mount(disk.point, f"allow_other,data_path={data_path}")
    point = mounted.point
    through = run_as(ALICE, fill)
    assert abs(through - natively) <= mmapfs.MIB
    assert os.statvfs(disk.point).f_bfree * os.statvfs(disk.point).f_frsize > 6 * mmapfs.MIB


@pytest.mark.parametrize("options, expected", [("suid", BOB), ("nosuid", ALICE),
                                               ("", ALICE)])
def test_a_suid_program_runs_as_its_owner(options, expected, source, mount, data_path):
    """Where the mount says so: mount(8) does, a daemon started by hand does not."""
    subprocess.run(["cp", "/usr/bin/id", source / "id"], check=True)
    os.chown(source / "id", BOB, BOB)
    os.chmod(source / "id", 0o4755)
    mounted = mount(source, f"allow_other,data_path={data_path},{options}".strip(","))
    seen = run_as(ALICE, lambda: subprocess.run(
        [str(mounted / "id"), "-u"], capture_output=True, text=True,
        check=True).stdout.strip())
    assert seen == str(expected)


# ---- who may control -------------------------------------------------------------------


@pytest.fixture
def files(source):
    """One that everybody may write, one of Alice's that nobody else may read."""
    source.chmod(0o755)
    mmapfs.fill(source / "open", mmapfs.MIB)
    os.chmod(source / "open", 0o666)
    mmapfs.fill(source / "hers", mmapfs.MIB)
    os.chown(source / "hers", ALICE, ALICE)
    os.chmod(source / "hers", 0o600)


def attempt(uid, path, name, value):
    return errno_of(lambda: run_as(uid, lambda: mmapfs.setattr(path, name, value)))


def test_a_stranger_cannot_lock(files, mounted):
    assert attempt(BOB, mounted / "open", "lock", "on") == "EPERM"
    assert mmapfs.number(mounted / "open", "locked") == 0


def test_a_stranger_cannot_unlock(files, mounted):
    mmapfs.setattr(mounted / "open", "lock", "on")
    assert attempt(BOB, mounted / "open", "lock", "off") == "EPERM"
    assert mmapfs.number(mounted / "open", "locked") == 256


def test_the_owner_can_lock(files, mounted):
    assert attempt(ALICE, mounted / "hers", "lock", "on") is None
    assert mmapfs.number(mounted / "hers", "locked") == 256
    assert attempt(ALICE, mounted / "hers", "lock", "off") is None


def test_whoever_may_write_can_evict_and_warm(files, mounted):
    assert attempt(BOB, mounted / "open", "evict", "") is None
    assert attempt(BOB, mounted / "open", "warm", "") is None
    assert attempt(BOB, mounted / "open", "sync", "sync") is None


@pytest.mark.parametrize("name, value", [("evict", ""), ("warm", ""), ("lock", "on"),
                                         ("sync", "sync"), ("advise", "random")])
def test_a_closed_file_cannot_be_controlled(name, value, files, mounted):
    assert attempt(BOB, mounted / "hers", name, value) == "EACCES"


def test_a_closed_file_cannot_be_observed(files, mounted):
    assert errno_of(lambda: run_as(
        BOB, lambda: mmapfs.getattr(mounted / "hers", "stat"))) == "EACCES"


def test_a_file_that_may_be_read_can_be_observed(files, source, mounted):
    """The daemon is root: unlike fincore as a stranger, it knows the truth."""
    os.chmod(source / "hers", 0o644)
    mmapfs.evict_by_hand(source / "hers")
    assert run_as(BOB, lambda: mmapfs.getattr(mounted / "hers", "resident")) == "0"
    with mmapfs.hold(source / "hers"):
        assert run_as(BOB, lambda: mmapfs.getattr(mounted / "hers", "resident")) == "256"


def test_a_directory_control_does_not_reach_closed_files(files, source, mounted):
    """A stranger who may write a directory gains nothing over what is closed to them."""
    os.mkdir(source / "d")
    os.rename(source / "hers", source / "d" / "hers")
    os.chmod(source / "d", 0o777)
    with mmapfs.mapped(source / "d" / "hers") as mapping:
        mmapfs.evict_by_hand(source / "d" / "hers")
        attempt(BOB, mounted / "d", "warm", "")
        mmapfs.wait_until(lambda: mmapfs.warm_is_done(mounted / "d"))
        assert mapping.resident() == 0


def test_without_allow_other_only_the_mounter_gets_in(source, mount):
    (source / "f").write_bytes(b"x")
    mounted = mount(source, "")
    assert (mounted / "f").read_bytes() == b"x"
    assert errno_of(lambda: run_as(BOB, lambda: os.stat(mounted / "f"))) == "EACCES"
