# SPDX-License-Identifier: MIT
"""RocksDB on the mount, by its own benchmark and its own checkers: many files that are
written once, preallocated, renamed, mapped, read past the cache and removed."""

import shutil
import signal
import subprocess

import pytest

import apps
import mmapfs

pytestmark = pytest.mark.skipif(not shutil.which("db_bench"),
                                reason="rocksdb-tools is not installed")

WAYS = {"buffered": [],
        "mapped": ["--mmap_read=1", "--mmap_write=1"],
        "direct": ["--use_direct_reads=1", "--use_direct_io_for_flush_and_compaction=1"]}

each_way = pytest.mark.parametrize("way", WAYS)


def bench(path, benchmarks, way, count):
    """Small buffers make it flush and compact what is little data."""
    return ["db_bench", f"--db={path}", f"--benchmarks={benchmarks}", f"--num={count}",
            "--value_size=200", "--compression_type=none", "--write_buffer_size=500000",
            "--target_file_size_base=500000", "--paranoid_checks=1", *WAYS[way]]


def tables(path):
    """db_bench begins by removing the directory, and makes it again."""
    try:
        return list(path.glob("*.sst"))
    except FileNotFoundError:
        return []


def keys_of(path):
    """How many there are, after RocksDB's own checks."""
    assert apps.run("ldb", f"--db={path}", "checkconsistency").splitlines()[-1] == "OK"
    for table in path.glob("*.sst"):
        seen = apps.run("sst_dump", f"--file={table}", "--command=verify")
        assert "The file is ok" in seen
    seen = apps.run("ldb", f"--db={path}", "idump", "--count_only")
    return int(seen.split("Internal keys in range: ")[1].split()[0])


@each_way
def test_what_was_filled_verifies(way, source, mounted):
    seen = apps.run(*bench(mounted / "db", "fillrandom,overwrite,compact,verifychecksum,"
                           "readrandom", way, 20_000))
    assert "readrandom" in seen and "rror" not in seen
    found = keys_of(mounted / "db")
    assert found > 10_000
    mounted.unmount()
    assert keys_of(source / "db") == found


def has_key(path, number):
    """A key of db_bench is its number, in as many bytes as it has, and zeros."""
    key = number.to_bytes(8, "big") + b"0" * 8
    seen = subprocess.run(["ldb", f"--db={path}", "--key_hex", "get", "0x" + key.hex()],
                          timeout=apps.DEADLINE, capture_output=True, check=False)
    return seen.returncode == 0


@each_way
def test_a_killed_writer_leaves_what_it_wrote_in_order(way, source, mounted):
    """Without a gap: what came after a lost write is not there either."""
    (mounted / "db").mkdir()
    writer = subprocess.Popen(bench(mounted / "db", "fillseq", way, 100_000_000),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        mmapfs.wait_until(lambda: len(tables(mounted / "db")) >= 3, apps.DEADLINE,
                          "three tables")
    finally:
        writer.kill()
    assert writer.wait(apps.DEADLINE) == -signal.SIGKILL
    # Opened once it has what was in its log, and no table that was only begun.
    apps.run(*bench(mounted / "db", "verifychecksum", way, 1), "--use_existing_db=1")
    found = keys_of(mounted / "db")
    assert has_key(mounted / "db", found - 1) and not has_key(mounted / "db", found)
    mounted.unmount()
    assert keys_of(source / "db") == found
