# SPDX-License-Identifier: MIT
"""Fixtures of the tests of mmapctl: those of the mount tests, and a broken disk."""

import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "lib"))

import mmapctl as tool  # noqa: E402


def load(name, path):
    """Another directory's module; all are called conftest, so not by import."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_mount = load("mount_conftest", TESTS / "mount" / "conftest.py")
_faults = load("mount_faults", TESTS / "mount" / "test_faults.py")

base = _mount.base
source = _mount.source
mount = _mount.mount
loop = _mount.loop
passthrough_works = _mount.passthrough_works
passthrough = _mount.passthrough
data_path = _mount.data_path
mounted = _mount.mounted
half_broken = _faults.half_broken


def pytest_configure(config):
    _mount.pytest_configure(config)
    if not tool.MMAPCTL.exists():
        pytest.exit(f"{tool.MMAPCTL} is missing: build first, or set MMAPFS_BUILD", 2)


@pytest.fixture(params=["plain", "mount"])
def place(request, source, base):
    """(how a test names the files of the source, the source): both where they are, and
    through a mounted mmapfs."""
    if request.param == "plain":
        return source, source
    mount_it = request.getfixturevalue("mount")
    return mount_it(source).point, source
