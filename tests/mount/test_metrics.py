# SPDX-License-Identifier: MIT
"""The root's metrics attribute: a text that Prometheus reads, of counters that are exact."""

import os
import shutil
import subprocess
import threading
import time

import pytest

import exposition
import mmapfs
from mmapfs import MIB, PAGE, errno_of, getattr, setattr
from test_lifecycle import SET, control

LENGTH = 8 * MIB
PAGES = LENGTH // PAGE

FAMILIES = {
    "mmapfs_build_info": "gauge",
    "mmapfs_start_time_seconds": "gauge",
    "mmapfs_opens": "counter",  # the parser takes _total off
    "mmapfs_requests": "counter",
    "mmapfs_errors": "counter",
    "mmapfs_request_duration_seconds": "histogram",
    "mmapfs_warmed_pages": "counter",
    "mmapfs_evicted_pages": "counter",
    "mmapfs_evict_stayed_pages": "counter",
    "mmapfs_locked_pages": "counter",
    "mmapfs_locked_bytes": "gauge",
    "mmapfs_lock_limit_bytes": "gauge",
    "mmapfs_page_size_bytes": "gauge",
    "mmapfs_inodes": "gauge",
    "mmapfs_inode_descriptors": "gauge",
    "mmapfs_queue_depth": "gauge",
}


@pytest.fixture
def file(source):
    """A clean file on the source; its path there."""
    return mmapfs.fill(source / "f", LENGTH)


def grown(before, after, name, **labels):
    """By how much a counter grew; one that is not there yet is 0."""
    return (after.value(name, **labels) or 0) - (before.value(name, **labels) or 0)


# ---- the text --------------------------------------------------------------------------


def test_a_prometheus_parser_reads_it(mounted):
    began = time.time()
    assert errno_of(os.stat, mounted / "no") == "ENOENT"  # or there are no errors
    metrics = exposition.read(mounted.point)
    assert FAMILIES.items() <= metrics.types.items()
    assert metrics.value("build_info", version=getattr(mounted.point, "version")) == 1
    assert began - 60 < metrics.value("start_time_seconds") <= time.time()
    assert metrics.value("page_size_bytes") == PAGE
    assert metrics.value("opens_total", data_path="passthrough") == 0
    assert metrics.value("opens_total", data_path="mapped") == 0
    assert metrics.value("requests_total", opcode="init") == 1


