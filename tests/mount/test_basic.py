# SPDX-License-Identifier: MIT
"""Every operation of a POSIX filesystem, done on the mount and on a plain directory of the
same disk: same answers, and the same tree afterwards."""

import ctypes
import fcntl
import os
import stat
import struct
import subprocess
import time

import pytest

import mmapfs
from mmapfs import errno_of
from trees import tree

OPERATIONS = []


def operation(function):
    OPERATIONS.append(pytest.param(function, id=function.__name__))
    return function


@pytest.mark.parametrize("act", OPERATIONS)
def test_does_as_the_source_does(act, base, source, mounted):
    native = base / "native"
    native.mkdir()
    (source / "d").mkdir()
    expected = act(native)
    assert act(mounted.point / "d") == expected
    assert tree(source / "d") == tree(native)
    assert tree(mounted.point / "d") == tree(native)


# ---- names -----------------------------------------------------------------------------


@operation
def create_and_read_back(d):
    (d / "f").write_bytes(b"hello")
    return (d / "f").read_bytes(), (d / "f").stat().st_size, stat.S_IMODE(
        (d / "f").stat().st_mode)


@operation
def create_exclusive_twice(d):
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    os.close(os.open(d / "f", flags, 0o640))
    return errno_of(os.open, d / "f", flags, 0o640)


@operation
def create_with_every_mode_bit(d):
    old = os.umask(0)
    try:
        os.close(os.open(d / "f", os.O_CREAT | os.O_WRONLY, 0o7777))
    finally:
        os.umask(old)


