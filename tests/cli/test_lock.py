# SPDX-License-Identifier: MIT
"""mmapctl lock: what is locked, how files are followed, daemon, service manager, limits."""

import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import KIB, MIB, PAGE


def locked_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmLck:"):
            return int(line.split()[1])
    raise AssertionError("no VmLck")


def stays(path):
    """Pages that an evict leaves; at once, for idle ones go by themselves too."""
    mmapfs.evict_by_hand(path)
    return mmapfs.fincore(path)


@contextlib.contextmanager
def manager(base):
    """A service manager's socket: (its path, receive())."""
    path = base / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        path.chmod(0o777)
        sock.settimeout(mmapfs.DEADLINE)
        yield path, lambda: dict(line.split("=", 1) for line in
                                 sock.recv(4096).decode().splitlines())


@contextlib.contextmanager
def holding(base, *arguments, **options):
    """(process, receive()) of a lock in the foreground that is ready."""
    with manager(base) as (path, receive):
        environment = dict(os.environ, NOTIFY_SOCKET=str(path))
        with tool.running("lock", *arguments, env=environment, **options) as process:
            message = receive()
            assert message["READY"] == "1"
            assert message["MAINPID"] == str(process.pid)
            yield process, receive


def test_locked_pages_stay_until_the_signal(source, base):
    mmapfs.fill(source / "f", 4 * MIB)
    with holding(base, "--json", source / "f") as (process, _):
        assert stays(source / "f") == 4 * MIB // PAGE
        assert locked_kib(process.pid) == 4 * MIB // KIB
        code, out, err = tool.finish(process, signal.SIGTERM)
    assert code == 0 and err == ""
    found = json.loads(out)["files"][0]["action"]
    assert found["locked_bytes"] == found["need_bytes"] == 4 * MIB
    assert stays(source / "f") == 0


def test_a_mount_holds_the_lock_and_lets_it_go(source, base, mounted):
    mmapfs.fill(source / "f", 4 * MIB)
    with holding(base, mounted / "f") as (process, _):
        assert mmapfs.number(mounted / "f", "locked") == 4 * MIB // PAGE
        assert stays(source / "f") == 4 * MIB // PAGE
        code, _, _ = tool.finish(process, signal.SIGINT)
    assert code == 0
    assert mmapfs.number(mounted / "f", "locked") == 0


def test_ranges(source, base):
    mmapfs.fill(source / "f", 4 * MIB)
    with holding(base, "--range", "0+64K", "--range", "1M+64K", source / "f") as (process, _):
        assert locked_kib(process.pid) == 128
        tool.finish(process)


# ---- files that change -----------------------------------------------------------------


def test_a_file_renamed_over_is_followed(place, base):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    with holding(base, shown / "f") as (process, receive):
        mmapfs.fill(shown / "new", 2 * MIB, seed=2)
        os.rename(shown / "new", shown / "f")
        assert "STATUS" in receive()
        assert stays(source / "f") == 2 * MIB // PAGE
        if shown == source:
            assert locked_kib(process.pid) == 2 * MIB // KIB
        code, _, err = tool.finish(process)
    assert code == 0
    assert "was replaced" in err


def test_growth_is_locked_too(place, base):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    with holding(base, shown / "f") as (process, receive):
        for i in range(12):
            with open(shown / "f", "ab") as file:
                file.write(b"x" * (64 * KIB + 1))
            assert "STATUS" in receive()
        os.sync()
        expected = mmapfs.pages(MIB + 12 * (64 * KIB + 1))
        mmapfs.wait_until(lambda: stays(source / "f") == expected, what="the locked tail")
        code, _, err = tool.finish(process)
    assert code == 0
    assert "was grown" in err


def test_truncation_gives_the_rest_back(place, base):
    shown, source = place
    mmapfs.fill(source / "f", 4 * MIB)
    with holding(base, shown / "f") as (process, receive):
        os.truncate(shown / "f", MIB)
        assert "STATUS" in receive()
        assert stays(source / "f") == MIB // PAGE
        if shown == source:
            assert locked_kib(process.pid) == MIB // KIB
        code, _, err = tool.finish(process)
    assert code == 0
    assert "was truncated" in err


def test_truncation_to_nothing_and_growth_again(place, base):
    shown, source = place
    mmapfs.fill(source / "f", MIB)
    with holding(base, shown / "f") as (process, receive):
        os.truncate(shown / "f", 0)
        assert "STATUS" in receive()
        (shown / "f").write_bytes(b"x" * 2 * MIB)
        mmapfs.wait_until(lambda: stays(source / "f") == 2 * MIB // PAGE,
                          what="the lock of the file that is full again")
        assert tool.finish(process)[0] == 0