def test_promtool_finds_nothing_to_say(mounted):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("no promtool here (Debian: prometheus)")
    done = subprocess.run([promtool, "check", "metrics"], capture_output=True, text=True,
                          input=getattr(mounted.point, "metrics"), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_root_has_it(source, mounted):
    mmapfs.fill(source / "f", PAGE)
    (source / "d").mkdir()
    name = "user.mmapfs.metrics"
    assert errno_of(os.getxattr, mounted / "f", name) == "ENODATA"
    assert errno_of(os.getxattr, mounted / "d", name) == "ENODATA"
    assert errno_of(os.setxattr, mounted.point, name, b"0") == "EOPNOTSUPP"
    assert errno_of(os.removexattr, mounted.point, name) == "EOPNOTSUPP"
    assert "metrics" in getattr(mounted.point, "help")
    assert os.listxattr(mounted.point) == []


def test_who_may_read_the_root_may_read_it(mounted):
    assert mmapfs.run_as(mmapfs.NOBODY, lambda: "mmapfs_inodes" in
                         getattr(mounted.point, "metrics"))
    mounted.point.chmod(0o711)
    assert errno_of(mmapfs.run_as, mmapfs.NOBODY,
                    lambda: getattr(mounted.point, "metrics")) == "EACCES"


def test_a_read_only_mount_has_it(source, mount):
    mounted = mount(source, "ro")
    assert exposition.read(mounted.point).value("requests_total", opcode="init") == 1


# ---- requests --------------------------------------------------------------------------


def test_each_open_is_counted_on_its_path(file, mounted, data_path):
    other = "mapped" if data_path == "passthrough" else "passthrough"
    before = exposition.read(mounted.point)
    for _ in range(37):
        with open(mounted / "f", "rb"):
            pass
    after = exposition.read(mounted.point)
    assert grown(before, after, "opens_total", data_path=data_path) == 37
    assert grown(before, after, "opens_total", data_path=other) == 0
    assert grown(before, after, "requests_total", opcode="open") == 37


def test_creating_a_file_is_an_open_too(mounted, data_path):
    with open(mounted / "new", "wb"):
        pass
    after = exposition.read(mounted.point)
    assert after.value("opens_total", data_path=data_path) == 1
    assert after.value("requests_total", opcode="create") == 1
    assert after.value("requests_total", opcode="open") == 0


def test_lookups_and_their_errors_are_counted(mounted):
    before = exposition.read(mounted.point)
    for i in range(41):
        assert errno_of(os.stat, mounted / f"no{i}") == "ENOENT"
    after = exposition.read(mounted.point)
    assert grown(before, after, "requests_total", opcode="lookup") == 41
    assert grown(before, after, "errors_total", errno_="ENOENT") == 41


def test_a_missing_name_that_the_kernel_keeps_is_an_error_once(source, mount):
    mounted = mount(source, "allow_other,negative_timeout=60")
    before = exposition.read(mounted.point)
    for _ in range(3):
        assert errno_of(os.stat, mounted / "no") == "ENOENT"
    after = exposition.read(mounted.point)
    assert grown(before, after, "errors_total", errno_="ENOENT") == 1


def test_statx_and_tmpfile_have_their_own_names(source, mounted):
    """libfuse before 3.17 knows neither: they are counted before they are translated."""
    os.close(os.open(mounted.point, os.O_TMPFILE | os.O_RDWR))
    after = exposition.read(mounted.point)
    if not after.value("requests_total", opcode="tmpfile"):
        pytest.skip("this kernel has no FUSE_TMPFILE")
    assert after.value("requests_total", opcode="tmpfile") == 1
    assert after.value("requests_total", opcode="create") == 0


def test_passthrough_reads_do_not_reach_the_daemon(file, mounted, data_path):
    with open(mounted / "f", "rb", buffering=0) as reader:
        while reader.read(MIB):
            pass
    reads = exposition.read(mounted.point).value("requests_total", opcode="read")
    assert reads == 0 if data_path == "passthrough" else reads > 0


def test_an_error_of_the_disk_is_eio_here(half_broken, mount, data_path):
    point, good = half_broken
    mounted = mount(point, f"ro,data_path={data_path}")
    before = exposition.read(mounted.point)
    assert before.value("errors_total", errno="EIO") is None
    assert errno_of(control, mounted / "f", SET, "lock", "on") == "EIO"
    assert exposition.read(mounted.point).value("errors_total", errno="EIO") == 1
    if data_path == "mapped":
        # The page vanishes while it is being sent: the kernel, not we, answers.
        with open(mounted / "f", "rb", buffering=0) as reader:
            assert errno_of(os.pread, reader.fileno(), PAGE, good + MIB) == "EIO"
        assert exposition.read(mounted.point).value("errors_total", errno="EIO") > 1


# ---- time ------------------------------------------------------------------------------


def answered(metrics):
    """Requests that had an answer, without the one that this text is the answer of."""
    without = ("forget", "batch_forget", "interrupt", "destroy")
    return sum(value for opcode, value in metrics.series("requests_total").items()
               if opcode not in without) - 1


def test_the_histogram_has_every_answer(file, mounted):
    """Also those that come from another thread: long controls are handed to workers."""
    for _ in range(50):
        os.listdir(mounted.point)
        errno_of(os.stat, mounted / "no")
        getattr(mounted / "f", "stat")
        setattr(mounted / "f", "evict")
        getattr(mounted.point, "resident")
    head = "request_duration_seconds"

    def complete():
        metrics = exposition.read(mounted.point)
        count = metrics.value(head + "_count")
        assert count <= answered(metrics)
        return metrics if count == answered(metrics) else None

    metrics = mmapfs.wait_until(complete, what="a histogram with every answer in it")
    buckets = metrics.series(head + "_bucket")
    assert list(buckets)[-1] == "+Inf"
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets["+Inf"] == metrics.value(head + "_count") > 400
    assert 0 < metrics.value(head + "_sum") < metrics.value(head + "_count")


# ---- pages -----------------------------------------------------------------------------


def test_pages_that_stay_are_counted_by_reason(file, mounted):
    with mmapfs.hold(file):
        setattr(mounted / "f", "evict")
        words = dict(word.split("=") for word in getattr(mounted / "f", "evict").split())
        metrics = exposition.read(mounted.point)
        assert int(words["before"]) == int(words["after"]) == PAGES
        stayed = metrics.series("evict_stayed_pages_total")
        assert sum(stayed.values()) == PAGES
        for reason, count in stayed.items():
            assert count == int(words.get(reason, 0)), reason
        assert metrics.value("evicted_pages_total") == 0
    setattr(mounted / "f", "evict")
    words = dict(word.split("=") for word in getattr(mounted / "f", "evict").split())
    assert int(words["after"]) == 0
    assert exposition.read(mounted.point).value("evicted_pages_total") == int(words["before"])


def test_a_tree_that_is_evicted_is_counted_with_all_files(source, mounted):
    for i in range(5):
        mmapfs.fill(source / f"f{i}", MIB)
    setattr(mounted.point, "evict")
    mmapfs.wait_until(lambda: getattr(mounted.point, "evict").startswith("done"),
                      what="the end of evict")
    words = dict(word.split("=") for word in getattr(mounted.point, "evict").split()
                 if "=" in word)
    metrics = exposition.read(mounted.point)
    assert metrics.value("evicted_pages_total") == int(words["before"]) - int(words["after"])
    assert sum(metrics.series("evict_stayed_pages_total").values()) == int(words["after"])


def test_warmed_pages_are_those_that_were_missing(file, mounted):
    mmapfs.evict_by_hand(file)
    missing = PAGES - mmapfs.cachestat(file)[0]
    assert mmapfs.warm(mounted / "f").startswith("done")
    assert exposition.read(mounted.point).value("warmed_pages_total") == missing


def test_locked_bytes_follow_and_locked_pages_only_grow(file, source, mount):
    mounted = mount(source, f"allow_other,lock_limit={LENGTH + PAGE}")
    assert exposition.read(mounted.point).value("lock_limit_bytes") == LENGTH + PAGE
    setattr(mounted / "f", "lock", "on")
    metrics = exposition.read(mounted.point)
    assert metrics.value("locked_bytes") == LENGTH
    assert metrics.value("locked_pages_total") == PAGES
    setattr(mounted / "f", "lock", "off")
    metrics = exposition.read(mounted.point)
    assert metrics.value("locked_bytes") == 0
    assert metrics.value("locked_pages_total") == PAGES


# ---- inodes ----------------------------------------------------------------------------


def test_inodes_are_counted(source, mounted):
    before = exposition.read(mounted.point)
    for i in range(23):
        (mounted / f"f{i}").touch()
    after = exposition.read(mounted.point)
    assert grown(before, after, "inodes") == 23
    assert after.value("inode_descriptors") == 0


# ---- many at once ----------------------------------------------------------------------


def test_counters_never_go_back_and_lose_nothing_with_many_clients(file, mounted):
    rounds, clients = 300, 6

    def work(client):
        for i in range(rounds):
            errno_of(os.stat, mounted / f"no{client}.{i}")  # each is kept, and asked for once
            with open(mounted / "f", "rb"):
                pass

    before = exposition.read(mounted.point)
    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    last = before
    while any(thread.is_alive() for thread in threads):
        now = exposition.read(mounted.point)
        for (name, labels), value in last.samples.items():
            if name.endswith(("_total", "_count", "_sum", "_bucket")):
                assert now.samples[name, labels] >= value, (name, labels)
        last = now
    for thread in threads:
        thread.join()
    after = exposition.read(mounted.point)
    assert grown(before, after, "errors_total", errno_="ENOENT") == rounds * clients
    assert sum(after.series("opens_total").values()) == rounds * clients
