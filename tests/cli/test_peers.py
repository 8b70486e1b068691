# SPDX-License-Identifier: MIT
"""The defects of other page-cache tools, none of them here: a table, and the cases that are
at home nowhere else."""

import ctypes
import os
import pathlib
import re
import struct
import subprocess

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, NOBODY, PAGE

# Who has it, what it is, and the test here that would see it.
DEFECTS = [
    ("vmtouch", "exit 0 for a missing file",
     "test_stat.py", "test_a_missing_file_is_exit_2_and_the_others_are_done"),
    ("vmtouch", "a list without a final newline loses its last character",
     "test_stat.py", "test_a_list_without_final_newline_is_whole"),
    ("vmtouch", "dies of SIGBUS when a file is truncated while it is read in",
     "test_warm.py", "test_truncation_during_a_warm_is_an_error_about_that_file"),
    ("vmtouch", "fills holes with pages of zeros",
     "test_warm.py", "test_holes_are_not_filled"),
    ("vmtouch", "says evicted of mapped pages that stayed",
     "test_evict.py", "test_mapped_pages_stay_and_are_said_to"),
    ("vmtouch", "says evicted of dirty pages that stayed",
     "test_evict.py", "test_dirty_pages_go_only_once_they_are_written"),
    ("vmtouch", "the lock daemon keeps the old inode after a rename",
     "test_lock.py", "test_a_file_renamed_over_is_followed"),
    ("vmtouch, fincore 2.38, pcstat", "100 % of a file of somebody else's",
     "test_stat.py", "test_of_somebody_elses_file_nothing_is_known"),
    ("vmtouch, pcstat", "seconds and hundreds of megabytes for 1 TiB of hole",
     "test_stat.py", "test_a_sparse_tebibyte_needs_little"),
    ("fincore, pcstat", "hangs on a FIFO",
     "test_peers.py", "test_no_verb_hangs_on_a_fifo"),
    ("fincore", "hangs on a tree with a FIFO in it",
     "test_stat.py", "test_fifos_and_sockets_do_not_hang"),
    ("fincore", "sizes in JSON are strings",
     "test_peers.py", "test_figures_in_json_are_numbers"),
    ("fincore", "invalid JSON for a name that is not UTF-8",
     "test_stat.py", "test_names_that_are_no_text"),
    ("fincore 2.38", "a block device has size 0",
     "test_stat.py", "test_a_block_device_is_counted_as_operand_only"),
    ("fincore 2.38", "100 % of a block device when unprivileged",
     "test_peers.py", "test_a_block_device_of_roots_is_unknown_to_others"),
    ("fincore git", "0 pages of every file on overlayfs",
     "test_stat.py", "test_overlayfs_is_seen_through"),
    ("fincore git", "0 pages of every file on a FUSE passthrough mount",
     "test_stat.py", "test_a_mounted_mmapfs_tells_the_truth"),
    ("fincore git", "stops where a container forbids cachestat",
     "test_peers.py", "test_without_permission_for_cachestat_mincore_counts"),
    ("pcstat", "no JSON for an empty file, whose share would be NaN",
     "test_stat.py", "test_an_empty_file_has_no_percentage"),
    ("hcache", "ends when a process exits while it looks",
     "test_peers.py", "test_processes_may_exit_while_they_are_looked_at"),
    ("hcache", "misses files that are open but not mapped",
     "test_peers.py", "test_a_file_that_is_only_open_is_found"),
    ("pagers, pgfincore", "one call for a large file reads in one readahead window",
     "test_peers.py", "test_advice_to_read_ahead_reaches_the_end"),
]


@pytest.mark.parametrize("row", DEFECTS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_every_defect_has_its_test(row):
    text = (pathlib.Path(__file__).parent / row[2]).read_text()
    assert re.search(rf"^def {row[3]}\(", text, re.MULTILINE)


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@pytest.mark.parametrize("verb", ["stat", "ranges", "map", "explain", "warm", "evict",
                                  "lock", "sync", "advise willneed", "watch --count 1"])
def test_no_verb_hangs_on_a_fifo(source, verb):
    os.mkfifo(source / "fifo")
    done = tool.run(*verb.split(), source / "fifo", code=(0, 2, 3, 4))
    assert "a FIFO" in done.stderr


def test_figures_in_json_are_numbers(source):
    path = mmapfs.fill(source / "f", 3 * PAGE)
    with mmapfs.hold(path):
        report = tool.report("stat", path)
    for of in (report["files"][0], report["total"]):
        for key in ("size", "pages", "resident", "resident_bytes", "dirty", "evicted"):
            assert type(of[key]) is int, key
    assert report["files"][0]["size"] == 3 * PAGE


def test_a_block_device_of_roots_is_unknown_to_others(loop):
    disk = loop("ext4", 16 * MIB)
    mode = os.stat(disk.device).st_mode
    os.chmod(disk.device, 0o644)
    try:
        report = tool.report("stat", disk.device, code=3, preexec_fn=as_nobody)
    finally:
        os.chmod(disk.device, mode & 0o777)
    found = report["files"][0]
    assert found["resident"] is None and found["reason"] == "no-permission"
    assert found["size"] == 16 * MIB


def forbid_cachestat():
    """Let it be EPERM, as seccomp of some containers does."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(struct.pack("=" + "HBBI" * 4,
                                                   0x20, 0, 0, 0,  # load the number
                                                   0x15, 0, 1, 451,
                                                   0x06, 0, 0, 0x00050001,
                                                   0x06, 0, 0, 0x7fff0000))
    program = struct.pack("HxxxxxxP", 4, ctypes.addressof(code))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program):
        raise OSError(ctypes.get_errno(), "prctl")


def test_without_permission_for_cachestat_mincore_counts(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    with mmapfs.hold(path):
        found = tool.report("stat", path, preexec_fn=forbid_cachestat)["files"][0]
        truth = mmapfs.resident_by_hand(path)
    assert found["resident"] == truth == 64
    assert found["method"] == "mincore" and found["confidence"] == "exact"
    assert found["dirty"] is None and found["unknown"]["dirty"] == "seccomp"


def test_processes_may_exit_while_they_are_looked_at(source):
    path = mmapfs.fill(source / "f", PAGE)
    with subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"]) as churn:
        try:
            with mmapfs.hold(path):
                for _ in range(10):
                    found = tool.report("explain", path)["files"][0]
                    assert os.getpid() in [one["pid"] for one in found["mapped_by"]]
        finally:
            churn.kill()
    done = tool.run("stat", "--pid", churn.pid, code=2)
    assert str(churn.pid) in done.stderr


def test_a_file_that_is_only_open_is_found(source):
    path = mmapfs.fill(source / "f", 8 * PAGE)
    with open(path, "rb"):
        rows = tool.report("stat", "--pid", os.getpid())["files"]
    assert [row["size"] for row in rows if row["path"] == str(path)] == [8 * PAGE]


def test_advice_to_read_ahead_reaches_the_end(source):
    path = mmapfs.fill(source / "f", 32 * MIB)
    mmapfs.wait_until(lambda: mmapfs.evict_by_hand(path) or
                      mmapfs.resident_by_hand(path) == 0, what="a cold file")
    tool.run("advise", "willneed", path)
    mmapfs.wait_until(lambda: mmapfs.resident_by_hand(path) == 32 * MIB // PAGE,
                      what="all of it")
