# SPDX-License-Identifier: MIT
"""mmapctl watch on the root of a mount: a line for the whole cache, then its busiest files."""

import contextlib
import signal
import subprocess

import pytest

import exposition
import mmapctl as tool
import mmapfs
from mmapfs import MIB, PAGE
from test_watch import begun, watching

PAGES = MIB // PAGE


@pytest.fixture
def mounted(source, mount):
    for i in range(15):
        mmapfs.fill(source / f"f{i:02}", MIB)
    return mount(source)


def lines(watch, event):
    return [row for row in list(watch.rows) if row.get("event") == event]


@contextlib.contextmanager
def stopped(watch):
    """What happens meanwhile is all of one round."""
    watch.process.send_signal(signal.SIGSTOP)
    stat = f"/proc/{watch.process.pid}/stat"
    mmapfs.wait_until(lambda: open(stat, encoding="ascii").read().split()[2] == "T",
                      what="the stop")
    yield
    watch.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def held(source, count):
    with contextlib.ExitStack() as stack:
        for i in range(count):
            # The later ones more.
            stack.enter_context(mmapfs.hold(source / f"f{i:02}", length=(i + 1) * 16 * PAGE,
                                            readahead=False))
        yield


def evict_all(source):
    for path in source.iterdir():
        mmapfs.evict_by_hand(path)


# ---- the line of the cache -------------------------------------------------------------


def test_the_first_look_has_a_line_of_the_whole_cache(source, mounted):
    evict_all(source)
    mmapfs.setattr(mounted / "f00", "lock", "on")
    with held(source, 3), watching(mounted.point) as watch:
        row = watch.row(event="cache")
        watch.finish()
    assert row["path"] == str(mounted.point)
    assert row["cache"] == {"locked": MIB, "budget": None, "used": None, "dropped": None,
                            "opens_per_second": None, "changed": 0}
    assert row["resident_change"] is None
    assert row["resident"] >= PAGES + 32 + 48


def test_sums_are_those_of_the_mount(source, mounted):
    evict_all(source)
    with contextlib.ExitStack() as stack:
        for i in range(15):
            stack.enter_context(mmapfs.hold(source / f"f{i:02}"))
        with watching(mounted.point) as watch:
            row = watch.row(event="cache", resident=15 * PAGES)
            assert row["dirty"] == 0
            watch.finish()


def test_a_budget_and_its_use_are_in_the_line(source, mount):
    mmapfs.fill(source / "f", MIB)
    mounted = mount(source, "allow_other,budget=1G")
    with watching("--no-files", mounted.point) as watch:
        mmapfs.wait_until(lambda: [row for row in lines(watch, "cache")
                                   if row["cache"]["budget"] == mmapfs.GIB
                                   and row["cache"]["used"] is not None],
                          what="a budget and its use")
        watch.finish()


def test_own_opens_are_not_in_the_rate(mounted):
    done = tool.run("watch", "--jsonl", "--interval", "0.05", "--count", "4", mounted.point)
    rates = [line.split('"opens_per_second":')[1].split(",")[0]
             for line in done.stdout.splitlines() if '"event":"cache"' in line]
    assert rates == ["null", "0", "0", "0", "0"]
    # It did open them.
    opens = exposition.read(mounted.point).series("opens_total")
    assert sum(opens.values()) >= 15


def test_opens_of_others_are_in_the_rate(mounted):
    with watching("--no-files", mounted.point) as watch:
        begun(watch.process)

        def busy():
            with open(mounted / "f00", "rb"):
                pass
            return [row for row in lines(watch, "cache")
                    if (row["cache"]["opens_per_second"] or 0) > 0]
        assert mmapfs.wait_until(busy)
        watch.finish()


def test_pages_dropped_through_the_mount_are_told_once(source, mounted):
    with watching("--no-files", mounted.point) as watch:
        begun(watch.process)
        watch.row(event="cache")
        for i in range(4):
            with mmapfs.hold(source / f"f{i:02}"):
                pass
            mmapfs.setattr(mounted / f"f{i:02}", "evict")
        total = exposition.read(mounted.point).value("evicted_pages_total")
        assert total > 0
        mmapfs.wait_until(lambda: sum(row["cache"]["dropped"] or 0
                                      for row in lines(watch, "cache")) == total,
                          what="all that was dropped")
        watch.finish()