@operation
def umask_is_applied_once(d):
    old = os.umask(0o027)
    try:
        os.close(os.open(d / "f", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(d / "sub", 0o777)
        os.mkfifo(d / "fifo", 0o666)
    finally:
        os.umask(old)


@operation
def open_refusals(d):
    (d / "f").write_bytes(b"x")
    os.symlink("f", d / "link")
    os.mkdir(d / "sub")
    return [errno_of(os.open, d / "none", os.O_RDONLY),
            errno_of(os.open, d / "sub", os.O_WRONLY),
            errno_of(os.open, d / "f" / "below", os.O_RDONLY),
            errno_of(os.open, d / "link", os.O_RDONLY | os.O_NOFOLLOW),
            errno_of(os.open, d / "f", os.O_RDONLY | os.O_DIRECTORY)]


@operation
def mkdir_and_rmdir(d):
    os.mkdir(d / "sub", 0o750)
    (d / "sub" / "f").write_bytes(b"")
    not_empty = errno_of(os.rmdir, d / "sub")
    os.unlink(d / "sub" / "f")
    os.rmdir(d / "sub")
    return not_empty, errno_of(os.rmdir, d / "sub"), errno_of(os.mkdir, d / "a" / "b")


@operation
def unlink_refusals(d):
    os.mkdir(d / "sub")
    return errno_of(os.unlink, d / "none"), errno_of(os.unlink, d / "sub")


@operation
def unlinked_file_stays_usable(d):
    with open(d / "f", "w+b") as file:
        file.write(b"still here")
        file.flush()
        os.unlink(d / "f")
        file.seek(0)
        os.fchmod(file.fileno(), 0o600)
        os.ftruncate(file.fileno(), 5)
        return file.read(), os.fstat(file.fileno()).st_nlink, os.fstat(
            file.fileno()).st_size


@operation
def symlink_and_readlink(d):
    os.symlink("some/where", d / "link")
    os.symlink("x" * 4000, d / "long")
    return os.readlink(d / "link"), os.readlink(d / "long"), os.lstat(d / "link").st_size


@operation
def hard_link(d):
    (d / "a").write_bytes(b"one")
    os.link(d / "a", d / "b")
    (d / "b").write_bytes(b"two")
    return ((d / "a").read_bytes(), (d / "a").stat().st_nlink,
            (d / "a").stat().st_ino == (d / "b").stat().st_ino,
            errno_of(os.link, d / "a", d / "b"), errno_of(os.link, d, d / "c"))


@operation
def link_count_falls(d):
    (d / "a").write_bytes(b"one")
    os.link(d / "a", d / "b")
    os.unlink(d / "a")
    return (d / "b").stat().st_nlink


@operation
def rename_over_a_file(d):
    (d / "a").write_bytes(b"new")
    (d / "b").write_bytes(b"old")
    os.rename(d / "a", d / "b")
    return (d / "b").read_bytes(), errno_of(os.stat, d / "a")


@operation
def rename_of_directories(d):
    os.makedirs(d / "a" / "b")
    os.mkdir(d / "full")
    (d / "full" / "f").write_bytes(b"")
    into_itself = errno_of(os.rename, d / "a", d / "a" / "b" / "c")
    over_full = errno_of(os.rename, d / "a", d / "full")
    os.rename(d / "a" / "b", d / "moved")
    return into_itself, over_full, sorted(os.listdir(d))


@operation
def rename_noreplace(d):
    (d / "a").write_bytes(b"1")
    (d / "b").write_bytes(b"2")
    taken = errno_of(mmapfs.renameat2, d / "a", d / "b", mmapfs.RENAME_NOREPLACE)
    mmapfs.renameat2(d / "a", d / "c", mmapfs.RENAME_NOREPLACE)
    return taken, (d / "c").read_bytes()


@operation
def rename_exchange(d):
    (d / "a").write_bytes(b"1")
    os.mkdir(d / "b")
    mmapfs.renameat2(d / "a", d / "b", mmapfs.RENAME_EXCHANGE)
    return (d / "a").is_dir(), (d / "b").read_bytes(), errno_of(
        mmapfs.renameat2, d / "a", d / "none", mmapfs.RENAME_EXCHANGE)


@operation
def special_files(d):
    os.mkfifo(d / "fifo", 0o620)
    os.mknod(d / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(d / "regular", stat.S_IFREG | 0o604)
    os.mknod(d / "socket", stat.S_IFSOCK | 0o600)
    return [oct(path.lstat().st_mode) for path in sorted(d.iterdir())]


@operation
def fifo_carries_bytes(d):
    os.mkfifo(d / "fifo")
    reader = os.open(d / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(d / "fifo", os.O_WRONLY)
    os.write(writer, b"through")
    got = os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    return got


@operation
def temporary_file_without_a_name(d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(fd, b"named later")
    mmapfs.link_descriptor(fd, d / "f")
    os.close(fd)
    return (d / "f").read_bytes()


@operation
def names_up_to_255_bytes(d):
    (d / ("n" * 255)).write_bytes(b"")
    (d / "with\nnewline and ü").write_bytes(b"")
    os.close(os.open(os.fsencode(d) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    return (errno_of(os.stat, d / ("n" * 256)),
            sorted(os.listdir(os.fsencode(d))))


@operation
def directory_of_2000_entries(d):
    for i in range(2000):
        (d / f"{i:04}-{100 * 'n'}").touch()
    names = sorted(os.listdir(d))
    with os.scandir(d) as entries:
        kinds = {entry.is_file(follow_symlinks=False) for entry in entries}
    return names, kinds


@operation
def directory_is_emptied_while_it_is_read(d):
    for i in range(1000):
        (d / f"{i:04}").write_bytes(b"")
    seen = []
    with os.scandir(d) as entries:
        for entry in entries:
            os.unlink(entry.path)
            seen.append(entry.name)
    return sorted(seen), os.listdir(d)


@operation
def directory_position_can_be_restored(d):
    for i in range(300):
        (d / f"{i:04}").write_bytes(b"")
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    first = sorted(os.listdir(fd))
    os.lseek(fd, 0, os.SEEK_SET)
    second = sorted(os.listdir(fd))
    os.close(fd)
    return first == second, len(first)


@operation
def dot_and_dotdot(d):
    os.mkdir(d / "sub")
    return (os.stat(d / "sub" / ".").st_ino == os.stat(d / "sub").st_ino,
            os.stat(d / "sub" / "..").st_ino == os.stat(d).st_ino)


# ---- bytes -----------------------------------------------------------------------------


@operation
def write_at_offsets_and_append(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
    os.write(fd, b"abc")
    os.write(fd, b"def")
    os.close(fd)
    fd = os.open(d / "f", os.O_RDWR)
    os.pwrite(fd, b"X", 1)
    os.pwrite(fd, b"end", 100_000)
    data = os.pread(fd, 200_000, 0), os.pread(fd, 10, 200_000)
    os.close(fd)
    return data


@operation
def vectored_io(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR)
    written = os.pwritev(fd, [b"ab", b"c" * 70_000, b"de"], 3)
    parts = [bytearray(5), bytearray(70_002)]
    got = os.preadv(fd, parts, 0)
    os.close(fd)
    return written, got, parts


@operation
def open_truncates(d):
    (d / "f").write_bytes(b"long content")
    with open(d / "f", "wb"):
        return (d / "f").stat().st_size


@operation
def truncate_shorter_and_longer(d):
    (d / "f").write_bytes(b"0123456789" * 1000)
    os.truncate(d / "f", 5)
    os.truncate(d / "f", 9000)
    fd = os.open(d / "f", os.O_RDONLY)
    readonly = errno_of(os.ftruncate, fd, 1)
    os.close(fd)
    return ((d / "f").read_bytes(), readonly, errno_of(os.truncate, d, 0),
            errno_of(os.truncate, d / "f", -1))


@operation
def fallocate_modes(d):
    keep, punch, zero = 1, 2, 16
    (d / "f").write_bytes(b"x" * (1 << 20))
    mmapfs.fallocate(d / "f", 0, 1 << 20, 1 << 16)
    mmapfs.fallocate(d / "f", keep, 1 << 21, 1 << 16)
    mmapfs.fallocate(d / "f", punch | keep, 4096, 8192)
    mmapfs.fallocate(d / "f", zero, 1 << 16, 100)
    mmapfs.fallocate(d / "f", zero | keep, 1 << 17, 4096)
    return ((d / "f").read_bytes(), (d / "f").stat().st_blocks,
            errno_of(mmapfs.fallocate, d / "f", punch, 0, 4096),
            errno_of(mmapfs.fallocate, d / "f", 0, 0, 0))


@operation
def seek_data_and_hole(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 1 << 20)
    os.pwrite(fd, b"d" * 65536, 262144)
    os.fsync(fd)
    found = [os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 262144, os.SEEK_HOLE),
             os.lseek(fd, 0, os.SEEK_HOLE), os.lseek(fd, 0, os.SEEK_END),
             errno_of(os.lseek, fd, 400_000, os.SEEK_DATA),
             errno_of(os.lseek, fd, 1 << 20, os.SEEK_HOLE)]
    os.close(fd)
    return found


@operation
def copy_file_range(d):
    (d / "a").write_bytes(bytes(range(256)) * 1024)
    source = os.open(d / "a", os.O_RDONLY)
    target = os.open(d / "b", os.O_CREAT | os.O_RDWR)
    copied = 0
    while copied < 200_000:
        copied += os.copy_file_range(source, target, 200_000 - copied, 100 + copied,
                                     copied)
    at_end = os.copy_file_range(source, target, 10, 256 * 1024, 0)
    os.close(source)
    os.close(target)
    return copied, at_end, (d / "b").read_bytes()


@operation
def sendfile_between_files(d):
    (d / "a").write_bytes(b"0123456789" * 10_000)
    with open(d / "a", "rb") as source, open(d / "b", "wb") as target:
        sent = os.sendfile(target.fileno(), source.fileno(), 5, 50_000)
    return sent, (d / "b").read_bytes()


@operation
def fsync_and_friends(d):
    with open(d / "f", "wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


@operation
def large_offsets(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"far", 5 << 30)
    got = os.pread(fd, 10, (5 << 30) - 2), os.fstat(fd).st_size
    os.ftruncate(fd, 3)
    os.close(fd)
    return got


@operation
def a_script_is_executed(d):
    (d / "run").write_text("#!/bin/sh\necho ran\n")
    (d / "run").chmod(0o755)
    return subprocess.run([str(d / "run")], capture_output=True, text=True,
                          check=False).stdout


# ---- attributes ------------------------------------------------------------------------


@operation
def chmod_and_chown(d):
    (d / "f").write_bytes(b"")
    os.chmod(d / "f", 0o4751)
    os.chown(d / "f", 1234, -1)
    os.chmod(d / "f", 0o2640)
    os.chown(d / "f", -1, 4321)
    os.symlink("f", d / "link")
    os.lchown(d / "link", 5, 6)
    st = (d / "f").stat()
    return oct(st.st_mode), st.st_uid, st.st_gid


@operation
def times_to_the_nanosecond(d):
    (d / "f").write_bytes(b"")
    os.symlink("f", d / "link")
    os.utime(d / "f", ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321))
    os.utime(d / "link", ns=(1, 2_000_000_001), follow_symlinks=False)
    st, link = (d / "f").stat(), (d / "link").lstat()
    return st.st_atime_ns, st.st_mtime_ns, link.st_mtime_ns


@operation
def write_moves_mtime_and_ctime(d):
    (d / "f").write_bytes(b"a")
    os.utime(d / "f", ns=(1, 1))
    before = (d / "f").stat()
    with open(d / "f", "r+b") as file:
        file.write(b"b")
    after = (d / "f").stat()
    return after.st_mtime_ns > 1, after.st_ctime_ns >= before.st_ctime_ns


@operation
def stat_fields(d):
    (d / "f").write_bytes(b"x" * 10_000)
    os.mkdir(d / "sub")
    with open(d / "f", "rb") as file:
        os.fsync(file.fileno())
    st, sub = (d / "f").stat(), (d / "sub").stat()
    return st.st_size, st.st_blocks, st.st_nlink, sub.st_nlink, sub.st_size


@operation
def statx_fields(d):
    (d / "f").write_bytes(b"x" * 10_000)
    os.utime(d / "f", ns=(5, 6))
    buffer = ctypes.create_string_buffer(256)
    basic = 0x7ff
    mmapfs.check(mmapfs.libc.syscall(
        332 if os.uname().machine == "x86_64" else 291, mmapfs.AT_FDCWD,
        os.fsencode(d / "f"), 0, basic, buffer))
    mask, = struct.unpack_from("<I", buffer.raw, 0)
    nlink, uid, gid, mode = struct.unpack_from("<IIIH", buffer.raw, 16)
    size, = struct.unpack_from("<Q", buffer.raw, 40)
    mtime, mtime_ns = struct.unpack_from("<qI", buffer.raw, 112)
    return mask & basic, nlink, uid, gid, mode, size, mtime, mtime_ns


@operation
def access_rights(d):
    (d / "f").write_bytes(b"")
    (d / "f").chmod(0o640)

    def ask():
        return [os.access(d / "f", how) for how in (os.R_OK, os.W_OK, os.X_OK, os.F_OK)]

    return ask(), mmapfs.run_as(mmapfs.NOBODY, ask)


@operation
def extended_attributes(d):
    (d / "f").write_bytes(b"")
    os.mkdir(d / "sub")
    for path in (d / "f", d / "sub"):
        os.setxattr(path, "user.one", b"1")
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "trusted.two", b"2" * 1000)
    made_twice = errno_of(os.setxattr, d / "f", "user.one", b"", os.XATTR_CREATE)
    not_there = errno_of(os.setxattr, d / "f", "user.no", b"", os.XATTR_REPLACE)
    os.setxattr(d / "f", "user.one", b"changed", os.XATTR_REPLACE)
    os.removexattr(d / "sub", "user.one")
    return (made_twice, not_there, sorted(os.listxattr(d / "f")),
            os.getxattr(d / "f", "user.one"), os.getxattr(d / "sub", "trusted.two"),
            errno_of(os.getxattr, d / "f", "user.none"),
            errno_of(os.removexattr, d / "f", "user.none"))


@operation
def extended_attributes_of_links_and_fifos(d):
    os.symlink("none", d / "link")
    os.mkfifo(d / "fifo")
    os.setxattr(d / "link", "trusted.t", b"on the link", follow_symlinks=False)
    os.setxattr(d / "fifo", "trusted.t", b"on the fifo")
    return (os.getxattr(d / "link", "trusted.t", follow_symlinks=False),
            os.listxattr(d / "fifo"),
            errno_of(lambda: os.setxattr(d / "link", "user.u", b"",
                                         follow_symlinks=False)),
            errno_of(os.setxattr, d / "fifo", "user.u", b""))


@operation
def access_control_lists(d):
    (d / "f").write_bytes(b"")
    os.mkdir(d / "sub")
    subprocess.run(["setfacl", "-m", "u:1234:rw,g:77:r,m::rw", d / "f"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx,o::-", d / "sub"], check=True)
    (d / "sub" / "inherits").write_bytes(b"")
    os.mkdir(d / "sub" / "deeper")
    return subprocess.run(["getfacl", "-n", "-R", "-p", "."], cwd=d, check=True,
                          capture_output=True, text=True).stdout


# ---- locks, space ----------------------------------------------------------------------


def flags_of(path):
    return subprocess.run(["lsattr", "-d", path], check=True, capture_output=True,
                          text=True).stdout.split()[0]


def change_flags(change, path):
    return subprocess.run(["chattr", change, path], check=False,
                          capture_output=True).returncode


@operation
def inode_flags(d):
    (d / "f").write_bytes(b"x")
    os.mkdir(d / "sub")
    before = flags_of(d / "f"), flags_of(d / "sub")
    given = change_flags("+i", d / "f"), change_flags("+A", d / "sub")
    found = (flags_of(d / "f"), flags_of(d / "sub"), errno_of(open, d / "f", "r+b"),
             errno_of(os.unlink, d / "f"))
    refused = mmapfs.run_as(mmapfs.NOBODY, lambda: change_flags("-A", d / "sub"))
    taken = change_flags("-i", d / "f"), change_flags("-A", d / "sub")
    return before, given, found, refused, taken, flags_of(d / "f"), flags_of(d / "sub")


@operation
def changed_flags_change_ctime(d):
    (d / "f").write_bytes(b"x")
    os.mkdir(d / "sub")

    def shows_at_once(path):
        before = os.stat(path).st_ctime_ns
        time.sleep(0.02)  # longer than a tick of the source's clock
        return change_flags("+A", path), os.stat(path).st_ctime_ns > before

    return shows_at_once(d / "f"), shows_at_once(d / "sub")


@operation
def append_only_file(d):
    (d / "f").write_bytes(b"one ")
    given = change_flags("+a", d / "f")

    def append(flags):
        fd = os.open(d / "f", flags | os.O_APPEND)
        try:
            os.write(fd, b"more ")
            # No way round the flag: refused, or without effect where FUSE cannot refuse it.
            errno_of(fcntl.fcntl, fd, fcntl.F_SETFL, 0)
            return os.pwrite(fd, b"end ", 0)
        finally:
            os.close(fd)

    found = (append(os.O_RDWR), append(os.O_WRONLY), errno_of(open, d / "f", "r+b"),
             errno_of(append, os.O_WRONLY | os.O_TRUNC), errno_of(os.truncate, d / "f", 1),
             errno_of(os.unlink, d / "f"), (d / "f").read_bytes())
    return given, found, change_flags("-a", d / "f")


def is_locked_out(take):
    def attempt():
        return errno_of(take)
    return mmapfs.run_as(0, attempt)


@operation
def flock_excludes(d):
    (d / "f").write_bytes(b"")

    def take():
        with open(d / "f", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with open(d / "f", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        while_held = is_locked_out(take)
        fcntl.flock(file, fcntl.LOCK_UN)
        return while_held, is_locked_out(take)


@operation
def fcntl_locks_exclude_by_range(d):
    (d / "f").write_bytes(b"0123456789")

    def take(start):
        def attempt():
            with open(d / "f", "r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, start)
        return attempt

    with open(d / "f", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 4, 0)
        return is_locked_out(take(2)), is_locked_out(take(4))


@operation
def space_of_the_filesystem(d):
    space = os.statvfs(d)
    return (space.f_bsize, space.f_frsize, space.f_blocks, space.f_files,
            space.f_namemax)


# ---- beyond the comparison -------------------------------------------------------------


def test_changes_on_the_source_are_seen(source, mounted, data_path):
    (source / "f").write_bytes(b"one")
    assert (mounted / "f").read_bytes() == b"one"
    with open(mounted / "f", "rb") as file:
        (source / "f").write_bytes(b"twice")
        # At once with passthrough; else the kernel may keep the old size for attr_timeout.
        if data_path == "passthrough":
            assert os.pread(file.fileno(), 10, 0) == b"twice"
        mmapfs.wait_until(lambda: (mounted / "f").stat().st_size == 5, what="the new size")
        assert os.pread(file.fileno(), 10, 0) == b"twice"


def test_inode_numbers_are_those_of_the_source(source, mounted):
    (source / "f").write_bytes(b"")
    assert (mounted / "f").stat().st_ino == (source / "f").stat().st_ino


def test_a_filesystem_mounted_below_the_source_is_reached(source, loop, mount,
                                                          data_path):
    inner = loop("ext4", 16 * mmapfs.MIB)
    (source / "inner").mkdir()
    subprocess.run(["mount", "--bind", inner.point, source / "inner"], check=True)
    try:
        mounted = mount(source, f"allow_other,data_path={data_path}")
        (mounted / "inner" / "f").write_bytes(b"below")
        assert (inner.point / "f").read_bytes() == b"below"
        assert errno_of(os.rename, mounted / "inner" / "f", mounted / "f") == "EXDEV"
        mounted.unmount()
    finally:
        subprocess.run(["umount", source / "inner"], check=True)


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_works_on_other_filesystems(fstype, loop, mount, data_path):
    disk = loop(fstype, 512 * mmapfs.MIB if fstype != "ext4" else 64 * mmapfs.MIB)
    mounted = mount(disk.point, f"allow_other,data_path={data_path}")
    data = bytes(range(256)) * 8192
    (mounted / "f").write_bytes(data)
    assert (disk.point / "f").read_bytes() == data
    assert (mounted / "f").read_bytes() == data
    os.mkdir(mounted / "sub")
    os.rename(mounted / "f", mounted / "sub" / "g")
    assert (disk.point / "sub" / "g").read_bytes() == data
    assert mmapfs.stat(mounted / "sub" / "g")["pages"] == len(data) // mmapfs.PAGE


def test_works_on_tmpfs(base, mount, data_path):
    memory = base / "memory"
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", memory], check=True)
    try:
        mounted = mount(memory, f"allow_other,data_path={data_path}")
        (mounted / "f").write_bytes(b"x" * 100_000)
        assert (memory / "f").read_bytes() == b"x" * 100_000
        fields = mmapfs.stat(mounted / "f")
        assert fields["resident"] == mmapfs.pages(100_000)
        assert not isinstance(fields.get("dirty"), int), "tmpfs does not know dirty pages"
        mounted.unmount()
    finally:
        subprocess.run(["umount", memory], check=True)
