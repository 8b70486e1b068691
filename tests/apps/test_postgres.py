# SPDX-License-Identifier: MIT
"""PostgreSQL with its cluster on the mount, as a user of its own: a load, two crashes, and
its own checks. Nothing of an installed server is started or touched."""

import os
import pathlib
import subprocess

import pytest

import apps
import mmapfs
from mmapfs import errno_of

SERVER = mmapfs.NOBODY

# The sums of these are the same after every transaction of pgbench.
SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts),
                 (SELECT sum(bbalance) FROM pgbench_branches),
                 (SELECT sum(tbalance) FROM pgbench_tellers),
                 (SELECT coalesce(sum(delta), 0) FROM pgbench_history)"""
COUNT = "SELECT count(*) FROM pgbench_history"


def installed():
    """(top, directory of the programs): of packages that were only unpacked, or installed."""
    for top in (os.environ.get("MMAPFS_POSTGRESQL", "/nonexistent"), "/"):
        found = sorted(pathlib.Path(top).glob("usr/lib/postgresql/*/bin/initdb"))
        if found:
            return pathlib.Path(top), found[-1].parent
    return None


class Cluster:
    """A server that listens only in its own directory, on the mount."""

    def __init__(self, top, programs, directory):
        self.programs = programs
        self.directory = directory
        self.env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGUSER": "nobody",
                    "PGDATABASE": "postgres",
                    "LD_LIBRARY_PATH": ":".join(map(str, top.glob("usr/lib/*-linux-gnu")))}

    def _options(self):
        env = dict(self.env, PGHOST=str(self.directory))
        return {"user": SERVER, "group": SERVER, "extra_groups": [], "env": env, "cwd": "/"}

    def run(self, program, *arguments):
        return apps.run(self.programs / program, *arguments, **self._options())

    def sql(self, text):
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text).strip()

    def create(self):
        self.run("initdb", "-D", self.directory, "--data-checksums", "-A", "trust", "-E",
                 "UTF8")
        with open(self.directory / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write("listen_addresses = ''\nshared_buffers = 16MB\n"
                       "max_connections = 20\n")

    def start(self):
        # The log goes to a file: a pipe would stay open as long as the server runs.
        self.run("pg_ctl", "start", "-w", "-D", self.directory, "-l",
                 self.directory / "log", "-o",
                 f"-c unix_socket_directories={self.directory}")
        return int((self.directory / "postmaster.pid").read_text().split()[0])

    def stop(self, mode):
        self.run("pg_ctl", "stop", "-w", "-D", self.directory, "-m", mode)

    def load(self):
        """pgbench, until it is stopped or its server has died."""
        return subprocess.Popen(
            [self.programs / "pgbench", "-n", "-c", "2", "-T", "300"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, **self._options())

    def transactions(self, tables="pgbench_*"):
        """How many there are. Its sums agree, and its own checker finds the tables and
        their indexes well."""
        assert len(set(self.sql(SUMS).split("|"))) == 1
        self.run("pg_amcheck", "--install-missing", "--heapallindexed", "-t", tables,
                 "postgres")
        return int(self.sql(COUNT))


def children_of(pid):
    return [int(line) for line in pathlib.Path(
        f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid):
    return errno_of(os.kill, pid, 0) == "ESRCH"


def kill_postmaster(pid):
    """As the out-of-memory killer would; its children see it, and end."""
    children = children_of(pid)
    os.kill(pid, 9)
    for each in (pid, *children):
        mmapfs.wait_until(lambda each=each: is_gone(each), apps.DEADLINE, f"end of {each}")


@pytest.fixture
def cluster(mounted):
    found = installed()
    if not found:
        pytest.skip("PostgreSQL is neither installed nor in MMAPFS_POSTGRESQL")
    (mounted / "pg").mkdir(mode=0o700)
    os.chown(mounted / "pg", SERVER, SERVER)
    cluster = Cluster(*found, mounted / "pg")
    yield cluster
    try:
        os.kill(int((mounted.source / "pg" / "postmaster.pid").read_text().split()[0]), 9)
    except OSError:
        pass  # it ended by itself, as it should


def crash_under_load(cluster, crash):
    """The transactions that were there when it came up again, none of them in part."""
    before = int(cluster.sql(COUNT))
    load = cluster.load()
    try:
        mmapfs.wait_until(lambda: int(cluster.sql(COUNT)) > before + 50, apps.DEADLINE,
                          "some load")
        seen = int(cluster.sql(COUNT))
        crash()
    finally:
        load.kill()
        load.wait(apps.DEADLINE)
    pid = cluster.start()
    assert "database system was not properly shut down" in (
        cluster.directory / "log").read_text()
    assert cluster.transactions() >= seen
    return pid


def test_a_cluster_survives_its_crashes(cluster, source, mounted):
    cluster.create()
    pid = cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", "1")
    pid = crash_under_load(cluster, lambda: kill_postmaster(pid))
    crash_under_load(cluster, lambda: cluster.stop("immediate"))
    cluster.sql("VACUUM FULL")
    found = cluster.transactions("*")
    cluster.stop("fast")
    mounted.unmount()
    cluster.run("pg_checksums", "--check", "-D", source / "pg")
    cluster.directory = source / "pg"
    cluster.start()
    try:
        assert cluster.transactions() == found
    finally:
        cluster.stop("fast")
