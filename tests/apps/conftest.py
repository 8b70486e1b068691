# SPDX-License-Identifier: MIT
"""Fixtures of the application tests: those of the mount tests, and a deadline."""

import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "lib"))

import apps  # noqa: E402


def load(name, path):
    """Another directory's conftest, which all have that name, so not by import."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_mount = load("mount_conftest", TESTS / "mount" / "conftest.py")

base = _mount.base
source = _mount.source
mount = _mount.mount
passthrough_works = _mount.passthrough_works
data_path = _mount.data_path
pytest_configure = _mount.pytest_configure


@pytest.fixture
def mounted(source, mount, data_path):
    """The source mounted for everybody, on each data path in turn, not for ever; with the
    options that mount(8) gives, while a daemon started by hand is nosuid and nodev."""
    options = f"allow_other,suid,dev,data_path={data_path}"
    with apps.bounded(mount(source, options)) as bounded:
        yield bounded
