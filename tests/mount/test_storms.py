# SPDX-License-Identifier: MIT
"""Signals, and ends of every kind, in the middle of everything: every call of a client ends in
time with what it asked for or an errno, and the daemon ends as it should, or goes on."""

import contextlib
import os
import signal
import subprocess

import pytest

import mmapfs
from mmapfs import MIB, errno_of
from test_faults import Load, is_alive

# Also what the directory below the mount answers.
GONE = {"ENOTCONN", "ECONNABORTED", "EIO", "ENOENT", "EINTR", "ENODATA", "EOPNOTSUPP"}


@pytest.fixture
def tree(source):
    """Some files in directories, to work on."""
    for d in range(8):
        (source / f"{d}").mkdir()
        for f in range(8):
            (source / f"{d}" / f"{f}").write_bytes(bytes([d, f]) * 4096)
    mmapfs.fill(source / "large", 16 * MIB)
    return source


def everything(top):
    """Functions that do each kind of work below the mount @top."""
    def read():
        for f in range(8):
            data = (top / "3" / f"{f}").read_bytes()
            assert data in (b"", bytes([3, f]) * 4096)

    def write():
        with open(top / "written", "wb") as file:
            file.write(b"w" * 100_000)
            os.fsync(file.fileno())

    def names():
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(top / "names")
            os.rename(top / "names", top / "other")
            os.rmdir(top / "other")

    def warm():
        mmapfs.setattr(top / "large", "warm")

    def evict():
        mmapfs.setattr(top, "evict")

    def lock():
        mmapfs.setattr(top / "large", "lock", "on 0+1M")
        mmapfs.setattr(top / "large", "lock", "off")

    def look():
        mmapfs.stat(top)
        mmapfs.getattr(top / "large", "ranges")
        mmapfs.getattr(top, "metrics")

    def walk():
        subprocess.run(["find", top, "-size", "+1"], check=False, capture_output=True)

    return read, write, names, warm, evict, lock, look, walk


BUSY = {"EAGAIN", "EBUSY", "EEXIST", "ENOTEMPTY"}


def test_a_storm_of_signals(base, tree, mount, data_path):
    """SIGHUP reads the policy again, the others mean nothing."""
    (base / "policy").write_text("[0/*]\nadvice = random\n")
    mounted = mount(tree, f"allow_other,data_path={data_path},policy={base}/policy,budget=1G")
    storm = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGPIPE,
             signal.SIGCONT, signal.SIGWINCH)
    with mmapfs.nothing_left(mounted):
        with Load(*everything(mounted.point), allowed=BUSY) as load:
            for _ in range(150):
                for number in storm:
                    mounted.process.send_signal(number)
            load.wait_for_rounds(1)
        assert is_alive(mounted)
        assert (mounted / "7" / "7").read_bytes() == b"\7\7" * 4096
        mmapfs.wait_until(lambda: mmapfs.warm_is_done(mounted / "large"), what="the warm's end")
        mmapfs.setattr(mounted / "large", "lock", "off")


@pytest.mark.parametrize("options", ["", ",budget=32M", ",noatime"])
def test_sigterm_in_the_middle_of_everything(options, base, tree, mount, data_path):
    """Also while snapshots are being saved."""
    mounted = mount(tree, f"allow_other,data_path={data_path},snapshot={base}/snapshot"
                          f",snapshot_interval=1{options}")

    def save():
        mmapfs.setattr(mounted.point, "snapshot", "save")

    with Load(*everything(mounted.point), save, allowed=BUSY | GONE) as load:
        load.wait_for_rounds(1)
        mounted.process.send_signal(signal.SIGTERM)
        assert mounted.process.wait(60) == 0, mounted.text()
    assert mmapfs.mount_type(mounted.point) is None
    assert (base / "snapshot").stat().st_size > 0
    again = mount(tree, f"allow_other,snapshot={base}/snapshot")
    assert (again / "7" / "7").read_bytes() == b"\7\7" * 4096


def test_a_lazy_unmount_while_busy(tree, mount, data_path):
    """What is open goes on; the daemon ends with the last close."""
    mounted = mount(tree, f"allow_other,data_path={data_path}")
    files = [os.open(mounted / "large", os.O_RDWR) for _ in range(4)]
    directory = os.open(mounted / "3", os.O_RDONLY | os.O_DIRECTORY)
    mapping = mmapfs.Mapping(mounted / "large", write=True)
    mmapfs.setattr(mounted / "large", "warm")
    with Load(*everything(mounted.point), allowed=BUSY | GONE) as load:
        load.wait_for_rounds(1)
        mmapfs.check(mmapfs.libc.umount2(os.fsencode(mounted.point), 2))
    assert mounted.process.poll() is None
    for i, fd in enumerate(files):
        os.pwrite(fd, b"after%d" % i, 4096 * i)
        os.fsync(fd)
        assert os.pread(fd, 6, 4096 * i) == b"after%d" % i
    mapping.write(MIB, b"stored")
    mapping.sync()
    assert sorted(os.listdir(directory)) == [f"{i}" for i in range(8)]
    data = (tree / "large").read_bytes()
    assert data[:6] == b"after0" and data[MIB:MIB + 6] == b"stored"
    for fd in (*files, directory):
        os.close(fd)
    assert mounted.process.poll() is None
    mapping.close()
    assert mounted.process.wait(mmapfs.DEADLINE) == 0


def test_kill_and_remount_under_load(tree, mount, base, data_path):
    """Clients, which do not know, have errors in between and go on with the next daemon."""
    options = f"allow_other,data_path={data_path}"
    mounted = mount(tree, options)
    with Load(*everything(mounted.point), allowed=BUSY | GONE) as load:
        for i in range(3):
            mounted.kill()
            mounted = mmapfs.Mount(tree, mounted.point, base / f"again{i}", options)
            mmapfs.wait_until(lambda: errno_of(os.stat, mounted.point) == "ENOTCONN",
                              what="the dead mount")
            mounted.start()  # which unmounts the remains
            load.wait_for_rounds(1, also=lambda: errno_of(os.listdir, mounted / "3") is None)
    assert (mounted / "7" / "7").read_bytes() == b"\7\7" * 4096
    assert mounted.stop() == []
