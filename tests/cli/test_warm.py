# SPDX-License-Identifier: MIT
"""mmapctl warm: what is resident afterwards, rate, budget, signals, files that go wrong."""

import json
import os
import signal
import time

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import GIB, KIB, MIB, PAGE


def cold(path, length, seed=1):
    mmapfs.fill(path, length, seed)
    mmapfs.wait_until(lambda: mmapfs.evict_by_hand(path) or
                      mmapfs.resident_by_hand(path) == 0, what=f"{path} cold")
    return path


def test_a_cold_file_is_read_in(place):
    shown, source = place
    cold(source / "f", 4 * MIB)
    found = tool.action("warm", shown / "f")
    assert mmapfs.fincore(source / "f") == 4 * MIB // PAGE
    assert found["before_bytes"] == 0
    assert found["after_bytes"] == found["total_bytes"] == 4 * MIB
    assert found["missing_bytes"] == 0 and found["percent"] == 100
    assert found["status"] == "done"


def test_what_is_resident_is_not_read_again(source):
    mmapfs.fill(source / "f", 4 * MIB)
    with mmapfs.hold(source / "f"):
        found = tool.action("warm", source / "f")
    assert found["requested_bytes"] == 0
    assert found["before_bytes"] == found["after_bytes"] == 4 * MIB


def test_holes_are_not_filled(source):
    with open(source / "f", "wb") as file:
        file.truncate(GIB)
        os.pwrite(file.fileno(), b"x" * 64 * KIB, 512 * MIB)
        os.fsync(file.fileno())
    mmapfs.evict_by_hand(source / "f")
    found = tool.action("warm", source / "f")
    assert found["total_bytes"] == found["after_bytes"] == 64 * KIB
    assert mmapfs.fincore(source / "f") < 100


def test_a_range(place):
    shown, source = place
    cold(source / "f", 4 * MIB)
    done = tool.report("warm", "--range", "1M+1M", shown / "f")
    assert done["files"][0]["range"] == "1M+1M"
    assert done["files"][0]["action"]["after_bytes"] == MIB


def test_jobs_keep_the_order(source):
    for i in range(40):
        cold(source / f"{i:02}", 256 * KIB)
    done = tool.report("warm", "--jobs", "2", *sorted(source.iterdir()))
    assert [os.path.basename(row["path"]) for row in done["files"]] == \
        [f"{i:02}" for i in range(40)]
    assert done["total"]["action"]["after_bytes"] == 40 * 256 * KIB


# ---- rate and budget -------------------------------------------------------------------


def test_a_rate_holds_within_a_file(place):
    shown, source = place
    cold(source / "f", 16 * MIB)
    begin = time.monotonic()
    # 4: this slow, the machine may have taken some of it away again.
    found = tool.action("warm", "--rate", "32M", shown / "f", code=(0, 4))
    # Of half a second, without the last piece and the first.
    assert time.monotonic() - begin > 0.2
    assert found["requested_bytes"] == 16 * MIB


def test_a_rate_holds_over_many_small_files(source):
    for i in range(64):
        cold(source / f"{i}", 64 * KIB)
    begin = time.monotonic()
    tool.run("warm", "--rate", "8M", "--jobs", "4", source, code=(0, 4))
    assert time.monotonic() - begin > 0.4


def test_a_budget_that_is_used_up_stops_before_the_first_byte(place):
    shown, source = place
    cold(source / "f", 4 * MIB)
    done = tool.run("warm", "--budget", "1024T", shown / "f", "--json", code=4)
    found = json.loads(done.stdout)["files"][0]["action"]
    assert found["status"] == "stopped"
    assert found["after_bytes"] == 0 and found["missing_bytes"] is None
    assert "stopped by --budget" in done.stderr and "1.0P" in done.stderr
    assert mmapfs.fincore(source / "f") == 0


def test_a_budget_stops_on_the_way(source):
    for i in range(12):
        cold(source / f"{i:02}", 32 * MIB)
    keep = tool_room() - 200 * MIB
    done = tool.report("warm", "--budget", str(keep), *sorted(source.iterdir()), code=4)
    states = [row["action"]["status"] for row in done["files"]]
    assert states[0] == "done"
    assert states[-1] == "stopped"
    total = done["total"]["action"]
    assert total["requested_bytes"] <= 240 * MIB


def tool_room():
    """What can be had at least: the same two bounds, read by hand where it is simple."""
    room = mmapfs.meminfo_kib("MemAvailable") * KIB
    for line in open("/proc/self/cgroup", encoding="ascii"):
        _, controllers, path = line.strip().split(":", 2)
        directory = f"/sys/fs/cgroup/memory{path}"
        if controllers == "memory" and os.path.exists(directory):
            limit = int(open(directory + "/memory.limit_in_bytes", encoding="ascii").read())
            used = int(open(directory + "/memory.usage_in_bytes", encoding="ascii").read())
            if limit < 1 << 60:
                room = min(room, limit - used)
    return room


