# SPDX-License-Identifier: MIT
"""mmapctl watch: what changed, and by whom; nothing is left behind."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import KIB, MIB, PAGE


class Watch:
    """A watch with JSON lines; a thread takes them as they come."""

    def __init__(self, process):
        self.process = process
        self.rows = []
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def row(self, **expected):
        """The first row with these values, once it is there."""
        def find():
            for row in list(self.rows):
                if all(row.get(key) == value for key, value in expected.items()):
                    return row
            assert self.process.poll() is None, self.process.stderr.read()
            return None
        return mmapfs.wait_until(find, what=f"a row with {expected}")

    def finish(self, number=signal.SIGINT):
        self.process.send_signal(number)
        self.thread.join(mmapfs.DEADLINE)
        return self.process.wait(mmapfs.DEADLINE)


@contextlib.contextmanager
def watching(*arguments, **options):
    with tool.running("watch", "--jsonl", "--interval", "0.1", *arguments,
                      **options) as process:
        watch = Watch(process)
        try:
            yield watch
        finally:
            if process.poll() is None:
                process.kill()
            watch.thread.join(mmapfs.DEADLINE)


def begun(process):
    """It has looked once: it sleeps between its looks."""
    state = pathlib.Path(f"/proc/{process.pid}/wchan")
    mmapfs.wait_until(lambda: "nanosleep" in state.read_text(), what="the first look")


def test_only_changes_are_printed(place):
    shown, source = place
    mmapfs.fill(source / "still", MIB)
    mmapfs.fill(source / "f", MIB)
    with mmapfs.hold(source / "still"):
        mmapfs.evict_by_hand(source / "f")
        with watching(shown) as watch:
            begun(watch.process)
            with mmapfs.hold(source / "f"):
                row = watch.row(event="changed", resident=MIB // PAGE)
                assert row["path"] == str(shown / "f")
            mmapfs.evict_by_hand(source / "f")
            row = watch.row(event="changed", resident=0)
            assert row["resident_change"] < 0
            assert watch.finish() == 130
    assert {os.path.basename(row["path"]) for row in watch.rows
            if "path" in row and row["event"] != "cache"} == {"f"}
    assert watch.rows[-1]["interrupted"] is True


def test_dirty_pages_come_and_go(source):
    (source / "f").write_bytes(b"x" * MIB)
    os.sync()
    with watching(source / "f") as watch:
        begun(watch.process)
        with open(source / "f", "r+b") as file:
            def dirtied():
                """Written again, should somebody's sync(2) have come before the look."""
                os.pwrite(file.fileno(), b"y" * MIB, 0)
                return [row for row in list(watch.rows) if row.get("dirty") == MIB // PAGE]
            assert mmapfs.wait_until(dirtied)[0]["dirty_change"] == MIB // PAGE
            os.fsync(file.fileno())
        assert watch.row(dirty=0)["dirty_change"] == -(MIB // PAGE)
        watch.finish()


def test_new_replaced_and_gone_files_are_seen(place):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    with watching(shown) as watch:
        begun(watch.process)
        mmapfs.fill(shown / "g", MIB)
        watch.row(event="new", path=str(shown / "g"))
        os.rename(shown / "g", shown / "f")
        watch.row(event="replaced", path=str(shown / "f"))
        watch.row(event="gone", path=str(shown / "g"))
        os.unlink(shown / "f")
        watch.row(event="gone", path=str(shown / "f"))
        assert watch.finish() == 130


def test_signals_reach_it_also_when_the_tests_run_in_the_background():
    """A shell starts background jobs with SIGINT ignored, nohup does so with SIGHUP."""
    def ignore():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    show = "import mmapfs, subprocess; subprocess.run(['cat', '/proc/self/status'])"
    done = subprocess.run([sys.executable, "-c", show], cwd=mmapfs.TOP / "tests/lib",
                          preexec_fn=ignore, check=True, capture_output=True, text=True)
    ignored = int(re.search(r"^SigIgn:\s*(\w+)$", done.stdout, re.MULTILINE)[1], 16)
    assert not ignored & (1 << signal.SIGINT - 1 | 1 << signal.SIGHUP - 1)


def test_files_from_standard_input_are_looked_at_again(source):
    mmapfs.fill(source / "f", MIB)
    mmapfs.evict_by_hand(source / "f")
    names = source / "names"
    names.write_text(str(source / "f"))
    with open(names, encoding="utf-8") as stdin:
        process = subprocess.Popen(
            [str(tool.MMAPCTL), "watch", "--jsonl", "--interval", "0.1", "--files-from", "-"],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(process)
    begun(process)
    with mmapfs.hold(source / "f"):
        watch.row(resident=MIB // PAGE)
    assert watch.finish() == 130
    process.stdout.close()
    process.stderr.close()


def test_ranges_are_rows_of_their_own(source):
    mmapfs.fill(source / "f", MIB)
    mmapfs.evict_by_hand(source / "f")
    with watching("--range", "0+64K", "--range", "512K+64K", source / "f") as watch:
        begun(watch.process)
        with mmapfs.hold(source / "f", length=64 * KIB, offset=512 * KIB, readahead=False):
            watch.row(range="512K+64K", resident=16)
        watch.finish()


def test_count_ends_it(source):
    mmapfs.fill(source / "f", MIB)
    done = tool.run("watch", "--count", "2", "--interval", "0.05", source / "f")
    assert done.stderr == ""


def test_errors_are_told_once(source):
    mmapfs.fill(source / "f", MIB)
    done = tool.run("watch", "--count", "3", "--interval", "0.05", source / "f",
                    source / "missing", code=2)
    assert done.stderr.count("No such file") == 1


@pytest.mark.parametrize("word", ["x", "0", "-1", ""])
def test_a_bad_interval_is_a_usage_error(source, word):
    tool.run("watch", f"--interval={word}", source, code=1)


# ---- events ----------------------------------------------------------------------------


@pytest.fixture
def tracing(base):
    """A tracefs of our own to look into; skips where there is none."""
    point = base / "tracing"
    point.mkdir()
    done = subprocess.run(["mount", "-t", "tracefs", "none", point], check=False,
                          capture_output=True)
    if done.returncode != 0:
        pytest.skip("no tracefs in this kernel")
    if not (point / "events/filemap").is_dir():
        pytest.skip("no filemap events in this kernel")
    return point


def instances(tracing, pid):
    return [name for name in os.listdir(tracing / "instances") if name == f"mmapctl-{pid}"]


def traced(watch, tracing):
    mmapfs.wait_until(lambda: instances(tracing, watch.process.pid), what="the instance")
    enable = tracing / "instances" / f"mmapctl-{watch.process.pid}" / \
        "events/filemap/mm_filemap_delete_from_page_cache/enable"
    # The directory of an instance is there before what is in it.
    mmapfs.wait_until(lambda: enable.exists() and enable.read_text().startswith("1"),
                      what="the events")


def test_events_name_who_reads_and_who_evicts(place, tracing):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    mmapfs.evict_by_hand(source / "f")
    with watching("--events", shown / "f") as watch:
        traced(watch, tracing)
        reader = subprocess.Popen(["cat", source / "f"], stdout=subprocess.DEVNULL)
        reader.wait()
        row = watch.row(event="added")
        assert row["path"] == str(shown / "f")
        assert row["who"]["pid"] == reader.pid and row["who"]["comm"] == "cat"
        # The machine's own reclaimer may have been first with what cat had read.
        subprocess.run(["python3", "-c",
                        "import os,sys; f = os.open(sys.argv[1], 0); os.pread(f, 1 << 20, 0);"
                        "os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)", source / "f"],
                       check=True)
        mmapfs.wait_until(lambda: [row for row in list(watch.rows)
                                   if row.get("event") == "removed"
                                   and row["who"]["comm"] == "python3"], what="the evict")
        assert watch.finish(signal.SIGTERM) == 130
    added = sum(row["who"]["bytes"] for row in watch.rows if row.get("event") == "added")
    assert added >= MIB
    assert not instances(tracing, watch.process.pid)


def test_events_have_ranges(source, tracing):
    mmapfs.fill(source / "f", 4 * MIB)
    mmapfs.evict_by_hand(source / "f")
    with watching("--events", source / "f") as watch:
        traced(watch, tracing)
        with mmapfs.hold(source / "f", length=PAGE, offset=2 * MIB, readahead=False):
            row = watch.row(event="added")
        ranges = [tuple(pair) for pair in row["who"]["ranges"]]
        assert any(offset <= 2 * MIB < offset + length for offset, length in ranges)
        watch.finish()


def test_other_files_are_none_of_our_business(source, tracing):
    mmapfs.fill(source / "f", MIB)
    mmapfs.fill(source / "other", MIB)
    with watching("--events", source / "f") as watch:
        traced(watch, tracing)
        mmapfs.evict_by_hand(source / "other")
        mmapfs.evict_by_hand(source / "f")
        watch.row(event="removed")
        watch.finish()
    assert {row["path"] for row in watch.rows if "path" in row} == {str(source / "f")}


def test_a_new_file_is_traced_too(source, tracing):
    mmapfs.fill(source / "f", MIB)
    with watching("--events", source) as watch:
        traced(watch, tracing)
        mmapfs.fill(source / "g", MIB)
        watch.row(event="new", path=str(source / "g"))
        # The instance is made anew for it, between two looks.
        mmapfs.wait_until(lambda: mmapfs.fill(source / "g", MIB) and any(
            row.get("event") == "removed" or row.get("event") == "added"
            for row in watch.rows if row.get("path") == str(source / "g")),
            what="events of the new file")
        watch.finish()


@pytest.fixture
def jail(base):
    """A root directory for chroot(2) that is no mountpoint, where mmapctl runs."""
    root = base / "root"
    for name in ("usr", "proc", "build"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib32", "lib64"):
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(f"usr/{name}")
    for what, point in (("/usr", "usr"), (mmapfs.BUILD, "build")):
        subprocess.run(["mount", "--bind", what, root / point], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    return root


def test_events_are_seen_in_a_chroot_too(jail, tracing):
    """Whose mountinfo does not have the mount that its root directory is on."""
    mmapfs.fill(jail / "f", MIB)
    process = subprocess.Popen(
        ["chroot", jail, "/build/tools/mmapctl", "watch", "--events", "--jsonl",
         "--interval", "0.1", "/f"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    watch = Watch(process)
    try:
        traced(watch, tracing)
        mmapfs.evict_by_hand(jail / "f")
        assert watch.row(event="removed")["path"] == "/f"
        assert watch.finish() == 130
    finally:
        process.kill()
        process.communicate()


def test_files_without_events_are_told(base, tracing):
    for name in ("lower", "upper", "work", "merged"):
        (base / name).mkdir()
    mmapfs.fill(base / "lower" / "f", MIB)
    mmapfs.fill(base / "plain", MIB)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work",
                    base / "merged"], check=True)
    arguments = ["watch", "--events", "--count", "2", "--interval", "0.05", base / "plain"]
    assert tool.run(*arguments).stderr == ""
    assert tool.run(*arguments, base / "merged").stderr.count("no events for 1 of") == 1


def test_an_instance_of_a_killed_watch_is_removed_by_the_next(source, tracing):
    mmapfs.fill(source / "f", MIB)
    with watching("--events", source / "f") as watch:
        traced(watch, tracing)
        watch.process.kill()
        watch.process.wait()
        dead = watch.process.pid
    assert instances(tracing, dead)
    tool.run("watch", "--events", "--count", "1", "--interval", "0.01", source / "f")
    assert not instances(tracing, dead)


def test_a_reader_that_goes_away_leaves_no_instance(source, tracing):
    mmapfs.fill(source / "f", MIB)
    process = subprocess.Popen(
        [str(tool.MMAPCTL), "watch", "--events", "--jsonl", "--interval", "0.05",
         str(source / "f")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    mmapfs.wait_until(lambda: instances(tracing, process.pid), what="the instance")
    process.stdout.close()

    def ended():
        mmapfs.evict_by_hand(source / "f")
        (source / "f").read_bytes()
        return process.poll() is not None
    mmapfs.wait_until(ended, what="the end")
    assert not instances(tracing, process.pid)


def test_events_without_root_are_3_with_a_reason(base):
    mmapfs.fill(base / "f", MIB)
    done = tool.run("watch", "--events", "--count", "1", base / "f", code=3,
                    user=mmapfs.NOBODY, group=mmapfs.NOBODY, extra_groups=[])
    assert "cannot see events" in done.stderr and "root" in done.stderr
