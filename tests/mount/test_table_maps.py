# SPDX-License-Identifier: MIT
"""Region tables: memory maps of windows that share bytes, and memory of its own."""

import faulthandler
import mmap
import os
import random
import shutil
import signal
import subprocess

import pytest

import mmapfs
from mmapfs import MIB, PAGE, errno_of
from region_table import (AT, LENGTH, ODD, OVER, SIZE, WINDOWS, big, mounted, part, read_at,
                          table, write_at)

__all__ = ["big", "mounted", "table"]  # fixtures


# ---- memory maps -----------------------------------------------------------------------


def test_a_memory_map_shows_the_window(mounted, big):
    for name in WINDOWS:
        with mmapfs.mapped(mounted / name) as mapping:
            assert mapping.read(0, mapping.length) == part(big, name), name


def test_stores_reach_the_source_and_the_others_with_msync(mounted, big):
    model = bytearray(big.read_bytes())
    for name, (base, length) in WINDOWS.items():
        with mmapfs.mapped(mounted / name, write=True) as mapping:
            for offset in (0, 4095, 70000, length - 7):
                data = f"{name} {offset}".encode()[:7]
                mapping.write(offset, data)
                model[base + offset:base + offset + len(data)] = data
            mapping.sync()
            assert big.read_bytes() == model, name
            for other, (at, full) in WINDOWS.items():
                assert (mounted / other).read_bytes() == model[at:at + full], (name, other)
    assert big.stat().st_size == SIZE


def test_a_window_s_own_map_and_its_reads_and_writes_agree_at_once(mounted):
    with open(mounted / "odd", "r+b", buffering=0) as file, \
            mmapfs.mapped(mounted / "odd", write=True) as mapping:
        for i in range(50):
            mapping.write(4090, b"stored%d" % i)
            assert os.pread(file.fileno(), 20, 4090).startswith(b"stored%d" % i)
            os.pwrite(file.fileno(), b"written%d" % i, 8190)
            assert mapping.read(8190, 20).startswith(b"written%d" % i)


def test_a_write_is_in_the_maps_of_all_windows_when_it_returns(mounted, big):
    """And what they had stored into the same page before is kept."""
    gap = OVER - AT
    with mmapfs.mapped(mounted / "aligned", write=True) as mapping, \
            open(mounted / "over", "r+b", buffering=0) as file:
        for i in range(100):
            mapping.write(gap + 100, b"A%05d" % i)  # in a page, dirty now,
            os.pwrite(file.fileno(), b"B%05d" % i, 200)  # that is written to elsewhere
            assert mapping.read(gap + 200, 6) == b"B%05d" % i
            assert mapping.read(gap + 100, 6) == b"A%05d" % i
            assert os.pread(file.fileno(), 106, 100)[0:6] == b"A%05d" % i
            assert read_at(big, OVER + 100, 6) == b"A%05d" % i
            assert read_at(big, OVER + 200, 6) == b"B%05d" % i


def test_a_write_is_in_maps_that_are_read_while_it_happens(mounted):
    """A page that comes back between the forgetting and the write is forgotten again."""
    gap = OVER - AT
    child = os.fork()
    if child == 0:
        with mmapfs.mapped(mounted / "aligned") as mapping:
            while True:
                mapping.read(gap + 200, 6)
    try:
        with mmapfs.mapped(mounted / "aligned") as mapping, \
                open(mounted / "over", "r+b", buffering=0) as file:
            for i in range(1500):
                os.pwrite(file.fileno(), b"C%05d" % i, 200)
                assert mapping.read(gap + 200, 6) == b"C%05d" % i
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_hole_is_in_the_maps_of_all_windows_when_it_is_punched(mounted):
    gap = OVER - AT
    with mmapfs.mapped(mounted / "aligned", write=True) as mapping, \
            open(mounted / "over", "r+b", buffering=0):
        mapping.write(gap, b"x" * 10000)
        mmapfs.fallocate(mounted / "over", 3, 100, 8000)
        assert mapping.read(gap, 10000) == b"x" * 100 + bytes(8000) + b"x" * 1900


