# SPDX-License-Identifier: MIT
"""At the limits: out of descriptors, out of memory, the longest names and paths, the largest
file, many open files. Each ends in an errno to the caller and a daemon that goes on."""

import contextlib
import os
import resource
import subprocess

import pytest

import mmapfs
from mmapfs import PAGE, TIB, errno_of
from test_faults import Load, is_alive

LIMIT = 64


@pytest.fixture
def no_handles(base):
    """A tree on overlayfs, which has no file handles for us: each inode needs a descriptor."""
    for name in ("lower", "upper", "work", "merged"):
        (base / name).mkdir()
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "none", base / "merged"],
                   check=True)
    yield base / "merged"
    subprocess.run(["umount", "-l", base / "merged"], check=True)


def limit(mounted, what, value):
    """The soft limit, which can be raised again."""
    _, hard = resource.prlimit(mounted.process.pid, what)
    resource.prlimit(mounted.process.pid, what, (value, hard))


def test_out_of_descriptors_for_inodes(no_handles, mount):
    """More files than descriptors: some are EMFILE, none is another, and all come again when the
    kernel has forgotten others."""
    for i in range(2 * LIMIT):
        (no_handles / f"{i}").write_bytes(b"%d" % i)
    mounted = mount(no_handles)
    with mmapfs.nothing_left(mounted):
        limit(mounted, resource.RLIMIT_NOFILE, LIMIT)
        answers = [errno_of(os.stat, mounted / f"{i}") for i in range(2 * LIMIT)]
        assert set(answers) == {None, "EMFILE"}
        assert len(os.listdir(mounted.point)) == 2 * LIMIT
        assert errno_of(mmapfs.setattr, mounted.point, "evict") in (None, "EMFILE")
        mmapfs.drop_kernel_references()
        some = range(LIMIT, LIMIT + 10)
        mmapfs.wait_until(lambda: not any(errno_of(os.stat, mounted / f"{i}") for i in some))
        for i in some:
            assert (mounted / f"{i}").read_bytes() == b"%d" % i
    assert "out of file descriptors" in mounted.text()


def test_out_of_descriptors_for_open_files(source, mount, data_path):
    for i in range(2 * LIMIT):
        (source / f"{i}").write_bytes(b"%d" % i)
    mounted = mount(source, f"allow_other,data_path={data_path}")
    with mmapfs.nothing_left(mounted):
        limit(mounted, resource.RLIMIT_NOFILE, LIMIT)
        with contextlib.ExitStack() as opened:
            opened.callback(limit, mounted, resource.RLIMIT_NOFILE, 1000)
            answers = []
            for i in range(2 * LIMIT):
                try:
                    opened.enter_context(open(mounted / f"{i}", "r+b"))
                except OSError as error:
                    answers.append(mmapfs.errno_name(error.errno))
            assert set(answers) == {"EMFILE"} and len(answers) > LIMIT / 2
            # One may be left where an operation needs two.
            either = (None, "EMFILE")
            for name in ("stat", "ranges", "resident"):
                assert errno_of(mmapfs.getattr, mounted / "1", name) in either
            for name, value in (("warm", ""), ("evict", ""), ("lock", "on"), ("sync", "sync")):
                assert errno_of(mmapfs.setattr, mounted / "2", name, value) in either
            assert errno_of(os.listdir, mounted.point) in either
            assert errno_of(os.mkdir, mounted / "d") in either
        assert is_alive(mounted)
        mmapfs.setattr(mounted / "2", "lock", "off")
        assert (mounted / "1").read_bytes() == (source / "1").read_bytes()


def address_space(mounted):
    text = open(f"/proc/{mounted.process.pid}/status", encoding="ascii").read()
    line, = [line for line in text.splitlines() if line.startswith("VmSize:")]
    return int(line.split()[1]) * 1024


