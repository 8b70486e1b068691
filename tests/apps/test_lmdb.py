# SPDX-License-Identifier: MIT
"""LMDB on the mount: a database that is one shared memory map, written through the map or
through the file, with mutexes in another map."""

import itertools
import time

import pytest

import apps
import mmapfs

lmdb = pytest.importorskip("lmdb", reason="python3-lmdb is not installed")

ROWS = 200
BATCHES = 15

each_way = pytest.mark.parametrize("writemap", [False, True], ids=["file", "writemap"])


def connect(path, writemap):
    return lmdb.open(str(path), map_size=32 * mmapfs.MIB, writemap=writemap)


def key(batch, row):
    return b"%06d-%06d" % (batch, row)


def put_rows(txn):
    batch = int(txn.get(b"batches", b"0"))
    for row in range(ROWS):
        txn.put(key(batch, row), key(batch, row) * 20)
    txn.put(b"batches", b"%d" % (batch + 1))


def write_batches(path, writemap, progress, end):
    with connect(path, writemap) as env:
        for number in end:
            with env.begin(write=True) as txn:
                put_rows(txn)
            progress.value = number + 1


def write_until_the_middle(path, writemap, progress):
    write_batches(path, writemap, progress, range(BATCHES))
    with connect(path, writemap) as env, env.begin(write=True) as txn:
        put_rows(txn)
        progress.value = BATCHES + 1
        time.sleep(2 * apps.DEADLINE)


def batches_of(path, writemap):
    """How many there are, all of them whole and no other."""
    with connect(path, writemap) as env, env.begin() as txn:
        batches = int(txn.get(b"batches"))
        expected = [(key(batch, row), key(batch, row) * 20)
                    for batch in range(batches) for row in range(ROWS)]
        assert list(txn.cursor()) == [*expected, (b"batches", b"%d" % batches)]
    return batches


@each_way
def test_a_writer_killed_in_a_transaction_leaves_the_others(writemap, source, mounted):
    """Also it leaves its lock, a robust mutex in a file, to the next one."""
    progress = apps.counter()
    child = apps.start(write_until_the_middle, mounted / "db", writemap, progress)
    apps.reaches(progress, BATCHES + 1)
    apps.kill(child)
    assert batches_of(mounted / "db", writemap) == BATCHES
    progress.value = 0
    child = apps.start(write_batches, mounted / "db", writemap, progress,
                       itertools.count())
    apps.reaches(progress, 5)
    apps.kill(child)
    told = BATCHES + progress.value
    found = batches_of(mounted / "db", writemap)
    assert told <= found <= told + 1
    mounted.unmount()
    assert batches_of(source / "db", writemap) == found


@each_way
def test_two_writers_lose_nothing(writemap, source, mounted):
    children = [apps.start(write_batches, mounted / "db", writemap, apps.counter(),
                           range(BATCHES)) for _ in range(2)]
    for child in children:
        apps.finish(child)
    assert batches_of(mounted / "db", writemap) == 2 * BATCHES
    mounted.unmount()
    assert batches_of(source / "db", writemap) == 2 * BATCHES