def test_what_one_map_stored_comes_into_the_others_with_msync(mounted):
    gap = OVER - AT
    with mmapfs.mapped(mounted / "aligned", write=True) as one, \
            mmapfs.mapped(mounted / "over") as other:
        for i in range(20):
            assert other.read(5000, 3) is not None  # has its copy
            one.write(gap + 5000, b"%03d" % i)
            one.sync()
            mmapfs.wait_until(lambda: other.read(5000, 3) == b"%03d" % i,
                              what="the store in the other window's map")


def test_an_evict_lets_maps_see_what_the_source_has_become(mounted, big):
    with mmapfs.mapped(mounted / "odd") as mapping:
        mapping.read(0, mapping.length)
        write_at(big, ODD + 9000, b"changed by others")
        mmapfs.setattr(mounted / "odd", "evict")
        assert mapping.read(9000, 17) == b"changed by others"


def test_the_sync_control_writes_what_maps_have_stored(mounted, big):
    with mmapfs.mapped(mounted / "odd", write=True) as mapping:
        mapping.write(12345, b"not yet written back")
        mmapfs.setattr(mounted / "odd", "sync", "sync")
        assert read_at(big, ODD + 12345, 20) == b"not yet written back"


def test_whole_files_go_their_own_way(mounted, big, data_path):
    with open(mounted / "whole", "rb"), open(mounted / "tail", "rb"):
        assert mmapfs.stat(mounted / "whole")["data_path"] == data_path
        assert mmapfs.stat(mounted / "tail")["data_path"] == "mapped"


def touch_behind_the_end(path, ready):
    faulthandler.disable()
    with open(path, "rb") as file:
        memory = mmap.mmap(file.fileno(), LENGTH, mmap.MAP_SHARED, mmap.PROT_READ)
    ready()
    return memory[LENGTH - 1]


def test_a_memory_map_of_what_is_gone_signals_its_process_alone(mounted, big):
    child = os.fork()
    if child == 0:
        touch_behind_the_end(mounted / "aligned", lambda: os.truncate(big, MIB))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS
    assert (mounted / "aligned").read_bytes() == b""


def test_a_write_may_come_out_of_the_map_of_a_window_that_it_changes(mounted, big):
    """Whose pages are held by the very write that wants them forgotten."""
    gap = OVER - AT
    with open(mounted / "over", "r+b") as file, \
            mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED) as memory, \
            open(mounted / "aligned", "r+b", buffering=0) as other:
        memory[0:5000] = b"m" * 5000
        assert os.pwrite(other.fileno(), memoryview(memory)[0:5000], gap + 2500) == 5000
        assert read_at(big, OVER, 7600) == b"m" * 7500 + part(big, "over")[7500:7600]


@pytest.mark.slow
def test_processes_at_all_windows_at_once(mounted, big):
    """Each writes its own bytes in every page, by write and by store; none gets lost."""
    def work(name, slot, mapped_too):
        base, _ = WINDOWS[name]
        rng = random.Random(slot)
        at = OVER + slot * 64 - base
        with open(mounted / name, "r+b", buffering=0) as file:
            for i in range(300):
                page = rng.randrange(40) * PAGE
                data = b"%02d:%05d:%05d;" % (slot, i, page)
                os.pwrite(file.fileno(), data, at + page)
                assert os.pread(file.fileno(), len(data), at + page) == data
        if mapped_too:
            with mmapfs.mapped(mounted / name) as mapping:
                assert mapping.read(at + page, len(data)) == data

    children = []
    for slot, (name, too) in enumerate([("aligned", True), ("over", True), ("whole", False),
                                        ("aligned", False), ("over", True)]):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(name, slot, too)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
    assert (mounted / "over").read_bytes() == part(big, "over")


# ---- memory ----------------------------------------------------------------------------