def is_sanitized():
    return "san" in subprocess.run(["ldd", mmapfs.DAEMON], capture_output=True, text=True,
                                   check=True).stdout or b"__asan_init" in \
        mmapfs.DAEMON.read_bytes() or b"__tsan_init" in mmapfs.DAEMON.read_bytes()


@pytest.mark.slow
def test_out_of_memory(source, mount, data_path):
    """RLIMIT_AS: no mapping and, in the end, no memory can be had. With the limit gone, all is as
    before."""
    if is_sanitized():
        pytest.skip("a sanitizer needs address space of its own")
    data = mmapfs.fill(source / "f", 64 * mmapfs.MIB).read_bytes()
    for i in range(100):
        (source / f"{i}").touch()
    mounted = mount(source, f"allow_other,data_path={data_path}")
    allowed = {"ENOMEM", "EIO", "EAGAIN", "EBUSY"}

    def work():
        mmapfs.stat(mounted / "f")

    def read():
        assert (mounted / "f").read_bytes() == data

    def lock():
        mmapfs.setattr(mounted / "f", "lock", "on")
        mmapfs.setattr(mounted / "f", "lock", "off")

    def warm():
        mmapfs.setattr(mounted / "f", "warm")

    def tree():
        mmapfs.setattr(mounted.point, "evict")
        os.listdir(mounted.point)

    with mmapfs.nothing_left(mounted):
        limit(mounted, resource.RLIMIT_AS, address_space(mounted))
        assert errno_of(mmapfs.setattr, mounted / "f", "lock", "on") == "ENOMEM"
        for room in (mmapfs.MIB, 64 * 1024, 0):
            with Load(work, read, lock, warm, tree, allowed=allowed):
                limit(mounted, resource.RLIMIT_AS, address_space(mounted) + room)
                for i in range(100):
                    assert errno_of(os.stat, mounted / f"{i}") in (None, "ENOMEM")
                limit(mounted, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        assert is_alive(mounted)
        mmapfs.setattr(mounted / "f", "lock", "on")
        assert mmapfs.number(mounted / "f", "locked") == 64 * mmapfs.MIB // PAGE
        mmapfs.setattr(mounted / "f", "lock", "off")
        assert (mounted / "f").read_bytes() == data


# ---- names and paths ---------------------------------------------------------------------

@pytest.mark.parametrize("name", ["n" * 255, "\u00e4" * 127, "\n" * 255, "\\" * 255],
                         ids=["letters", "utf-8", "newlines", "backslashes"])
def test_names_of_255_bytes(name, source, mounted):
    (mounted / name).write_bytes(b"x")
    assert os.listdir(source) == [name]
    os.rename(mounted / name, mounted / "short")
    os.link(mounted / "short", mounted / name)
    assert sorted(os.listdir(mounted.point)) == sorted(["short", name])
    assert mmapfs.stat(mounted / name)["pages"] == 1
    mmapfs.setattr(mounted.point, "evict")
    os.unlink(mounted / "short")
    assert (mounted / name).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["n" * 256, "\u00e4" * 128])
def test_longer_names_are_enametoolong(name, source, mounted):
    for act in (os.stat, os.mkdir, os.unlink, lambda path: open(path, "wb")):
        assert errno_of(act, mounted / name) == "ENAMETOOLONG"
    assert os.listdir(source) == []