def test_a_file_that_goes_is_unlocked_and_comes_back_locked(source, base):
    mmapfs.fill(source / "f", MIB)
    with holding(base, source / "f") as (process, receive):
        os.unlink(source / "f")
        assert receive()["STATUS"].startswith("1 files, 0")
        assert locked_kib(process.pid) == 0
        mmapfs.fill(source / "new", 2 * MIB)
        os.rename(source / "new", source / "f")
        assert "STATUS" in receive()
        assert stays(source / "f") == 2 * MIB // PAGE
        code, _, err = tool.finish(process)
    assert code == 0
    assert "is gone" in err


def test_data_in_a_hole_is_locked_when_it_comes(source, base):
    with open(source / "f", "wb") as file:
        file.truncate(4 * MIB)
    with holding(base, source / "f") as (process, receive):
        assert stays(source / "f") == 0
        with open(source / "f", "r+b") as file:
            file.write(b"x" * MIB)
            file.flush()
            os.fsync(file.fileno())
        mmapfs.wait_until(lambda: stays(source / "f") >= MIB // PAGE,
                          what="the lock of what was written")
        assert tool.finish(process)[0] == 0


# ---- limits ----------------------------------------------------------------------------


def without_privilege(limit):
    def become():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
        os.setgroups([])
        os.setgid(mmapfs.NOBODY)
        os.setuid(mmapfs.NOBODY)
    return become


def test_over_the_limit_both_numbers_are_said(base):
    mmapfs.fill(base / "f", 4 * MIB)
    done = tool.run("lock", base / "f", code=2, preexec_fn=without_privilege(MIB))
    assert "needs 4M" in done.stderr and "the limit is 1M" in done.stderr
    assert "ulimit -l" in done.stderr


def test_many_small_files_over_the_limit_hold_the_ones_that_fit(base):
    for i in range(4):
        mmapfs.fill(base / f"{i}", 512 * KIB)
    files = [base / f"{i}" for i in range(4)]
    with holding(base, *files, preexec_fn=without_privilege(MIB)) as (process, _):
        assert locked_kib(process.pid) == 1024
        code, _, err = tool.finish(process)
    assert code == 2
    assert err.count("cannot lock") == 2
    assert "1M of it are in use" in err


def test_all_or_nothing(base):
    for i in range(4):
        mmapfs.fill(base / f"{i}", 512 * KIB)
    done = tool.run("lock", "--all-or-nothing", *[base / f"{i}" for i in range(4)], code=4,
                    preexec_fn=without_privilege(MIB))
    assert "cannot lock" in done.stderr


def test_replacement_within_a_limit_that_allows_only_one(base):
    mmapfs.fill(base / "f", MIB)
    os.chmod(base, 0o777)
    with holding(base, base / "f", preexec_fn=without_privilege(MIB)) as (process, receive):
        mmapfs.fill(base / "new", MIB, seed=2)
        os.rename(base / "new", base / "f")
        assert "STATUS" in receive()
        assert stays(base / "f") == MIB // PAGE
        assert tool.finish(process)[0] == 0


def test_a_mounts_limit_is_said(source, mount):
    mmapfs.fill(source / "f", 4 * MIB)
    mounted = mount(source, "allow_other,lock_limit=1M")
    done = tool.run("lock", mounted / "f", code=2)
    assert "4M" in done.stderr and "lock_limit" in done.stderr


def test_a_file_that_cannot_be_read_is_not_held(half_broken):
    point, _ = half_broken
    done = tool.run("lock", point / "f", code=2)
    assert "Input/output error" in done.stderr


# ---- daemon ----------------------------------------------------------------------------


