# SPDX-License-Identifier: MIT
"""Sizes: a tree far larger than the limit of descriptors, a file far larger than RAM."""

import contextlib
import os
import pathlib
import resource
import subprocess

import pytest

import mmapfs

FILES = 200_000
PER_DIRECTORY = 1000


def daemon_status(mounted, field):
    text = pathlib.Path(f"/proc/{mounted.process.pid}/status").read_text()
    line, = [line for line in text.splitlines() if line.startswith(field + ":")]
    return int(line.split()[1])


@pytest.fixture
def few_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    yield 1024
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_find_over_200000_files_needs_no_descriptor_each(few_descriptors, loop, mount):
    """On a filesystem of its own, which is thrown away faster than the files removed."""
    disk = loop("ext4", 1 << 30, mkfs=["-N", "250000", "-O", "^has_journal"])
    for d in range(FILES // PER_DIRECTORY):
        directory = disk.point / f"{d:03}"
        directory.mkdir()
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        for f in range(PER_DIRECTORY):
            os.close(os.open(f"{f:03}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
    # The hard limit too: what the daemon may raise must not be what makes it pass.
    mounted = mount(disk.point, "allow_other")
    resource.prlimit(mounted.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    before = daemon_status(mounted, "VmRSS")
    found = subprocess.run(["find", mounted.point, "-type", "f", "-size", "-1"],
                           check=True, capture_output=True)
    assert found.stderr == b""
    assert found.stdout.count(b"\n") == FILES
    grown = (daemon_status(mounted, "VmRSS") - before) * 1024
    print(f"daemon memory per inode: {grown / FILES:.0f} bytes")
    assert grown / FILES < 1024
    descriptors = len(os.listdir(f"/proc/{mounted.process.pid}/fd"))
    assert descriptors < 200


def test_ranges_of_a_sparse_tebibyte_are_cheap(loop, mount):
    """150 resident pages in 1 TiB: found by asking, not by looking at every page."""
    disk = loop("xfs", 512 * mmapfs.MIB)
    count, stride = 150, mmapfs.TIB // 150 // mmapfs.PAGE * mmapfs.PAGE
    mounted = mount(disk.point, "allow_other")
    fd = os.open(disk.point / "huge", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, mmapfs.TIB)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    with contextlib.ExitStack() as held:
        for i in range(count):
            os.pread(fd, 1, i * stride)
            held.enter_context(mmapfs.hold(disk.point / "huge", length=mmapfs.PAGE,
                                           offset=i * stride, readahead=False))
        cached = mmapfs.cachestat(disk.point / "huge")[0]
        before = daemon_status(mounted, "VmHWM")
        runs = mmapfs.ranges(mounted / "huge")
        grown = daemon_status(mounted, "VmHWM") - before
    os.close(fd)
    starts = {offset + page for offset, length in runs
              for page in range(0, length, mmapfs.PAGE)}
    assert all(i * stride in starts for i in range(count))
    assert sum(length for _, length in runs) == cached * mmapfs.PAGE
    # A vector for every page would be 256 MiB. (Address space is mapped, by windows of
    # many GiB, but that is no memory.) Sanitizers keep what was freed for a while.
    assert grown < 16 * 1024


def test_stat_of_a_sparse_tebibyte(loop, mount):
    disk = loop("xfs", 512 * mmapfs.MIB)
    with open(disk.point / "huge", "wb") as file:
        file.truncate(mmapfs.TIB)
    mounted = mount(disk.point, "allow_other")
    fields = mmapfs.stat(mounted / "huge")
    assert fields["size"] == mmapfs.TIB
    assert fields["pages"] == mmapfs.TIB // mmapfs.PAGE
    assert fields["resident"] == 0
    mmapfs.warm(mounted / "huge")
    assert mmapfs.number(mounted / "huge", "resident") == 0


def test_a_thousand_open_files(few_descriptors, source, mount):
    for i in range(900):
        (source / f"{i}").write_bytes(b"%d" % i)
    mounted = mount(source)
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(open(mounted / f"{i}", "rb")) for i in range(900)]
        for i, file in enumerate(files):
            assert file.read() == b"%d" % i
