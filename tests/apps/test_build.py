# SPDX-License-Identifier: MIT
"""A C compiler with its sources and its results on the mount: this project's library is built
there, and unit tests of it are run from there."""

import json
import os
import shutil

import pytest

import apps

pytestmark = pytest.mark.skipif(not shutil.which("meson") or not shutil.which("gcc"),
                                reason="meson or gcc is not installed")

ENV = dict(os.environ, CC="gcc", CFLAGS="-O0")
TESTS = ["map", "residency", "ranges", "evict", "lock", "sync"]


def test_this_project_builds_and_its_unit_tests_pass(source, mounted):
    apps.copy_of_this_project(mounted / "src")
    apps.run("meson", "setup", "-Dnode=disabled", mounted / "build", mounted / "src", env=ENV)
    programs = [f"tests/unit/test-{name}" for name in TESTS]
    apps.run("ninja", "-C", mounted / "build", *programs, env=ENV)
    apps.run("meson", "test", "-C", mounted / "build", "--no-rebuild", *TESTS, env=ENV)
    # Nothing to do again: every time of every file is as the compiler left it.
    again = apps.run("ninja", "-C", mounted / "build", *programs, env=ENV)
    assert "no work to do" in again
    mounted.unmount()
    log = (source / "build" / "meson-logs" / "testlog.json").read_text().splitlines()
    assert [json.loads(line)["result"] for line in log] == ["OK"] * len(TESTS)
