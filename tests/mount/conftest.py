# SPDX-License-Identifier: MIT
"""Fixtures of the mount tests: directories, loop devices, mounts, and their verdicts."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mmapfs  # noqa: E402


# Of these files some suites of run.sh take no notice: what takes many seconds is for `mount`
# alone (single tests are marked where they stand), the thread sanitizer sees nothing where one
# client does one thing at a time, and a newer libfuse nothing where all is above it.
MARKED = {
    "slow": ("test_behind_places", "test_cache_restart_many"),
    "one_client": ("test_attributes", "test_basic", "test_behind", "test_behind_places",
                   "test_limits", "test_security", "test_table", "test_users",
                   "test_users_control"),
    "any_libfuse": ("test_behind", "test_behind_places", "test_cache_budget",
                    "test_cache_policy", "test_cache_restart", "test_cache_restart_many",
                    "test_limits", "test_random", "test_table_budget", "test_users_control"),
}


def pytest_configure(config):
    for name in MARKED:
        config.addinivalue_line("markers", f"{name}: see MARKED in tests/mount/conftest.py")
    if os.geteuid() != 0:
        pytest.exit("the mount tests need root: sudo tests/run.sh", 2)
    if not mmapfs.DAEMON.exists():
        pytest.exit(f"{mmapfs.DAEMON} is missing: build first, or set MMAPFS_BUILD", 2)


def pytest_collection_modifyitems(items):
    for item in items:
        for name, files in MARKED.items():
            if item.path.stem in files:
                item.add_marker(name)


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