def test_memory_is_shared_by_all_who_open_it(mounted):
    """By maps without msync, by reads and writes, between processes."""
    path = mounted / "memory"
    assert path.stat().st_size == MIB
    assert path.read_bytes() == bytes(MIB)
    mine = mmapfs.Mapping(path, write=True)
    theirs_ready, mine_ready = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with mmapfs.mapped(path, write=True) as theirs:
            theirs.write(MIB - 5, b"child")
            os.write(theirs_ready[1], b"!")
            os.read(mine_ready[0], 1)
            seen = theirs.read(70000, 6) == b"parent" and read_at(path, 3, 5) == b"wrote"
        os._exit(0 if seen else 1)
    os.read(theirs_ready[0], 1)
    assert mine.read(MIB - 5, 5) == b"child"
    assert read_at(path, MIB - 5, 10) == b"child"
    mine.write(70000, b"parent")
    write_at(path, 3, b"wrote")
    assert mine.read(3, 5) == b"wrote"
    os.write(mine_ready[1], b"!")
    assert os.waitpid(child, 0)[1] == 0
    mine.close()
    assert read_at(path, 70000, 6) == b"parent"
    for fd in (*theirs_ready, *mine_ready):
        os.close(fd)


ADDON = mmapfs.BUILD / "node" / "mmapfs.node"
NODE = """
const [, library, path] = process.argv
const mapping = require(library).open(path, { access: 'write' })
const bytes = mapping.buffer
if (bytes.length !== 1 << 20) throw new Error(`length ${bytes.length}`)
process.stdin.on('data', (line) => {
  process.stdout.write(bytes.toString('latin1', 70000, 70006) + '\\n')
  bytes.write('answer', (1 << 20) - 6)
}).on('end', () => mapping.close())
process.stdout.write('ready\\n')
"""


@pytest.mark.skipif(not ADDON.exists() or not shutil.which("node"), reason="no Node.js addon")
def test_memory_is_shared_with_a_mapping_of_node(mounted):
    path = mounted / "memory"
    with mmapfs.mapped(path, write=True) as mine, subprocess.Popen(
            ["node", "-e", NODE, mmapfs.TOP / "node", path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=dict(os.environ, MMAPFS_ADDON=ADDON)) as node:
        assert node.stdout.readline() == "ready\n"
        mine.write(70000, b"python")
        node.stdin.write("now\n")
        node.stdin.flush()
        assert node.stdout.readline() == "python\n"
        mmapfs.wait_until(lambda: mine.read(MIB - 6, 6) == b"answer", what="what Node wrote")
        node.stdin.close()
        assert node.wait(mmapfs.DEADLINE) == 0
    assert read_at(path, MIB - 6, 6) == b"answer"


def test_memory_is_at_most_as_long_as_its_row(mounted):
    path = mounted / "memory"
    assert write_at(path, MIB - 1, b"ab") == 1
    assert errno_of(write_at, path, MIB, b"x") == "EFBIG"
    assert errno_of(os.truncate, path, MIB + 1) == "EFBIG"
    assert errno_of(mmapfs.fallocate, path, 0, MIB, 1) == "EFBIG"
    path.write_bytes(b"shorter")
    assert path.stat().st_size == 7
    assert path.read_bytes() == b"shorter"
    with open(path, "ab", buffering=0) as file:
        file.write(b" and longer")
        assert file.write(bytes(2 * MIB)) == MIB - 18
        assert errno_of(file.write, b"x") == "EFBIG"
    os.truncate(path, MIB)
    assert path.stat().st_size == MIB


def test_memory_has_attributes_of_its_own(mounted, table):
    path = mounted / "memory"
    assert path.stat().st_mode & 0o7777 == table.stat().st_mode & 0o666
    os.chmod(path, 0o620)
    os.chown(path, 12, 34)
    os.utime(path, (1000, 2000))
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o620, 12, 34)
    assert status.st_mtime == 2000


def test_memory_is_gone_with_the_mount(table, mount):
    first = mount(table)
    (first / "memory").write_bytes(b"secret")
    first.unmount()
    assert (mount(table) / "memory").read_bytes() == bytes(MIB)
