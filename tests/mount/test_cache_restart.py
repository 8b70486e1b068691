# SPDX-License-Identifier: MIT
"""Warm restart: what was resident when the mount ended, or was last saved, is so again."""

import contextlib
import os
import pathlib
import random
import subprocess
import time

import pytest

import mmapfs
from mmapfs import MIB, NOBODY, PAGE, errno_of
from test_lifecycle import GET, SET, control
from test_unprivileged import users_source  # noqa: F401, a fixture

MMAPCTL = mmapfs.BUILD / "tools" / "mmapctl"


@pytest.fixture
def place(base):
    """The directory of the snapshot, outside of the source."""
    path = base / "place"
    path.mkdir()
    return path


@pytest.fixture
def snap(place):
    return place / "snap"


def status(point):
    """The root's snapshot attribute as a dict."""
    return parsed(mmapfs.getattr(point, "snapshot"))


def parsed(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def settled(point):
    """Wait until nothing is saved nor restored, however long that takes."""
    mmapfs.wait_until(lambda: status(point)["state"] == "idle", 60, "the end of a restore")
    return status(point)


def save(point):
    settled(point)
    mmapfs.setattr(point, "snapshot", "save")
    return settled(point)


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def is_whole(path):
    """Does another program find a snapshot there that it can use?"""
    done = subprocess.run([MMAPCTL, "diff", path, path], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return True


def is_about(path, tree):
    return path.read_text().count("\nfile ") == len(tree.pages)


# ---- files of which chosen pages are resident --------------------------------------------


class Tree:
    """Files on the source, some random pages of which are held resident."""

    def __init__(self, source, count=6, pages=256, share=4, seed=1):
        self.rng = random.Random(seed)
        self.pages = {}
        for i in range(count):
            path = source / f"dir{i % 3}" / f"file {i}"
            path.parent.mkdir(exist_ok=True)
            mmapfs.fill(path, pages * PAGE - 100 * (i % 2), seed=i)
            self.pages[path] = set(self.rng.sample(range(pages), pages // share))
        self.held = contextlib.ExitStack()

    def hold(self):
        """Make just these pages resident, and keep them: nothing else may evict them."""
        self.held.close()
        for path, pages in self.pages.items():
            mmapfs.evict_by_hand(path)
            mapping = self.held.enter_context(mmapfs.mapped(path))
            mmapfs.check(mmapfs.libc.madvise(mapping.address, mapping.length, 1))
            for page in pages:
                mmapfs.check(mmapfs.libc.madvise(mapping.address + page * PAGE, PAGE,
                                                 mmapfs.MADV_POPULATE_READ))
        return self

    def evict(self):
        self.held.close()
        for path in self.pages:
            mmapfs.evict_by_hand(path)

    @staticmethod
    def resident(path):
        with mmapfs.mapped(path) as mapping:
            return {i for i, there in enumerate(mapping.mincore()) if there}

    def is_back(self):
        return {path: self.resident(path) for path in self.pages} == self.pages

    def bytes(self):
        total = 0
        for path, pages in self.pages.items():
            size = path.stat().st_size
            total += sum(min(PAGE, size - page * PAGE) for page in pages)
        return total


@pytest.fixture
def tree(source):
    tree = Tree(source)
    yield tree
    tree.held.close()


def restored(mount, source, options):
    """Mount, and wait until it is restored."""
    mounted = mount(source, options)
    return mounted, settled(mounted.point)


def came_back(mounted, tree):
    """Was just what was resident restored? The daemon says that it saw it; and we see it too,
    if need be after another restore: idle pages do not stay for long on some machines."""
    now = settled(mounted.point)
    assert now["restore"] == "done", now

    def seen():
        if tree.is_back():
            return True
        control(mounted.point, SET, "snapshot", "restore")
        settled(mounted.point)
        return tree.is_back()

    mmapfs.wait_until(seen, what="exactly the same pages")
    return True


# ---- there and back --------------------------------------------------------------------


@pytest.mark.parametrize("more", ["", ",ro", ",max_threads=1,workers=1"])
def test_what_was_resident_at_the_unmount_is_so_after_the_next_mount(more, source, snap, tree,
                                                                      mount, data_path):
    options = f"allow_other,data_path={data_path},snapshot={snap}{more}"
    first = mount(source, options)
    assert settled(first.point)["restore"] == "none"
    tree.hold()
    first.unmount()
    tree.evict()
    assert not tree.is_back()
    second, now = restored(mount, source, options)
    assert came_back(second, tree)
    assert now["restore"] == "done"
    assert now["restore_bytes"] == f"{tree.bytes()}/{tree.bytes()}"
    assert now["restore_files"] == str(len(tree.pages))
    assert now["restore_changed"] == now["restore_failed"] == "0"
    assert os.stat(snap).st_mode & 0o7777 == 0o600
    assert os.stat(f"{snap}.lock").st_mode & 0o7777 == 0o600
    assert "WARN" not in second.text() and "cannot" not in first.text()


def test_the_end_by_a_signal_saves_too(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    assert mmapfs.terminate(mounted.process) == 0
    tree.evict()
    mounted, _ = restored(mount, source, f"snapshot={snap}")
    assert came_back(mounted, tree)


def test_an_ordinary_user_has_it_too(users_source, snap, tree, place, mount):
    for path in (place, *users_source.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    first = mount(users_source, f"snapshot={snap}", uid=NOBODY)
    mmapfs.run_as(NOBODY, lambda: settled(first.point))
    tree.hold()
    first.unmount()
    tree.evict()
    second = mount(users_source, f"snapshot={snap}", uid=NOBODY)
    mmapfs.run_as(NOBODY, lambda: settled(second.point))
    assert tree.is_back()
    assert os.stat(snap).st_uid == NOBODY


def test_on_request_by_the_ioctl_on_a_read_only_mount(source, snap, tree, mount):
    mounted = mount(source, f"ro,snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    assert errno_of(mmapfs.setattr, mounted.point, "snapshot", "save") == "EROFS"
    control(mounted.point, SET, "snapshot", "save")
    now = settled(mounted.point)
    assert now == parsed(control(mounted.point, GET, "snapshot"))
    assert 'mmapfs_snapshot_saves_total{result="ok"} 1\n' in mmapfs.getattr(mounted.point,
                                                                            "metrics")
    assert now["save"] == "done" and now["save_files"] == "6"
    tree.evict()
    control(mounted.point, SET, "snapshot", "restore")
    assert came_back(mounted, tree)


def test_the_command_can_use_the_snapshot(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    save(mounted.point)
    tree.evict()
    subprocess.run([MMAPCTL, "restore", snap], check=True, capture_output=True)
    assert tree.is_back()


def test_intervals(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap},snapshot_interval=1")
    settled(mounted.point)
    tree.hold()
    mmapfs.wait_until(lambda: snap.exists() and is_about(snap, tree), what="a save")
    first = os.stat(snap).st_ino
    mmapfs.wait_until(lambda: os.stat(snap).st_ino != first, what="another save")
    mmapfs.setattr(mounted.point, "snapshot", "interval 0")
    assert settled(mounted.point)["interval"] == "0"
    mounted.kill()
    tree.evict()
    mounted, _ = restored(mount, source, f"snapshot={snap}")
    assert came_back(mounted, tree)


def test_changed_files_are_left_alone(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    mounted.unmount()
    tree.evict()
    touched, gone, grown = sorted(tree.pages)[:3]
    os.utime(touched)
    gone.unlink()
    with open(grown, "ab") as file:
        file.write(b"x")
        os.fsync(file.fileno())
    mmapfs.evict_by_hand(grown)
    _, now = restored(mount, source, f"snapshot={snap}")
    assert mmapfs.resident_by_hand(touched) == mmapfs.resident_by_hand(grown) == 0
    assert now["restore_changed"] == "3" and now["restore_files"] == "3"


def test_what_the_policy_never_caches_is_neither_saved_nor_restored(base, source, snap, tree,
                                                                     mount):
    policy = base / "policy"
    policy.write_text("[dir0/*]\nnever = cache\n")
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    assert save(mounted.point)["save_files"] == "6"
    mounted.kill()
    tree.evict()
    mounted, now = restored(mount, source, f"snapshot={snap},policy={policy}")
    assert now["restore_unwanted"] == "2" and now["restore_files"] == "4"
    assert all(mmapfs.resident_by_hand(path) == 0 for path in tree.pages
               if path.parent.name == "dir0")
    tree.hold()
    assert save(mounted.point)["save_files"] == "4"


# ---- the way it ends --------------------------------------------------------------------


def test_after_a_kill_the_last_saved_one_is_used(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    save(mounted.point)
    tree.evict()
    mounted.kill()
    mounted, _ = restored(mount, source, f"snapshot={snap}")
    assert came_back(mounted, tree)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_saving_leaves_a_whole_snapshot(source, place, snap, mount):
    many = source / "many"
    many.mkdir()
    for i in range(3000):
        (many / f"{i * 7919 % 3000:04}").write_bytes(b"x")
    rng = random.Random(5)
    mounted = mount(source, f"snapshot={snap}")
    begin = time.monotonic()
    save(mounted.point)
    lasts = time.monotonic() - begin
    for _ in range(25):
        mmapfs.setattr(mounted.point, "snapshot", "save")
        time.sleep(rng.uniform(0, lasts * 1.2))
        mounted.kill()
        assert is_whole(snap)
        assert [name for name in names(place) if name.startswith(".")] == []
        mounted = mount(source, f"snapshot={snap},snapshot_rate=0")
        assert settled(mounted.point)["restore"] == "done"
    assert names(place) == ["snap", "snap.lock"]


def test_a_mount_that_ends_while_it_restores_keeps_the_snapshot(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    mounted.unmount()
    tree.evict()
    before = snap.read_bytes()
    mounted = mount(source, f"snapshot={snap},snapshot_rate=16K")
    mmapfs.wait_until(lambda: status(mounted.point)["state"] == "restoring", what="a start")
    mounted.unmount()
    assert snap.read_bytes() == before
    assert "the restore had not finished" in mounted.text()
    mounted, _ = restored(mount, source, f"snapshot={snap}")
    assert came_back(mounted, tree)


def test_cancel(source, snap, tree, mount):
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    mounted.unmount()
    tree.evict()
    mounted = mount(source, f"snapshot={snap},snapshot_rate=16K")
    mmapfs.wait_until(lambda: status(mounted.point)["state"] == "restoring", what="a start")
    assert errno_of(mmapfs.setattr, mounted.point, "snapshot", "save") == "EBUSY"
    mmapfs.setattr(mounted.point, "snapshot", "cancel")
    now = settled(mounted.point)
    assert now["restore"] == "cancelled"
    done, total = map(int, now["restore_bytes"].split("/"))
    assert done < total == tree.bytes()
    mmapfs.setattr(mounted.point, "snapshot", "rate 0")
    mmapfs.setattr(mounted.point, "snapshot", "restore")
    assert came_back(mounted, tree)


def test_the_mount_before_may_still_be_saving(source, snap, tree, mount):
    first = mount(source, f"snapshot={snap}")
    settled(first.point)
    tree.hold()
    second = mount(source, f"snapshot={snap}")
    mmapfs.wait_until(lambda: status(second.point)["state"] == "waiting", what="patience")
    assert not snap.exists()
    first.unmount()
    now = settled(second.point)
    assert now["restore"] == "done" and now["restore_files"] == "6"


def test_two_mounts_cannot_save_to_one_file(source, snap, mount):
    first = mount(source, f"snapshot={snap}")
    settled(first.point)
    save(first.point)
    second = mount(source, f"snapshot={snap}")
    mmapfs.wait_until(lambda: status(second.point)["state"] == "waiting", what="patience")
    mmapfs.setattr(second.point, "snapshot", "cancel")
    now = save(second.point)
    assert now["save"] == "failed" and now["save_error"] == "EBUSY"
    second.unmount()
    assert "another mmapfs uses it" in second.text()
    assert save(first.point)["save"] == "done"


# ---- damage ----------------------------------------------------------------------------


def cut(data):
    return data[:len(data) // 2]


def flip(data):
    at = len(data) * 2 // 3
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


DAMAGES = {
    "cut": (cut, "line "),
    "changed": (flip, "line "),
    "empty": (lambda data: b"", "line 1: the text ends too early"),
    "foreign": (lambda data: b"#!/bin/sh\n", "line 1: not a snapshot of mmapfs"),
    "newer": (lambda data: b"mmapfs-snapshot 9" + data[17:],
              "line 1: a version that is not known"),
    "short": (lambda data: data[:-1], "the last line is cut"),
    "more": (lambda data: data + b"x", "text behind the end"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_snapshot_is_set_aside_with_line_and_reason(kind, source, place, snap, tree,
                                                              mount):
    damage, reason = DAMAGES[kind]
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    mounted.unmount()
    tree.evict()
    damaged = damage(snap.read_bytes())
    snap.write_bytes(damaged)
    (place / "snap.damaged").write_text("an older one")
    mounted = mount(source, f"snapshot={snap}")
    now = settled(mounted.point)
    assert now["restore"] == "failed" and now["restore_error"] == "EBADMSG"
    assert not any(mmapfs.resident_by_hand(path) for path in tree.pages)
    line, = [line for line in mounted.text().splitlines() if "cannot use the snapshot" in line]
    assert reason in line and f"'{snap}'" in line and "'snap.damaged-1'" in line
    tree.hold()
    mounted.unmount()
    assert is_whole(snap)
    assert (place / "snap.damaged-1").read_bytes() == damaged
    assert (place / "snap.damaged").read_text() == "an older one"


def test_a_snapshot_of_another_source_is_set_aside(base, source, place, snap, tree, mount):
    other = base / "other"
    other.mkdir()
    mmapfs.fill(other / "f", PAGE)
    mounted = mount(other, f"snapshot={snap}")
    settled(mounted.point)
    with mmapfs.hold(other / "f"):
        mounted.unmount()
    before = snap.read_bytes()
    mounted, now = restored(mount, source, f"snapshot={snap}")
    assert now["restore"] == "failed" and now["restore_error"] == "EXDEV"
    assert "another source" in mounted.text()
    mounted.unmount()
    assert (place / "snap.other").read_bytes() == before


# ---- a full disk -----------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_snapshot_and_is_tried_again(source, tree, loop, mount):
    disk = loop("ext4", 8 * MIB, mkfs=("-m", "0"))
    snap = disk.point / "snap"
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    save(mounted.point)
    before = snap.read_bytes()
    ballast = disk.point / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    now = save(mounted.point)
    assert now["save"] == "failed" and now["save_error"] == "ENOSPC"
    assert now["save_files"] == "6"
    assert snap.read_bytes() == before
    assert "No space left on device" in mounted.text()
    assert str(snap) in mounted.text()
    mmapfs.setattr(mounted.point, "snapshot", "interval 1")
    ballast.unlink()
    mmapfs.wait_until(lambda: status(mounted.point)["save"] == "done", what="another try")
    assert "save_error" not in status(mounted.point)
    assert mounted.text().count("No space left on device") == 1
    assert is_whole(snap)
    mounted.unmount()


# ---- the budget ------------------------------------------------------------------------


def test_no_more_is_restored_than_the_budget_has_room_for(source, snap, mount):
    files = [mmapfs.fill(source / f"f{i}", 16 * MIB) for i in range(4)]
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    with contextlib.ExitStack() as held:
        for path in files:
            held.enter_context(mmapfs.hold(path))
        mounted.unmount()
    for path in files:
        mmapfs.evict_by_hand(path)
    mounted, now = restored(mount, source, f"snapshot={snap},budget=32M,snapshot_rate=0")
    assert sum(map(mmapfs.resident_by_hand, files)) * PAGE <= 32 * MIB
    assert now["restore"] == "budget"
    assert 8 * MIB < int(now["restore_read"]) <= 32 * MIB
    assert int(now["restore_bytes"].split("/")[1]) == 64 * MIB


# ---- who may, and what is refused --------------------------------------------------------


def test_only_root_and_who_mounted_may_control_it(source, snap, mount):
    source.chmod(0o777)
    mounted = mount(source, f"allow_other,snapshot={snap}")
    settled(mounted.point)
    read = mmapfs.run_as(NOBODY, lambda: mmapfs.getattr(mounted.point, "snapshot"))
    assert parsed(read)["file"] == str(snap)
    for value in ("save", "restore", "cancel", "interval 1", "rate 1"):
        assert errno_of(mmapfs.run_as, NOBODY,
                        lambda value=value: mmapfs.setattr(mounted.point, "snapshot",
                                                           value)) == "EPERM"
    for value in ("", "stop", "save now", "interval x", "rate -1"):
        assert errno_of(mmapfs.setattr, mounted.point, "snapshot", value) == "EINVAL"


def test_without_the_option_it_is_off(source, mount):
    (source / "f").write_bytes(b"x")
    mounted = mount(source)
    assert mmapfs.getattr(mounted.point, "snapshot") == "state=off"
    assert errno_of(mmapfs.setattr, mounted.point, "snapshot", "save") == "EOPNOTSUPP"
    assert errno_of(mmapfs.getattr, mounted / "f", "snapshot") == "ENODATA"


REFUSED = [
    ("snapshot={source}/snap", "it would be a file of the source"),
    ("snapshot={source}/d/snap", "it would be a file of the source"),
    ("snapshot={place}/nowhere/snap", "No such file or directory"),
    ("snapshot={place}", "it is no regular file"),
    ("snapshot={place}/", "it must name a file"),
    ("snapshot={place}/link", "it is no regular file"),
    ("snapshot=", "bad value"),
    ("snapshot={place}/snap,snapshot_interval=soon", "snapshot_interval=soon"),
    ("snapshot={place}/snap,snapshot_interval=86401", "snapshot_interval=86401"),
    ("snapshot={place}/snap,snapshot_rate=fast", "snapshot_rate=fast"),
    ("snapshot_rate=1M", "need snapshot=FILE"),
]


@pytest.mark.parametrize("options,why", REFUSED)
def test_what_cannot_be_kept_fails_the_mount(options, why, base, source, place):
    (source / "d").mkdir()
    (place / "link").symlink_to("snap")
    point = base / "point"
    point.mkdir()
    done = mmapfs.run_daemon(source, point, "-o", options.format(source=source, place=place))
    assert done.returncode == 1
    assert why in done.stderr and len(done.stderr.splitlines()) == 1
    assert mmapfs.mount_type(point) is None


def test_a_region_table_is_refused_with_what_to_do_instead(base, source, place):
    (source / "table").write_text("memory anon 0 1M write\n")
    point = base / "point"
    point.mkdir()
    done = mmapfs.run_daemon(source / "table", point, "-o", f"snapshot={place}/snap")
    assert done.returncode == 1
    assert done.stderr == (f"mmapfs: cannot keep the snapshot '{place}/snap': the source is a "
                           "region table; mmapctl snapshot can save its files\n")
    assert names(place) == [] and mmapfs.mount_type(point) is None


def test_a_place_that_cannot_be_written_fails_the_mount(base, source, place):
    point = base / "point"
    point.mkdir()
    os.chown(point, NOBODY, NOBODY)
    done = mmapfs.run_daemon(source, point, "-f", "-o", f"snapshot={place}/snap", user=NOBODY)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr and f"{place}/snap" in done.stderr


def test_a_relative_place_is_that_of_the_start(base, source, place):
    point = base / "point"
    point.mkdir()
    done = mmapfs.run_daemon(source, point, "-o", "snapshot=snap", cwd=place)
    assert done.returncode == 0, done.stderr
    try:
        now = save(point)
    finally:
        subprocess.run(["umount", point], check=True)
    assert now["file"] == str(place / "snap")
    mmapfs.wait_until(lambda: names(place) == ["snap", "snap.lock"], what="the save")


def test_the_names_are_absolute_and_only_cached_files_are_in(source, snap, tree, mount):
    (source / "empty").touch()
    cold = mmapfs.fill(source / "cold", PAGE)
    mounted = mount(source, f"snapshot={snap}")
    settled(mounted.point)
    tree.hold()
    mmapfs.evict_by_hand(cold)
    save(mounted.point)
    lines = [line.split() for line in pathlib.Path(snap).read_text().splitlines()]
    found = [line[1].replace("%20", " ") for line in lines if line[0] == "file"]
    assert found == sorted(str(path) for path in tree.pages)