@contextlib.contextmanager
def daemon(base, *arguments, code=0):
    """(pid, parent) of a daemon with a pid file; ended with the scope."""
    pidfile = base / "pid"
    # Not by a pipe, which a daemon that keeps it open would hold.
    with open(base / "out", "w+") as out, open(base / "err", "w+") as err:
        parent = subprocess.run(
            [str(tool.MMAPCTL), "lock", "--daemon", "--pidfile", str(pidfile),
             *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            timeout=60, check=False)
        out.seek(0)
        err.seek(0)
        texts = out.read(), err.read()
    assert parent.returncode == code, texts
    pid = int(pidfile.read_text())
    try:
        yield pid, texts
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        mmapfs.wait_until(lambda: not pidfile.exists(), what="the end of the daemon")


def test_daemon_with_wait_returns_when_all_is_locked(place, base):
    shown, source = place
    mmapfs.fill(source / "f", 4 * MIB)
    with daemon(base, "--wait", shown / "f") as (pid, (out, err)):
        assert stays(source / "f") == 4 * MIB // PAGE
        if shown == source:
            assert locked_kib(pid) == 4 * MIB // KIB
        assert "4.0M" in out and err == ""
        assert os.getsid(pid) == pid
        for fd in (0, 1, 2):
            assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
    assert stays(source / "f") == 0


def test_daemon_without_wait_locks_all_the_same(source, base):
    mmapfs.fill(source / "f", 4 * MIB)
    with daemon(base, source / "f") as (pid, _):
        mmapfs.wait_until(lambda: locked_kib(pid) == 4 * MIB // KIB, what="the lock")


def test_daemon_follows_too(source, base):
    mmapfs.fill(source / "f", MIB)
    with daemon(base, "--wait", source / "f") as (pid, _):
        mmapfs.fill(source / "new", 2 * MIB)
        os.rename(source / "new", source / "f")
        mmapfs.wait_until(lambda: locked_kib(pid) == 2 * MIB // KIB, what="the new file")


def test_daemon_tells_its_parent_when_there_is_nothing_to_hold(base):
    done = tool.run("lock", "--daemon", "--wait", "--pidfile", base / "pid",
                    base / "missing", code=2)
    assert "No such file" in done.stderr
    assert not (base / "pid").exists()


def test_a_second_daemon_does_not_take_the_pid_file(source, base):
    mmapfs.fill(source / "f", MIB)
    with daemon(base, "--wait", source / "f") as (pid, _):
        done = tool.run("lock", "--daemon", "--pidfile", base / "pid", source / "f", code=2)
        assert "living process" in done.stderr
        assert int((base / "pid").read_text()) == pid


def test_a_pid_file_of_a_dead_process_is_taken_over(source, base):
    mmapfs.fill(source / "f", MIB)
    (base / "pid").write_text("1\n")
    with daemon(base, "--wait", source / "f") as (pid, _):
        assert pid != 1


def test_wait_without_daemon_is_a_usage_error(source):
    assert "--daemon" in tool.run("lock", "--wait", source, code=1).stderr


def test_a_signal_while_still_locking_is_130(source):
    mmapfs.fill(source / "f", MIB)
    process = subprocess.Popen([str(tool.MMAPCTL), "lock", "--json", "--files-from", "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"{source / 'f'}\n{source / 'more'}")
    process.stdin.flush()
    mmapfs.wait_until(lambda: locked_kib(process.pid) == 1024, what="the first lock")
    process.send_signal(signal.SIGINT)
    out = process.stdout.read()
    assert process.wait(mmapfs.DEADLINE) == 130
    done = json.loads(out)
    # The row is missing when the signal came before the lock was counted.
    assert done["interrupted"] is True and len(done["files"]) <= 1
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("count", [1, 300])
def test_every_file_of_a_tree_is_held(source, base, count):
    for i in range(count):
        mmapfs.fill(source / f"{i}", PAGE)
    with holding(base, source) as (process, _):
        assert locked_kib(process.pid) == count * PAGE // KIB
        assert tool.finish(process)[0] == 0


def test_a_hangup_after_nohup_is_no_end(source, base):
    mmapfs.fill(source / "f", MIB)

    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with holding(base, source / "f", preexec_fn=nohup) as (process, receive):
        process.send_signal(signal.SIGHUP)
        os.truncate(source / "f", PAGE)
        assert "STATUS" in receive()
        assert locked_kib(process.pid) == PAGE // KIB
        assert tool.finish(process)[0] == 0


def test_an_appended_log_takes_few_maps(source, base):
    mmapfs.fill(source / "f", MIB)
    with holding(base, source / "f") as (process, receive):
        for _ in range(40):
            with open(source / "f", "ab") as file:
                file.write(b"x" * 16 * KIB)
            receive()
        os.sync()
        expected = MIB + 40 * 16 * KIB
        mmapfs.wait_until(lambda: stays(source / "f") == expected // PAGE,
                          what="all of it locked")
        descriptors = [os.readlink(f"/proc/{process.pid}/fd/{fd}")
                       for fd in os.listdir(f"/proc/{process.pid}/fd")]
        assert descriptors.count(str(source / "f")) <= 8
        assert locked_kib(process.pid) == expected // KIB
        assert tool.finish(process)[0] == 0
