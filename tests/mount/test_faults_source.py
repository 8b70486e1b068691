# SPDX-License-Identifier: MIT
"""A source that goes away or refuses, as a whole: unmounted, removed, read-only, over quota."""

import os
import shutil
import subprocess

import pytest

import mmapfs
from mmapfs import MIB, PAGE, errno_of
from test_faults import is_alive

OPTIONS = "allow_other,attr_timeout=0,entry_timeout=0"
REFUSALS = {None, "ENOENT", "ESTALE", "EROFS", "EIO"}


def loop_is_free(device):
    """Whether the filesystem on it is gone: a device in use is only marked to be detached."""
    subprocess.run(["losetup", "-d", device], check=False, capture_output=True)
    listed = subprocess.run(["losetup", "-n", "-l", "-O", "NAME"], check=True,
                            capture_output=True, text=True).stdout
    return device not in listed.split()


def test_a_source_that_is_unmounted_lazily_goes_on(loop, mount, data_path):
    """The daemon keeps it, to the end of its own mount and not longer."""
    disk = loop("ext4", 32 * MIB)
    mmapfs.fill(disk.point / "f", MIB)
    data = (disk.point / "f").read_bytes()
    mounted = mount(disk.point, f"{OPTIONS},data_path={data_path}")
    with open(mounted / "f", "r+b", buffering=0) as file, mmapfs.nothing_left(mounted):
        assert subprocess.run(["umount", disk.point], check=False,
                              capture_output=True).returncode != 0
        mmapfs.check(mmapfs.libc.umount2(os.fsencode(disk.point), 2))
        assert os.pread(file.fileno(), MIB, 0) == data
        os.pwrite(file.fileno(), b"after", 0)
        os.fsync(file.fileno())
        (mounted / "new").write_bytes(b"new")
        assert sorted(set(os.listdir(mounted.point)) - {"lost+found"}) == ["f", "new"]
        mmapfs.setattr(mounted / "f", "lock", "on")
        assert mmapfs.number(mounted / "f", "resident") == MIB // PAGE
        mmapfs.setattr(mounted / "f", "lock", "off")
        mmapfs.setattr(mounted.point, "evict")
    mounted.unmount()
    mmapfs.wait_until(lambda: loop_is_free(disk.device), what="the device's freedom")


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_source_directory_that_is_removed(how, source, mount, data_path):
    """It is an empty directory then, and another of that name is not it."""
    (source / "d").mkdir()
    mmapfs.fill(source / "f", MIB)
    mounted = mount(source, f"{OPTIONS},data_path={data_path}")
    with mmapfs.nothing_left(mounted):
        with open(mounted / "f", "rb", buffering=0) as file:
            mmapfs.setattr(mounted / "f", "lock", "on")
            shutil.rmtree(source)
            if how == "replaced":
                source.mkdir()
                (source / "another").touch()
            assert len(os.pread(file.fileno(), MIB, 0)) == MIB
            for act in (os.listdir, os.stat):
                assert errno_of(act, mounted.point) in REFUSALS
            for name in ("f", "d", "another"):
                assert errno_of(os.stat, mounted / name) in ("ENOENT", "ESTALE")
            assert errno_of((mounted / "new").touch) in ("ENOENT", "ESTALE")
            assert errno_of(mmapfs.getattr, mounted.point, "stat") in REFUSALS
            assert errno_of(mmapfs.setattr, mounted.point, "evict") in REFUSALS
    assert mounted.process.poll() is None
    mounted.unmount()


def test_a_source_that_becomes_read_only(loop, mount, data_path):
    """And writable again."""
    disk = loop("ext4", 32 * MIB)
    mmapfs.fill(disk.point / "f", MIB)
    mounted = mount(disk.point, f"{OPTIONS},data_path={data_path}")

    def changes():
        return [errno_of(act) for act in (
            lambda: open(mounted / "f", "r+b").close(), lambda: os.mkdir(mounted / "d"),
            lambda: (mounted / "new").touch(), lambda: os.chmod(mounted / "f", 0o600),
            lambda: os.truncate(mounted / "f", MIB), lambda: os.unlink(mounted / "new"),
            lambda: os.setxattr(mounted / "f", "user.x", b"x"), lambda: os.rmdir(mounted / "d"))]

    with mmapfs.nothing_left(mounted):
        subprocess.run(["mount", "-o", "remount,ro", disk.point], check=True)
        assert set(changes()) <= {"EROFS", "ENOENT"} and changes()[0] == "EROFS"
        assert len((mounted / "f").read_bytes()) == MIB
        for name, value in (("lock", "on"), ("warm", ""), ("evict", ""), ("sync", "sync"),
                            ("lock", "off")):
            mmapfs.setattr(mounted / "f", name, value)
        subprocess.run(["mount", "-o", "remount,rw", disk.point], check=True)
        assert changes() == [None] * 8
        assert is_alive(mounted)


# ---- quota -------------------------------------------------------------------------------

USER = 12001


@pytest.fixture
def limited(loop):
    """A btrfs that takes 4 MiB: its quota groups are there without the kernel's quota formats."""
    disk = loop("btrfs", 512 * MIB)
    for command in (["quota", "enable", disk.point],
                    ["qgroup", "limit", "4M", "0/5", disk.point]):
        subprocess.run(["btrfs", *command], check=True, capture_output=True)
    disk.point.chmod(0o777)
    return disk.point


def test_a_quota_is_edquot(limited, mount, data_path):
    mounted = mount(limited, f"{OPTIONS},data_path={data_path}")

    def fill():
        written = 0
        with open(mounted / "f", "wb", buffering=0) as file:
            try:
                while written < 8 * MIB:
                    written += file.write(b"x" * 65536)
            except OSError as error:
                return mmapfs.errno_name(error.errno), written
        return None, written

    with mmapfs.nothing_left(mounted):
        number, written = mmapfs.run_as(USER, fill)
        assert number == "EDQUOT"
        assert MIB < written <= 4 * MIB and (limited / "f").stat().st_size == written
        assert errno_of(lambda: mmapfs.run_as(USER, lambda: mmapfs.fallocate(
            mounted / "f", 0, 0, 16 * MIB))) == "EDQUOT"
        assert (mounted / "f").read_bytes() == b"x" * written
        subprocess.run(["btrfs", "quota", "disable", limited], check=True)
        assert mmapfs.run_as(USER, lambda: (mounted / "g").write_bytes(b"z" * 65536)) == 65536
        assert is_alive(mounted)
