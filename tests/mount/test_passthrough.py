# SPDX-License-Identifier: MIT
"""Native speed is not measured here, but what makes it so: the kernel asks the daemon for no
byte, there is one copy of them in the page cache, and both sides see the same."""

import os
import subprocess

import pytest

import mmapfs

LENGTH = 4 * mmapfs.MIB


@pytest.fixture
def file(source):
    return mmapfs.fill(source / "f", LENGTH)


def exercise(path):
    """Every way of moving bytes of a file."""
    data = path.read_bytes()
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"written", 100)
        os.pread(file.fileno(), 100, 0)
        os.fsync(file.fileno())
    with mmapfs.mapped(path, write=True) as mapping:
        mapping.write(200, b"stored")
        mapping.sync()
    with open(path, "ab") as file:
        file.write(b"appended")
    return data


def test_no_read_or_write_reaches_the_daemon(passthrough, file, source, mount):
    mounted = mount(source, "allow_other,data_path=passthrough", debug=True)
    exercise(mounted / "f")
    (mounted / "new").write_bytes(b"x" * 100_000)
    assert (mounted / "new").read_bytes() == b"x" * 100_000
    log = mounted.text()
    assert mmapfs.requests(log, "OPEN") + mmapfs.requests(log, "CREATE") >= 5
    assert mmapfs.requests(log, "READ") == 0
    assert mmapfs.requests(log, "WRITE") == 0


def test_the_mapped_path_is_served_by_the_daemon(file, source, mount):
    """The check above can fail: here the same work does send these requests."""
    mounted = mount(source, "allow_other,data_path=mapped", debug=True)
    exercise(mounted / "f")
    log = mounted.text()
    assert mmapfs.requests(log, "READ") > 0
    assert mmapfs.requests(log, "WRITE") > 0


def test_writes_ask_for_no_capability_attribute(passthrough, file, source, mount):
    mounted = mount(source, "allow_other,data_path=passthrough", debug=True)
    with open(mounted / "f", "r+b", buffering=0) as file:
        for i in range(200):
            os.pwrite(file.fileno(), b"x" * 512, i * 512)
    assert mmapfs.requests(mounted.text(), "GETXATTR") < 10


def test_reading_fills_the_page_cache_once(passthrough, source, mount):
    length = 512 * mmapfs.MIB
    file = mmapfs.fill(source / "big", length)
    mounted = mount(source)

    def growth():
        """Of the page cache of the whole machine, by reading the file in every way."""
        mmapfs.evict_by_hand(file)
        assert mmapfs.cachestat(file)[0] == 0
        before = mmapfs.meminfo_kib("Cached")
        with mmapfs.hold(mounted / "big") as held:
            with open(mounted / "big", "rb") as reader:
                while reader.read(4 * mmapfs.MIB):
                    pass
            grown = (mmapfs.meminfo_kib("Cached") - before) * mmapfs.KIB
            assert held.resident() == mmapfs.cachestat(file)[0] == length // mmapfs.PAGE
            # The mount's own page cache holds nothing of it.
            assert mmapfs.cachestat(mounted / "big")[0] == 0
        return grown

    # What others read or free meanwhile is in that figure too: more than one attempt.
    mmapfs.wait_until(lambda: 0.8 * length < growth() < 1.2 * length, what="one copy")


def test_mmap_is_coherent_both_ways(file, source, passthrough, mount):
    mounted = mount(source)
    with mmapfs.mapped(mounted / "f", write=True) as ours, \
            mmapfs.mapped(file, write=True) as theirs:
        theirs.write(5000, b"from the source")
        assert ours.read(5000, 15) == b"from the source"
        ours.write(9000, b"from the mount")
        assert theirs.read(9000, 14) == b"from the mount"
        with open(mounted / "f", "r+b", buffering=0) as writer:
            os.pwrite(writer.fileno(), b"by write", 20_000)
            assert ours.read(20_000, 8) == theirs.read(20_000, 8) == b"by write"
        with open(file, "r+b", buffering=0) as writer:
            os.pwrite(writer.fileno(), b"by the source", 30_000)
        assert ours.read(30_000, 13) == b"by the source"


