# SPDX-License-Identifier: MIT
"""A mount by an ordinary user, through fusermount3: the mapped path, the same answers."""

import os
import shutil
import subprocess

import pytest

import exposition
import mmapfs
from mmapfs import errno_of, run_as

USER = mmapfs.NOBODY


@pytest.fixture
def users_source(base, source):
    """A directory of that user's, and a /dev/fuse and fusermount3 they can use."""
    if not shutil.which("fusermount3"):
        pytest.skip("fusermount3 is not installed")
    if not os.stat(shutil.which("fusermount3")).st_mode & 0o4000:
        pytest.skip("fusermount3 is not setuid root here")
    mode = os.stat("/dev/fuse").st_mode
    os.chmod("/dev/fuse", 0o666)
    mmapfs.fill(source / "f", 2 * mmapfs.MIB)
    for path in (base, source, source / "f"):
        os.chown(path, USER, USER)
    yield source
    os.chmod("/dev/fuse", mode & 0o7777)


@pytest.fixture
def users_mount(users_source, mount):
    return mount(users_source, "", uid=USER)


def as_user(function):
    return run_as(USER, function)


def test_files_are_read_and_written(users_source, users_mount):
    assert as_user((users_mount / "f").read_bytes) == (users_source / "f").read_bytes()
    as_user(lambda: (users_mount / "g").write_bytes(b"new") and None)
    assert (users_source / "g").read_bytes() == b"new"
    assert (users_source / "g").stat().st_uid == USER
    as_user(lambda: os.mkdir(users_mount / "d"))
    as_user(lambda: os.rename(users_mount / "g", users_mount / "d" / "g"))
    assert (users_source / "d" / "g").read_bytes() == b"new"


def test_attributes_give_the_same_answers(users_source, users_mount):
    file = users_mount / "f"
    with mmapfs.hold(users_source / "f"):
        fields = as_user(lambda: mmapfs.stat(file))
        assert fields["resident"] == fields["pages"] == 512
        assert fields["resident"] == mmapfs.fincore(users_source / "f")
        assert fields["confidence"] == "exact"
        assert as_user(lambda: mmapfs.ranges(file)) == [(0, 2 * mmapfs.MIB)]
    with open(users_source / "f", "rb"):
        assert as_user(lambda: mmapfs.stat(file))["data_path"] != "passthrough"


def test_inodes_keep_descriptors_which_the_metrics_count(users_mount):
    def read():
        return exposition.Metrics(as_user(lambda: mmapfs.getattr(users_mount.point, "metrics")))

    before = read()
    as_user(lambda: [(users_mount / f"f{i}").touch() for i in range(23)] and None)
    after = read()
    for name in ("inodes", "inode_descriptors"):
        assert after.value(name) - before.value(name) == 23, name


def test_controls_work(users_source, users_mount):
    file = users_mount / "f"
    as_user(lambda: mmapfs.setattr(file, "evict"))
    assert mmapfs.fincore(users_source / "f") == 0
    with mmapfs.mapped(users_source / "f") as mapping:
        as_user(lambda: mmapfs.warm(file))
        assert mapping.resident() == 512
    as_user(lambda: mmapfs.setattr(file, "sync", "sync"))
    as_user(lambda: mmapfs.setattr(file, "advise", "random"))
    assert as_user(lambda: mmapfs.getattr(file, "advise")) == "random"


def test_lock_is_bounded_by_the_user_s_own_limit(users_source, users_mount):
    """RLIMIT_MEMLOCK holds for the daemon of a user; within it, lock works."""
    file = users_mount / "f"
    as_user(lambda: mmapfs.setattr(file, "lock", "on 0+64K"))
    assert as_user(lambda: mmapfs.number(file, "locked")) == 16
    mmapfs.evict_by_hand(users_source / "f")
    assert as_user(lambda: mmapfs.number(file, "resident@0+64K")) == 16


def test_a_file_of_somebody_else_is_unknown_not_guessed(users_source, users_mount):
    """Readable, but neither owned nor writable: the kernel hides residency, so do we."""
    mmapfs.fill(users_source / "roots", mmapfs.MIB)
    os.chmod(users_source / "roots", 0o644)
    file = users_mount / "roots"
    assert errno_of(lambda: as_user(lambda: mmapfs.number(file, "resident"))) == "ENODATA"
    fields = as_user(lambda: mmapfs.stat(file))
    assert not isinstance(fields.get("resident"), int)
    assert fields["confidence"] == "unknown"
    total = as_user(lambda: mmapfs.stat(users_mount.point))
    assert total["unknown_files"] == 1


def test_passthrough_cannot_be_demanded(users_source, base):
    point = base / "point"
    point.mkdir()
    os.chown(point, USER, USER)
    result = subprocess.run(
        [mmapfs.DAEMON, users_source, point, "-f", "-o", "data_path=passthrough"],
        capture_output=True, text=True, check=False, timeout=mmapfs.DEADLINE, user=USER,
        group=USER, extra_groups=[])
    assert result.returncode > 0
    assert "passthrough" in result.stderr
    assert mmapfs.mount_type(point) is None
