# SPDX-License-Identifier: MIT
"""Trees copied onto the mount, off it, and within it by what people copy with: nothing of
them may be lost."""

import os
import shutil
import stat
import struct

import pytest

import apps
import mmapfs
from trees import tree

ALICE, STAFF = 12001, 12050
CAP_NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")


def cp(old, new, work):
    apps.run("cp", "-a", f"{old}/.", new)


def rsync(old, new, work):
    apps.run("rsync", "-aXAHS", "--numeric-ids", f"{old}/", new)


def tar(old, new, work):
    every = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner"]
    apps.run("tar", "-C", old, *every, "--format=posix", "-S", "-cf", work / "tar", ".")
    new.mkdir()
    apps.run("tar", "-C", new, *every, "-xpSf", work / "tar")
    os.unlink(work / "tar")


TOOLS = [pytest.param(tool, id=tool.__name__, marks=pytest.mark.skipif(
    not shutil.which(tool.__name__), reason=f"{tool.__name__} is not installed"))
    for tool in (cp, rsync, tar)]


# ---- what there is to lose -------------------------------------------------------------


def make_bytes(d):
    (d / "empty").write_bytes(b"")
    mmapfs.fill(d / "large", 3 * mmapfs.MIB + 17)
    (d / ("n" * 255)).write_bytes(b"a long name")
    with open(os.fsencode(d) + b"/\xff\xfe\n", "wb") as file:
        file.write(b"no text")
    deep = d.joinpath(*(f"{i:02}" + "d" * 60 for i in range(12)))
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"deep")


def make_holes(d):
    with open(d / "only-a-hole", "wb") as file:
        file.truncate(5 * mmapfs.MIB)
    with open(d / "holes", "wb") as file:
        for offset in (1, 5, 9):
            file.seek(offset * mmapfs.MIB)
            file.write(b"x" * 128 * mmapfs.KIB)
        file.truncate(40 * mmapfs.MIB)


def make_kinds(d):
    os.symlink("large", d / "link")
    os.symlink("nowhere", d / "dangling")
    os.mkfifo(d / "fifo", 0o640)
    os.mknod(d / "null", stat.S_IFCHR | 0o622, os.makedev(1, 3))
    (d / "one").write_bytes(b"two names")
    (d / "sub").mkdir(0o2755)
    os.link(d / "one", d / "sub" / "other")
    os.link(d / "holes", d / "sub" / "holes")


def make_rights(d):
    for name, mode in (("u", 0o4751), ("g", 0o2750), ("none", 0), ("read", 0o444)):
        (d / name).write_bytes(name.encode())
        os.chown(d / name, ALICE, STAFF)
        os.chmod(d / name, mode)
    (d / "sticky").mkdir()
    os.chown(d / "sticky", ALICE, STAFF)
    os.chmod(d / "sticky", 0o3777)
    os.chown(d / "link", ALICE, STAFF, follow_symlinks=False)


def make_attributes(d):
    for path in (d / "large", d / "sub"):
        os.setxattr(path, "user.one", b"1" * 300)
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "trusted.two", bytes(range(256)))
    os.setxattr(d / "u", "security.capability", CAP_NET_RAW)
    os.setxattr(d / "read", "user.on a file not to be written", b"x")
    apps.run("setfacl", "-m", "u:1234:rw,g:77:r,m::rw", d / "large")
    apps.run("setfacl", "-m", "u:1234:rwx,d:u:1234:rwx,d:o::-", d / "sub")


def set_times(d):
    """The deepest first, since making an entry changes its directory's."""
    for number, path in enumerate(sorted(d.rglob("*"), reverse=True)):
        os.utime(path, ns=(1_100_000_000_000_000_001 + number,
                           1_200_000_000_987_654_321 - number), follow_symlinks=False)


@pytest.fixture
def original(base):
    d = base / "original"
    d.mkdir()
    for make in (make_bytes, make_holes, make_kinds, make_rights, make_attributes, set_times):
        make(d)
    return d


# ---- copies ----------------------------------------------------------------------------


def seen(directory):
    return tree(directory, times=True, holes=True)


def without_holes(directory):
    return tree(directory, times=True)


@pytest.mark.parametrize("copy", TOOLS)
def test_nothing_is_lost(copy, original, base, source, mounted):
    """The allocated blocks are those that the tool makes when it copies natively."""
    copy(original, base / "native", base)
    expected = seen(base / "native")
    assert without_holes(base / "native") == without_holes(original)
    assert (base / "native" / "holes").stat().st_blocks * 512 < 2 * mmapfs.MIB
    copy(original, mounted / "in", base)
    copy(mounted / "in", base / "out", base)
    copy(mounted / "in", mounted / "within", base)
    assert seen(mounted / "in") == expected
    assert seen(base / "out") == expected
    mounted.unmount()
    assert seen(source / "in") == expected
    assert seen(source / "within") == expected


def test_rsync_finds_nothing_to_do_again(original, source, mounted):
    """Both ways: what it compares - sizes, times, owners, attributes, ACLs - is the same."""
    every = ["rsync", "-aXAHSc", "--numeric-ids", "--itemize-changes"]
    apps.run(*every, f"{original}/", mounted / "in")
    assert apps.run(*every, "-n", f"{original}/", mounted / "in") == ""
    assert apps.run(*every, "-n", f"{mounted.point / 'in'}/", original) == ""
    mounted.unmount()
    assert apps.run(*every, "-n", f"{original}/", source / "in") == ""


def test_access_times_are_kept_too(original, source, mounted):
    """Of a file that is read for it; nobody but cp -a keeps them to the nanosecond."""
    st = (original / "large").stat()
    apps.run("cp", "-a", original / "large", mounted / "copy")
    for path in (mounted / "copy", source / "copy"):
        copy = path.stat()
        assert (copy.st_atime_ns, copy.st_mtime_ns) == (st.st_atime_ns, st.st_mtime_ns)


def test_a_copy_is_not_torn_by_its_source(base, source, mounted):
    """cp of a file that another writes, block by block: each word is old or new. Not each block:
    ext4 does not keep who reads a page apart from who writes it."""
    old, new = struct.pack("<Q", 1) * 512, struct.pack("<Q", 2) * 512
    (mounted / "f").write_bytes(old * 256)
    child = apps.start(overwrite, mounted / "f", new)
    for number in range(5):
        apps.run("cp", mounted / "f", base / f"copy{number}")
    apps.kill(child)
    for number in range(5):
        data = (base / f"copy{number}").read_bytes()
        assert len(data) == 256 * len(old)
        assert {word for word, in struct.iter_unpack("<Q", data)} <= {1, 2}


def overwrite(path, block):
    with open(path, "r+b", buffering=0) as file:
        while True:
            for number in range(256):
                os.pwrite(file.fileno(), block, number * len(block))