def test_paths_of_4095_bytes_and_beyond(source, mounted):
    """Beyond that only step by step; the daemon, which has no paths, must not mind."""
    top = os.open(mounted.point, os.O_RDONLY | os.O_DIRECTORY)
    steps, here = 40, top
    try:
        for i in range(steps):
            os.mkdir("d" * 250, dir_fd=here)
            below = os.open("d" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
            if i == steps // 2:
                mmapfs.drop_kernel_references()
        fd = os.open("f", os.O_CREAT | os.O_RDWR, dir_fd=here)
        os.write(fd, b"x" * PAGE)
        name = f"/proc/self/fd/{fd}"
        assert mmapfs.stat(name)["pages"] == 1
        mmapfs.setattr(name, "lock", "on")
        assert mmapfs.number(name, "locked") == 1
        mmapfs.setattr(name, "lock", "off")
        os.close(fd)
        assert os.listdir(here) == ["f"]
    finally:
        os.close(here)
    fields = mmapfs.stat(mounted.point)
    assert (fields["files"], fields["unknown_files"]) == (1, 0)
    room = 4095 - len(os.fsencode(mounted.point)) - 1
    longest = "/".join(["d" * 250] * (room // 251))
    longest += "/" + "e" * (room - len(longest) - 1)
    (mounted / longest).write_bytes(b"y")
    assert len(os.fsencode(mounted / longest)) == 4095
    assert (source / longest).read_bytes() == b"y" if len(os.fsencode(source / longest)) < 4096 \
        else mmapfs.stat(mounted.point)["files"] == 2
    assert errno_of(os.stat, mounted / (longest + "e")) == "ENAMETOOLONG"
    subprocess.run(["rm", "-r", *source.iterdir()], check=True)


# ---- sizes -------------------------------------------------------------------------------

def test_a_sparse_file_of_nearly_16_tebibyte(loop, mount, data_path):
    disk = loop("xfs", 512 * mmapfs.MIB)
    size = 16 * TIB - 4096
    with open(disk.point / "huge", "wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b"first", 0)
        os.pwrite(file.fileno(), b"last", size - 4)
    mounted = mount(disk.point, f"allow_other,data_path={data_path},lock_limit=64M")
    file = mounted / "huge"
    with mmapfs.nothing_left(mounted):
        assert mmapfs.stat(file)["pages"] == size // PAGE
        assert errno_of(mmapfs.setattr, file, "lock", "on") == "ENOMEM"
        assert mmapfs.number(file, "locked") == 0
        mmapfs.setattr(file, "lock", f"on {size - PAGE}")
        assert mmapfs.number(file, "locked") == 1
        assert (size - PAGE, PAGE) in [(at + length - PAGE, PAGE)
                                       for at, length in mmapfs.ranges(file)]
        assert mmapfs.warm(file).startswith("done")
        assert mmapfs.number(file, f"resident@{size - PAGE}") == 1
        mmapfs.setattr(file, "lock", "off")
        mmapfs.setattr(file, "evict")
        mmapfs.setattr(file, "advise", "random")
        mmapfs.getattr(file, "map")
        with open(file, "r+b", buffering=0) as opened:
            assert os.pread(opened.fileno(), 10, size - 4) == b"last"
            assert os.lseek(opened.fileno(), 8192, os.SEEK_DATA) == size - 4096
            os.pwrite(opened.fileno(), b"middle", 8 * TIB + 17)
            assert os.pread(opened.fileno(), 6, 8 * TIB + 17) == b"middle"
        assert is_alive(mounted)


@pytest.mark.slow
def test_10000_open_files_of_clients(source, mount):
    """Opened to be read they cost the daemon no descriptor where the kernel reads."""
    count, clients = 10_000, 20
    for i in range(count):
        (source / f"{i}").touch()
    (source / "last").write_bytes(b"last")
    mounted = mount(source)
    script = ("import os, sys\n"
              "point, at, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n"
              "files = [os.open(f'{point}/{at + i}', os.O_RDONLY) for i in range(count)]\n"
              "print(len(files), flush=True)\n"
              "sys.stdin.read()\n")
    with mmapfs.nothing_left(mounted):
        running = [subprocess.Popen(["/usr/bin/python3", "-c", script, mounted.point,
                                     str(i * count // clients), str(count // clients)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                   for i in range(clients)]
        try:
            assert [one.stdout.readline() for one in running] == ["500\n"] * clients
            assert (mounted / "last").read_bytes() == b"last"
            assert mmapfs.stat(mounted.point)["files"] == count + 1
        finally:
            for one in running:
                one.communicate()
    assert is_alive(mounted)
