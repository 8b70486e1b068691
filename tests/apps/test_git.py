# SPDX-License-Identifier: MIT
"""git with its repository on the mount: clone, commit, merge, gc, fsck."""

import os
import shutil

import pytest

import apps
from trees import tree

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

ENV = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null",
           GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
           GIT_COMMITTER_EMAIL="a@b", GIT_AUTHOR_DATE="1700000000 +0000",
           GIT_COMMITTER_DATE="1700000000 +0000")


def git(where, *arguments):
    return apps.run("git", "-C", where, *arguments, env=ENV).strip()


def commit(where, message):
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", message)


def write_files(where, generation):
    """Files that differ little from commit to commit, so that gc has deltas to find."""
    for i in range(100):
        path = where / f"d{i % 7}" / f"f{i}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{i}\n" * 200 + f"{generation if i % 5 == 0 else 0}\n")
    (where / "run").write_text("#!/bin/sh\n")
    (where / "run").chmod(0o755)
    if not (where / "link").is_symlink():
        os.symlink("d0/f0", where / "link")


@pytest.fixture
def origin(base):
    where = base / "origin"
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    for generation in range(3):
        write_files(where, generation)
        commit(where, f"generation {generation}")
    return where


def work(origin, where):
    """What somebody does in a day; the commit that comes out is always the same."""
    apps.run("git", "clone", "-q", "--no-local", origin, where, env=ENV)
    git(where, "checkout", "-q", "-b", "topic", "HEAD~1")
    (where / "d1" / "new").write_text("topic\n")
    git(where, "mv", "d2/f2", "d3/moved")
    commit(where, "on a topic")
    git(where, "checkout", "-q", "main")
    write_files(where, 9)
    commit(where, "on main")
    git(where, "merge", "-q", "--no-edit", "topic")
    git(where, "gc", "-q", "--prune=now")
    git(where, "repack", "-q", "-a", "-d", "-f", "--write-bitmap-index")
    return sound(where)


def sound(where):
    assert git(where, "fsck", "--full", "--strict") == ""
    assert git(where, "status", "--porcelain") == ""
    return git(where, "rev-parse", "HEAD")


def test_a_day_of_work(origin, base, source, mounted):
    expected = work(origin, base / "native")
    assert work(origin, mounted / "clone") == expected
    assert git(origin, "ls-remote", mounted / "clone", "main").split()[0] == expected
    mounted.unmount()
    assert sound(source / "clone") == expected
    shutil.rmtree(source / "clone" / ".git")
    shutil.rmtree(base / "native" / ".git")
    assert tree(source / "clone") == tree(base / "native")