def test_a_large_enough_budget_changes_nothing(place):
    shown, source = place
    cold(source / "f", 4 * MIB)
    assert tool.action("warm", "--budget", "1M", shown / "f")["status"] == "done"


# ---- signals and progress --------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_valid_partial_summary(place, number):
    shown, source = place
    cold(source / "f", 64 * MIB)
    reader, writer = os.pipe()
    with tool.running("warm", "--rate", "8M", "--json", "--progress-fd", str(writer),
                      shown / "f", pass_fds=[writer]) as process:
        os.close(writer)
        with os.fdopen(reader) as progress:
            for line in progress:
                event = json.loads(line)
                if event["bytes"] >= MIB:
                    break
            code, out, _ = tool.finish(process, number)
    assert code == 130
    done = json.loads(out)
    assert done["interrupted"] is True
    found = done["files"][0]["action"]
    assert found["status"] == "interrupted"
    assert 0 < found["after_bytes"] < 64 * MIB
    if shown != source:
        assert mmapfs.warm_is_done(shown / "f")


def test_json_lines_of_a_signal_are_whole_too(source):
    for i in range(8):
        cold(source / f"{i}", 8 * MIB)
    with tool.running("warm", "--rate", "8M", "--jsonl",
                      *sorted(source.iterdir())) as process:
        first = process.stdout.readline()
        # This machine may have evicted a part of it again by then.
        assert json.loads(first)["action"]["status"] in ("done", "partial")
        code, rest, _ = tool.finish(process)
    assert code == 130
    lines = [json.loads(line) for line in rest.splitlines()]
    assert lines[-1]["interrupted"] is True


def test_progress_reaches_the_end(place):
    shown, source = place
    cold(source / "f", 8 * MIB)
    reader, writer = os.pipe()
    tool.run("warm", "--progress-fd", str(writer), shown / "f", pass_fds=[writer])
    os.close(writer)
    with os.fdopen(reader) as progress:
        events = [json.loads(line) for line in progress]
    assert events[-1]["bytes"] == events[-1]["total"] == 8 * MIB
    assert all(a["bytes"] <= b["bytes"] for a, b in zip(events, events[1:]))


# ---- files that go wrong ---------------------------------------------------------------


def test_truncation_during_a_warm_is_an_error_about_that_file(place):
    shown, source = place
    cold(source / "a", 64 * MIB)
    cold(source / "b", MIB)
    reader, writer = os.pipe()
    with tool.running("warm", "--rate", "16M", "--json", "--progress-fd", str(writer),
                      shown / "a", shown / "b", pass_fds=[writer]) as process:
        os.close(writer)
        with os.fdopen(reader) as progress:
            for line in progress:
                if json.loads(line)["bytes"] >= MIB:
                    break
            os.truncate(source / "a", 0)
            out, err = process.communicate(timeout=mmapfs.DEADLINE)
    assert process.returncode == 2, (out, err)
    done = json.loads(out)
    assert done["files"][0]["action"]["code"] == "ESTALE"
    assert done["files"][0]["action"]["status"] == "failed"
    assert done["files"][1]["action"]["after_bytes"] == MIB
    assert "truncated" in err


def test_eio_ends_with_the_offset(half_broken):
    point, good = half_broken
    done = tool.run("warm", point / "f", "--json", code=2)
    found = json.loads(done.stdout)["files"][0]["action"]
    assert found["code"] == "EIO"
    assert found["error_offset"] == good
    assert found["after_bytes"] == good
    assert str(good) in done.stderr


def test_eio_on_a_mount_ends_with_the_offset(half_broken, mount, data_path):
    point, good = half_broken
    mounted = mount(point, f"ro,data_path={data_path}")
    found = tool.action("warm", mounted / "f", code=2)
    assert found["code"] == "EIO"
    assert found["error_offset"] == good
    assert found["after_bytes"] == good


def test_a_missing_file_is_2_and_the_others_are_done(place):
    shown, source = place
    cold(source / "f", MIB)
    done = tool.report("warm", shown / "missing", shown / "f", code=2)
    assert done["files"][0]["action"]["status"] == "done"
    assert done["errors"][0]["code"] == "ENOENT"


def test_another_users_file_is_read_but_not_measured(base):
    cold(base / "f", MIB)
    found = tool.action("warm", base / "f", code=3, user=mmapfs.NOBODY)
    assert found["before_bytes"] is None and found["after_bytes"] is None
    assert found["requested_bytes"] == MIB
    assert mmapfs.fincore(base / "f") == MIB // PAGE


def test_an_empty_file_is_done(place):
    shown, source = place
    (source / "f").touch()
    found = tool.action("warm", shown / "f")
    assert found["status"] == "done" and found["percent"] is None