def test_a_mapped_store_shows_in_times_that_were_kept(file, source, mount, data_path):
    """The lookup of open(2) leaves attributes with the kernel, good for a minute here. stat(1)
    asks for one time only; all of them would be asked for anew, because mmap(2) spoils one."""
    mounted = mount(source, f"allow_other,data_path={data_path},attr_timeout=60")
    os.utime(file, (1_000_000_000, 1_000_000_000))

    def mtime():
        return subprocess.run(["stat", "-c", "%Y", mounted / "f"], check=True, text=True,
                              capture_output=True).stdout.strip()

    assert mtime() == "1000000000"
    with mmapfs.mapped(mounted / "f", write=True) as ours:
        ours.write(5000, b"stored")
        ours.sync()
    assert mtime() != "1000000000"


def test_mincore_on_the_mount_is_that_of_the_source(file, source, passthrough, mount):
    mounted = mount(source)
    mmapfs.evict_by_hand(file)
    with mmapfs.mapped(mounted / "f") as ours, mmapfs.mapped(file) as theirs:
        assert ours.resident() == theirs.resident() == 0
        with mmapfs.hold(file, length=mmapfs.MIB, readahead=False):
            assert ours.mincore() == theirs.mincore()
            assert ours.resident() == mmapfs.number(mounted / "f", "resident") > 0


def test_data_path_is_shown_while_open(file, source, passthrough, mount):
    mounted = mount(source)
    with open(mounted / "f", "rb"):
        assert mmapfs.stat(mounted / "f")["data_path"] == "passthrough"


def test_many_opens_of_one_file_share_a_path(file, mounted):
    flags = [os.O_RDONLY, os.O_RDWR, os.O_WRONLY, os.O_WRONLY | os.O_APPEND]
    opened = [os.open(mounted / "f", how) for how in flags * 20]
    for fd in opened[::4]:
        assert os.pread(fd, 16, 0) == file.read_bytes()[:16]
    for fd in opened:
        os.close(fd)


def test_direct_io_works(file, source, passthrough, mount):
    mounted = mount(source)
    fd = os.open(mounted / "f", os.O_RDONLY | os.O_DIRECT)
    buffer = mmapfs.ctypes.create_string_buffer(2 * mmapfs.PAGE)
    address = -(-mmapfs.ctypes.addressof(buffer) // mmapfs.PAGE) * mmapfs.PAGE
    got = mmapfs.libc.pread(fd, mmapfs.ctypes.c_void_p(address), mmapfs.PAGE,
                            mmapfs.ctypes.c_int64(mmapfs.PAGE))
    os.close(fd)
    assert got == mmapfs.PAGE
    assert mmapfs.ctypes.string_at(address, mmapfs.PAGE) == file.read_bytes()[
        mmapfs.PAGE:2 * mmapfs.PAGE]


def test_appends_from_both_sides_lose_nothing(source, passthrough, mount):
    mounted = mount(source)
    (source / "log").write_bytes(b"")
    ours = os.open(mounted / "log", os.O_WRONLY | os.O_APPEND)
    theirs = os.open(source / "log", os.O_WRONLY | os.O_APPEND)
    for _ in range(500):
        os.write(ours, b"m")
        os.write(theirs, b"s")
    os.close(ours)
    os.close(theirs)
    assert (source / "log").read_bytes() == b"ms" * 500


def test_a_source_that_is_stacked_is_served_mapped(base, mount):
    """overlayfs below: passthrough is refused by the kernel, the mount works all the same."""
    for name in ("lower", "upper", "work", "over"):
        (base / name).mkdir()
    (base / "lower" / "f").write_bytes(b"from below" * 1000)
    mmapfs.subprocess.run(
        ["mount", "-t", "overlay", "none", base / "over", "-o",
         f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"], check=True)
    try:
        mounted = mount(base / "over")
        assert (mounted / "f").read_bytes() == b"from below" * 1000
        with open(mounted / "f", "rb"):
            assert mmapfs.stat(mounted / "f")["data_path"] == "mapped"
        (mounted / "f").write_bytes(b"copied up")
        assert (base / "over" / "f").read_bytes() == b"copied up"
        mounted.unmount()
    finally:
        mmapfs.subprocess.run(["umount", base / "over"], check=True)
