# SPDX-License-Identifier: MIT
"""Fixtures of the tests that mount: directories, loop devices, mounts, and their verdicts.
The tests below a conftest.py have those that it imports."""

import os
import re
import subprocess

import pytest

import mmapfs


def pytest_configure(config):
    for name in ("slow", "one_client", "any_libfuse"):
        config.addinivalue_line("markers", f"{name}: see MARKED in tests/mount/conftest.py")
    if os.geteuid() != 0:
        pytest.exit("the mount tests need root: sudo tests/run.sh", 2)
    if not mmapfs.DAEMON.exists():
        pytest.exit(f"{mmapfs.DAEMON} is missing: build first, or set MMAPFS_BUILD", 2)


@pytest.fixture
def base():
    with mmapfs.directory() as path:
        yield path


@pytest.fixture
def source(base):
    path = base / "source"
    path.mkdir()
    return path


@pytest.fixture
def mount(base):
    """mount(source, options, ...): a running mmapfs.Mount; each is judged at the end."""
    mounts = []

    def start(source, options="allow_other", **more):
        point = base / f"mnt{len(mounts)}"
        point.mkdir()
        if more.get("uid") is not None:
            os.chown(point, more["uid"], more["uid"])
        mounted = mmapfs.Mount(source, point, base / f"log{len(mounts)}", options, **more)
        mounts.append(mounted)
        return mounted.start()

    yield start
    wrong = []
    for mounted in reversed(mounts):
        wrong += mounted.stop()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def loop(base):
    """loop(fstype, size): a mmapfs.Loop, mounted."""
    loops = []

    def make(fstype, size, **more):
        where = base / f"loop{len(loops)}"
        where.mkdir()
        loops.append(mmapfs.Loop(where, fstype, size, **more))
        return loops[-1]

    yield make
    for one in reversed(loops):
        one.close()


def physical_start(path, block):
    """Block of the device where a block of the file lies."""
    out = subprocess.run(["filefrag", "-b4096", "-v", path], check=True,
                         capture_output=True, text=True).stdout
    for line in out.splitlines():
        match = re.match(r"\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\.", line)
        if match and int(match[1]) <= block <= int(match[2]):
            return int(match[3]) + block - int(match[1])
    raise AssertionError("the block has no place:\n" + out)


@pytest.fixture
def half_broken(loop):
    """(mountpoint, good bytes): file f of 16 MiB of which only the first half can be read.

    The loop device's image is cut off behind it, in the middle of the file's data; all
    metadata lies before."""
    disk = loop("ext4", 64 * mmapfs.MIB, mkfs=["-O", "^has_journal,^resize_inode",
                                               "-b", "4096", "-E", "lazy_itable_init=0"])
    length = 16 * mmapfs.MIB
    mmapfs.fill(disk.point / "f", length)
    os.sync()
    subprocess.run(["umount", disk.point], check=True)
    subprocess.run(["mount", "-o", "ro", disk.device, disk.point], check=True)
    middle = physical_start(disk.point / "f", length // 2 // 4096)
    assert middle > physical_start(disk.point / "f", 0)
    os.truncate(disk.image, middle * 4096)
    # What the device had cached of the second half must go too.
    subprocess.run(["blockdev", "--flushbufs", disk.device], check=True)
    mmapfs.evict_by_hand(disk.point / "f", sync=False)
    return disk.point, length // 2


@pytest.fixture(scope="session")
def passthrough_works():
    """Whether this kernel lets this process have FUSE passthrough."""
    with mmapfs.directory() as path:
        (path / "source").mkdir()
        (path / "mnt").mkdir()
        mounted = mmapfs.Mount(path / "source", path / "mnt", path / "log",
                               "data_path=passthrough")
        try:
            mounted.start()
        except AssertionError:
            if "passthrough" not in mounted.text():
                raise
            return False
        finally:
            mounted.stop()
    return True


@pytest.fixture(params=["passthrough", "mapped"])
def data_path(request):
    """Both ways the bytes can go; a test that takes it runs on each."""
    if request.param == "passthrough" and not request.getfixturevalue("passthrough_works"):
        pytest.skip("this kernel has no FUSE passthrough")
    return request.param


@pytest.fixture
def passthrough(passthrough_works):
    if not passthrough_works:
        pytest.skip("this kernel has no FUSE passthrough")


@pytest.fixture
def mounted(source, mount, data_path):
    """The source mounted for everybody, on each data path in turn."""
    return mount(source, f"allow_other,data_path={data_path}")