def test_a_directory_within_the_mount_is_no_whole_cache(source, mounted):
    (source / "d").mkdir()
    mmapfs.fill(source / "d" / "f", PAGE)
    done = tool.run("watch", "--jsonl", "--interval", "0.05", "--count", "2",
                    mounted.point / "d")
    assert '"event"' not in done.stdout
    done = tool.run("watch", "--interval", "0.05", "--count", "1", mounted.point / "d")
    assert "OPEN-RATE" not in done.stdout


def test_an_empty_mount_is_watched_too(base, mount):
    (base / "empty").mkdir()
    point = mount(base / "empty").point
    done = tool.run("watch", "--raw", "-n", "-o", "EVENT,RESIDENT,RES-CHANGE,CHANGED",
                    "--interval", "0.05", "--count", "2", point)
    assert done.stdout == "cache\t0\t-\t0\n" + 2 * "cache\t0\t+0\t0\n"


# ---- its files -------------------------------------------------------------------------


@pytest.mark.parametrize("options, shown", [((), 10), (("--most", "3"), 3),
                                            (("--most", "100"), 15)])
def test_the_files_that_changed_most_follow(source, mounted, options, shown):
    evict_all(source)
    with watching(*options, mounted.point) as watch:
        begun(watch.process)
        watch.row(event="cache")
        with contextlib.ExitStack() as stack:
            with stopped(watch):
                evict_all(source)
                stack.enter_context(held(source, 15))
            row = mmapfs.wait_until(lambda: [row for row in lines(watch, "cache")
                                             if row["cache"]["changed"] == 15],
                                    what="a round with all changes")[0]
            watch.finish()
    files = [line for line in watch.rows
             if line.get("t") == row["t"] and line.get("event") == "changed"]
    assert len(files) == shown
    changes = [line["resident_change"] for line in files]
    if shown < 15:
        assert changes == sorted(changes, reverse=True)
        assert files[0]["path"] == str(mounted.point / "f14")
    # The line of the cache comes first.
    assert watch.rows.index(row) < watch.rows.index(files[0])


def test_without_files_there_are_only_caches(source, mounted):
    evict_all(source)
    with watching("--no-files", mounted.point) as watch:
        begun(watch.process)
        watch.row(event="cache")
        with mmapfs.hold(source / "f00"):
            count = len(lines(watch, "cache"))
            mmapfs.wait_until(lambda: len(lines(watch, "cache")) > count + 2)
        watch.finish()
    assert {row.get("event") for row in watch.rows} == {"cache", None}
    assert {row["cache"]["changed"] for row in lines(watch, "cache")} == {None}


def test_without_files_there_must_be_a_mount(source, mounted):
    for path in (source, mounted / "f00"):
        done = tool.run("watch", "--no-files", path, code=1)
        assert done.stderr == "mmapctl: --no-files: no PATH is the root of a mounted mmapfs\n"


# ---- its end ---------------------------------------------------------------------------


def test_an_unmount_is_said_once_and_not_held_up(source, mounted):
    with watching(mounted.point) as watch:
        begun(watch.process)
        watch.row(event="cache")
        mmapfs.wait_until(lambda: subprocess.run(["umount", str(mounted.point)], check=False,
                                                 capture_output=True).returncode == 0,
                          what="the unmount")
        mounted.process.wait(mmapfs.DEADLINE)
        # The files of the directory below are none.
        watch.row(event="gone", path=str(mounted.point / "f00"))
        count = len(lines(watch, "cache"))
        mounted.start()
        mmapfs.wait_until(lambda: len(lines(watch, "cache")) > count + 1,
                          what="the new mount")
        again = lines(watch, "cache")[count]
        # Its counters begin anew: there is nothing to compare them with.
        assert again["cache"]["opens_per_second"] in (None, 0)
        assert watch.finish() == 130
        error = watch.process.stderr.read()
    assert error.count("cannot watch") == 1
    assert str(mounted.point) in error
