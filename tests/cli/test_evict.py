# SPDX-License-Identifier: MIT
"""mmapctl evict: what went, what stayed, and why; against mincore and fincore."""

import os

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, PAGE


def test_a_clean_file_is_emptied(place):
    shown, source = place
    mmapfs.fill(source / "f", 4 * MIB)
    with mmapfs.hold(source / "f"):
        pass
    found = tool.action("evict", shown / "f")
    assert found["op"] == "evict"
    assert found["after"] == 0 and found["why"] == []
    assert found["done"] == found["before"]
    assert mmapfs.fincore(source / "f") == 0


def test_mapped_pages_stay_and_are_said_to(place):
    shown, source = place
    mmapfs.fill(source / "f", 4 * MIB)
    with mmapfs.hold(source / "f"):
        found = tool.action("evict", shown / "f", code=4)
        assert found["before"] == found["after"] == 4 * MIB // PAGE
        assert found["done"] == 0
        assert found["why"] == [{"reason": "mapped", "pages": 4 * MIB // PAGE}]
        assert mmapfs.fincore(source / "f") == 4 * MIB // PAGE


def test_dirty_pages_go_only_once_they_are_written(source):
    path = source / "f"
    with open(path, "wb") as file:
        file.write(b"y" * MIB)
        file.flush()
        # Evicting starts their write-back, which may be over before we look again.
        found = tool.action("evict", path, code=(0, 4))
        assert {why["reason"] for why in found["why"]} <= {"dirty", "writeback"}
        assert sum(why["pages"] for why in found["why"]) == found["after"]
        found = tool.action("evict", "--sync", path)
    assert found["after"] == 0
    assert mmapfs.fincore(path) == 0
    assert path.read_bytes() == b"y" * MIB


def test_dirty_pages_of_a_mount_go_with_sync(source, mounted):
    with open(mounted / "f", "wb") as file:
        file.write(b"y" * MIB)
    found = tool.action("evict", "--sync", mounted / "f")
    assert found["after"] == 0
    assert mmapfs.fincore(source / "f") == 0


def test_tmpfs_keeps_everything(base):
    point = base / "tmp"
    point.mkdir()
    mmapfs.subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    (point / "f").write_bytes(b"x" * MIB)
    found = tool.action("evict", point / "f", code=4)
    assert found["after"] == MIB // PAGE
    assert found["why"] == [{"reason": "memory-fs", "pages": MIB // PAGE}]


def test_a_range_leaves_the_rest(place):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    # Small folios, so that a border cuts none.
    mmapfs.evict_by_hand(source / "f")
    with mmapfs.hold(source / "f", length=MIB // 2, readahead=False):
        done = tool.report("evict", "--range", f"{MIB // 2}-", shown / "f")
        assert done["files"][0]["range"] == "512K-"
        assert mmapfs.resident_by_hand(source / "f") >= MIB // 2 // PAGE


def test_several_ranges_are_rows(source):
    mmapfs.fill(source / "f", MIB)
    done = tool.report("evict", "--range", "0+64K", "--range", "512K+64K", source / "f")
    assert [row["range"] for row in done["files"]] == ["0+64K", "512K+64K"]
    assert done["total"]["files"] == 1


def test_a_tree_and_a_missing_file(place):
    shown, source = place
    for name in "abc":
        mmapfs.fill(source / name, MIB)
    done = tool.report("evict", shown, shown / "missing", code=2)
    names = sorted(os.path.basename(row["path"]) for row in done["files"])
    assert names == ["a", "b", "c"]
    assert done["errors"][0]["code"] == "ENOENT"
    assert done["total"]["action"]["after"] == 0
    for name in "abc":
        assert mmapfs.fincore(source / name) == 0


def test_jobs_give_the_same_in_the_same_order(source):
    for i in range(50):
        mmapfs.fill(source / f"{i:02}", 64 * mmapfs.KIB)
    done = tool.report("evict", "--jobs", "2", *sorted(source.iterdir()))
    assert [os.path.basename(row["path"]) for row in done["files"]] == \
        [f"{i:02}" for i in range(50)]
    assert done["total"]["action"]["after"] == 0


def test_another_users_file_is_unknown_not_empty(base):
    base.chmod(0o755)
    mmapfs.fill(base / "f", MIB)
    done = tool.report("evict", base / "f", code=3, user=mmapfs.NOBODY)
    found = done["files"][0]["action"]
    assert found["before"] is None and found["after"] is None
    assert done["total"]["unknown_files"] == 1
    # Whoever may read a file may evict it, though.
    assert mmapfs.fincore(base / "f") == 0


@pytest.mark.parametrize("options", [["--json"], ["--jsonl"], ["--raw"], []])
def test_an_empty_file_is_no_problem(source, options):
    (source / "f").touch()
    tool.run("evict", source / "f", *options)


def test_the_table_says_why(source):
    mmapfs.fill(source / "f", MIB)
    with mmapfs.hold(source / "f"):
        out = tool.run("evict", source / "f", code=4).stdout
    assert f"mapped {MIB // PAGE}" in out
