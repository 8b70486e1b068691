# SPDX-License-Identifier: MIT
"""Fixtures of the tests of mmapctl: those of the mount tests, and files in two places."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import fixtures  # noqa: E402
import mmapctl as tool  # noqa: E402
from fixtures import (base, data_path, half_broken, loop, mount, mounted,  # noqa: E402, F401
                      passthrough, passthrough_works, source)


def pytest_configure(config):
    fixtures.pytest_configure(config)
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
