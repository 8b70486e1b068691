# SPDX-License-Identifier: MIT
"""The mapped data path: the daemon answers reads out of its mapping, writes with pwrite; the
same answers as passthrough, with whatever happens to the file meanwhile."""

import os

import pytest

import mmapfs

LENGTH = 2 * mmapfs.MIB


@pytest.fixture
def file(source):
    return mmapfs.fill(source / "f", LENGTH)


@pytest.fixture
def mapped_mount(source, mount):
    return mount(source, "allow_other,data_path=mapped")


def test_bytes_are_those_of_the_source(file, mapped_mount):
    with open(mapped_mount / "f", "rb") as reader:
        assert reader.read() == file.read_bytes()
        assert mmapfs.stat(mapped_mount / "f")["data_path"] == "mapped"


def test_short_reads_at_the_end(file, mapped_mount):
    with open(mapped_mount / "f", "rb", buffering=0) as reader:
        tail = file.read_bytes()[-5:]
        assert os.pread(reader.fileno(), 100, LENGTH - 5) == tail
        assert os.pread(reader.fileno(), 100, LENGTH) == b""
        assert os.pread(reader.fileno(), 100, LENGTH + mmapfs.GIB) == b""


def test_writes_reach_the_source_at_once(file, mapped_mount):
    with open(mapped_mount / "f", "r+b", buffering=0) as writer:
        os.pwrite(writer.fileno(), b"hello", 4094)
        assert file.read_bytes()[4094:4099] == b"hello"
        os.pwrite(writer.fileno(), b"grown", LENGTH + 10)
        assert file.stat().st_size == LENGTH + 15
        assert os.pread(writer.fileno(), 15, LENGTH) == bytes(10) + b"grown"


def test_a_file_that_grows_on_the_source_is_read_to_its_new_end(file, mapped_mount):
    with open(mapped_mount / "f", "rb", buffering=0) as reader:
        assert os.pread(reader.fileno(), 8, 0) == file.read_bytes()[:8]
    with open(file, "ab") as writer:
        writer.write(b"more" * 5000)
    assert (mapped_mount / "f").read_bytes() == file.read_bytes()


def test_a_file_that_shrank_on_the_source_ends_there(file, mapped_mount):
    (mapped_mount / "f").read_bytes()
    os.truncate(file, 5000)
    assert (mapped_mount / "f").read_bytes() == file.read_bytes()


def test_a_mapping_is_written_back_by_msync(file, mapped_mount):
    with mmapfs.mapped(mapped_mount / "f", write=True) as mapping:
        mapping.write(7000, b"stored")
        mapping.sync()
    assert file.read_bytes()[7000:7006] == b"stored"


def test_source_changes_are_seen_by_a_new_open(file, mapped_mount):
    (mapped_mount / "f").read_bytes()
    with open(file, "r+b") as writer:
        writer.write(b"changed in place")
    assert (mapped_mount / "f").read_bytes() == file.read_bytes()


def test_evict_also_empties_the_mount_s_own_copy(file, mapped_mount):
    (mapped_mount / "f").read_bytes()
    mmapfs.setattr(mapped_mount / "f", "evict")
    assert mmapfs.number(mapped_mount / "f", "resident") == 0
    mmapfs.wait_until(lambda: mmapfs.cachestat(mapped_mount / "f")[0] == 0,
                      what="the invalidation of the mount's copy")


def test_empty_files_are_no_special_case(source, mapped_mount):
    (mapped_mount / "e").write_bytes(b"")
    assert (mapped_mount / "e").read_bytes() == b""
    (mapped_mount / "e").write_bytes(b"no longer")
    assert (mapped_mount / "e").read_bytes() == b"no longer"


def test_a_large_file_is_read_right(source, mapped_mount):
    """Offsets beyond 4 GiB, in a sparse file."""
    with open(source / "far", "wb") as writer:
        writer.seek(5 * mmapfs.GIB)
        writer.write(b"beyond")
    with open(mapped_mount / "far", "rb", buffering=0) as reader:
        assert os.pread(reader.fileno(), 10, 5 * mmapfs.GIB) == b"beyond"
        assert os.pread(reader.fileno(), 4, 4 * mmapfs.GIB) == bytes(4)
