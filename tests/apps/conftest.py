# SPDX-License-Identifier: MIT
"""Fixtures of the application tests: those of the mount tests, and a deadline."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import apps  # noqa: E402
from fixtures import (base, data_path, mount, passthrough_works,  # noqa: E402, F401
                      pytest_configure, source)


@pytest.fixture
def mounted(source, mount, data_path):
    """The source mounted for everybody, on each data path in turn, not for ever; with the
    options that mount(8) gives, while a daemon started by hand is nosuid and nodev."""
    options = f"allow_other,suid,dev,data_path={data_path}"
    with apps.bounded(mount(source, options)) as bounded:
        yield bounded
