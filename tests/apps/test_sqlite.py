# SPDX-License-Identifier: MIT
"""SQLite on the mount: its journals, its maps, its locks, and a writer that is killed."""

import itertools
import sqlite3
import time

import pytest

import apps
import mmapfs

ROWS = 20
BATCHES = 8

each_mode = pytest.mark.parametrize("mode", ["delete", "wal"])
each_map = pytest.mark.parametrize("mmap_size", [0, 64 * mmapfs.MIB],
                                   ids=["plain", "mmap"])


def connect(path, mode, mmap_size):
    db = sqlite3.connect(path, timeout=apps.DEADLINE, isolation_level=None)
    assert db.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode,)
    assert db.execute(f"PRAGMA mmap_size = {mmap_size}").fetchone() == (mmap_size,)
    # So few pages that a transaction reaches the file before its end.
    db.execute("PRAGMA cache_size = 10")
    return db


def create(path, mode):
    db = connect(path, mode, 0)
    db.execute("CREATE TABLE entries (batch, payload)")
    db.execute("CREATE INDEX by_batch ON entries (batch)")
    db.execute("CREATE TABLE total (batches)")
    db.execute("INSERT INTO total VALUES (0)")
    db.close()


def add_rows(db):
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE total SET batches = batches + 1")
    db.executemany("INSERT INTO entries SELECT batches, randomblob(1500) FROM total",
                   [()] * ROWS)


def add_batch(db):
    add_rows(db)
    db.execute("COMMIT")


def batches_of(path, mode, mmap_size):
    """How many there are, all of them whole."""
    db = connect(path, mode, mmap_size)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    batches, = db.execute("SELECT batches FROM total").fetchone()
    assert db.execute("SELECT batch, count(*) FROM entries GROUP BY batch ORDER BY batch"
                      ).fetchall() == [(i + 1, ROWS) for i in range(batches)]
    db.close()
    return batches


def write_batches(path, mode, mmap_size, progress, end):
    db = connect(path, mode, mmap_size)
    for number in end:
        add_batch(db)
        progress.value = number + 1
    db.close()


def write_until_the_middle(path, mode, mmap_size, progress):
    db = connect(path, mode, mmap_size)
    for _ in range(BATCHES):
        add_batch(db)
    add_rows(db)
    progress.value = 1
    time.sleep(2 * apps.DEADLINE)


@each_mode
@each_map
def test_a_writer_killed_in_a_transaction_leaves_the_others(mode, mmap_size, source,
                                                             mounted):
    create(mounted / "db", mode)
    progress = apps.counter()
    child = apps.start(write_until_the_middle, mounted / "db", mode, mmap_size, progress)
    apps.reaches(progress, 1)
    apps.kill(child)
    journal = {"delete": "db-journal", "wal": "db-wal"}[mode]
    assert (mounted / journal).stat().st_size > 8 * mmapfs.KIB, "it was only in memory"
    assert batches_of(mounted / "db", mode, mmap_size) == BATCHES
    progress.value = 0
    child = apps.start(write_batches, mounted / "db", mode, mmap_size, progress,
                       itertools.count())
    apps.reaches(progress, 5)
    apps.kill(child)
    told = BATCHES + progress.value
    found = batches_of(mounted / "db", mode, mmap_size)
    assert told <= found <= told + 1
    mounted.unmount()
    assert batches_of(source / "db", mode, mmap_size) == found


@each_mode
@each_map
def test_two_writers_lose_nothing(mode, mmap_size, source, mounted):
    create(mounted / "db", mode)
    children = [apps.start(write_batches, mounted / "db", mode, mmap_size,
                           apps.counter(), range(BATCHES)) for _ in range(2)]
    for child in children:
        apps.finish(child)
    assert batches_of(mounted / "db", mode, mmap_size) == 2 * BATCHES
    mounted.unmount()
    assert batches_of(source / "db", mode, mmap_size) == 2 * BATCHES
