# SPDX-License-Identifier: MIT
"""mmapctl sync: what is dirty before and after, and errors of writing back."""

import subprocess

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, PAGE


def test_dirty_pages_are_written(place):
    shown, source = place
    with open(shown / "f", "wb") as file:
        file.write(b"x" * MIB)
        file.flush()
        found = tool.action("sync", shown / "f")
    assert found["before"] == MIB // PAGE
    assert found["after"] == 0
    assert found["level"] == "sync" and found["errno"] is None
    assert mmapfs.cachestat(source / "f")[1] == 0


def test_async_starts_writing(place):
    shown, source = place
    (shown / "f").write_bytes(b"x" * MIB)
    found = tool.action("sync", "--async", shown / "f")
    assert found["level"] == "async"
    mmapfs.wait_until(lambda: mmapfs.cachestat(source / "f")[1] == 0, what="clean pages")


def test_invalidate_of_locked_pages_is_ebusy(source, mounted):
    mmapfs.fill(source / "f", MIB)
    mmapfs.setattr(mounted / "f", "lock", "on")
    done = tool.run("sync", "--invalidate", mounted / "f", code=2)
    assert "locked" in done.stderr and "resource busy" in done.stderr
    mmapfs.setattr(mounted / "f", "lock", "off")
    tool.run("sync", "--invalidate", mounted / "f")


def test_async_and_invalidate_exclude_each_other(source):
    (source / "f").touch()
    done = tool.run("sync", "--async", "--invalidate", source / "f", code=1)
    assert "exclude" in done.stderr


def test_a_range(place):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    done = tool.report("sync", "--range", "4K+8K", shown / "f")
    assert done["files"][0]["range"] == "4K+8K"


def test_a_file_without_write_permission_is_synced_too(base):
    mmapfs.fill(base / "f", MIB)
    found = tool.action("sync", base / "f", user=mmapfs.NOBODY)
    assert found["errno"] is None
    assert found["before"] is None and found["after"] is None


@pytest.fixture
def too_small(base):
    """An ext4 on a loop device whose image is on a tmpfs that is too small."""
    small, point = base / "small", base / "m"
    small.mkdir()
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], check=True)
    device = None
    try:
        with open(small / "img", "wb") as image:
            image.truncate(64 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-b", "4096",
                        small / "img"], check=True)
        device = subprocess.run(["losetup", "-f", "--show", small / "img"], check=True,
                                capture_output=True, text=True).stdout.strip()
        subprocess.run(["mount", device, point], check=True)
        yield point
    finally:
        subprocess.run(["umount", point], check=False, capture_output=True)
        if device:
            subprocess.run(["losetup", "-d", device], check=False)
        subprocess.run(["umount", "-l", small], check=False)


def test_data_that_cannot_be_written_is_an_error_with_a_name(too_small):
    # Left to itself: no sync of ours has reported the error before.
    with open(too_small / "f", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"x" * MIB)
        done = tool.report("sync", too_small / "f", code=2)
    found = done["files"][0]["action"]
    assert found["code"] in ("EIO", "ENOSPC")
    assert done["errors"][0]["code"] == found["code"]
