# SPDX-License-Identifier: MIT
"""What docs/security.md claims and no other test sees: the daemon's own rights, hostile names,
sizes and source trees, and users against each other."""

import contextlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import mmapfs
from mmapfs import MIB, errno_of, run_as
from test_lifecycle import SET, control

ALICE, BOB = 12001, 12002

# As fs/creds.c has them, by number: the daemon of root keeps these and no others.
CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4,
                "SETGID": 6, "SETUID": 7, "LINUX_IMMUTABLE": 9, "IPC_LOCK": 14,
                "SYS_ADMIN": 21, "MKNOD": 27, "SETFCAP": 31}


def status_of(pid):
    """/proc/PID/status of all threads: a set of values for each field."""
    fields = {}
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        for line in path.read_text().splitlines():
            name, value = line.split(":", 1)
            fields.setdefault(name, set()).add(value.strip())
    return fields


def masks(status, name):
    return {int(value, 16) for value in status[name]}


def mount_flags(point):
    """The options of the mount itself, as the kernel lists them."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == str(point):
            return set(words[5].split(","))
    raise AssertionError(f"{point} is no mount")


# ---- the daemon ------------------------------------------------------------------------


def test_root_s_daemon_keeps_the_capabilities_it_needs(mounted):
    allowed = sum(1 << bit for bit in CAPABILITIES.values())
    os.listdir(mounted.point)
    status = status_of(mounted.process.pid)
    assert len(status["Pid"]) > 1
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert all(mask & ~allowed == 0 for mask in masks(status, name)), name
    assert masks(status, "CapInh") == masks(status, "CapAmb") == {0}


def test_root_s_daemon_gains_nothing_by_executing(mounted):
    assert status_of(mounted.process.pid)["NoNewPrivs"] == {"1"}


def test_a_user_s_daemon_has_no_capability(base, source, mount):
    os.chown(base, mmapfs.NOBODY, mmapfs.NOBODY)
    os.chown(source, mmapfs.NOBODY, mmapfs.NOBODY)
    mode = os.stat("/dev/fuse").st_mode
    os.chmod("/dev/fuse", 0o666)
    try:
        mounted = mount(source, "", uid=mmapfs.NOBODY)
    finally:
        os.chmod("/dev/fuse", mode & 0o7777)
    status = status_of(mounted.process.pid)
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert masks(status, name) == {0}, name
    assert {"nosuid", "nodev"} <= mount_flags(mounted.point)


def test_another_user_cannot_look_into_the_daemon(source, mounted):
    (source / "f").write_bytes(b"x")
    run_as(ALICE, lambda: os.stat(mounted / "f") and None)
    proc = pathlib.Path(f"/proc/{mounted.process.pid}")
    for name in ("mem", "maps", "environ"):
        assert errno_of(lambda name=name: run_as(BOB, (proc / name).read_bytes)) in (
            "EACCES", "EPERM"), name
    for name in ("fd", "map_files"):
        assert errno_of(lambda name=name: run_as(
            BOB, lambda: os.listdir(proc / name))) == "EACCES", name
    assert errno_of(lambda: run_as(BOB, lambda: os.kill(mounted.process.pid,
                                                        signal.SIGTERM))) == "EPERM"


# ---- set-user-ID programs and devices --------------------------------------------------


def test_mmapfs_itself_mounts_without_suid_and_devices(mounted):
    assert {"nosuid", "nodev"} <= mount_flags(mounted.point)


@pytest.fixture
def helper(base):
    """helper(SOURCE, POINT, OPTIONS): mount by the name that mount(8) looks for."""
    program = base / "mount.mmapfs"
    program.symlink_to(mmapfs.DAEMON)
    points = []

    def start(source, options):
        point = base / f"helped{len(points)}"
        point.mkdir()
        subprocess.run([program, source, point, "-n", "-o", options], check=True,
                       timeout=mmapfs.DEADLINE)
        points.append(point)
        return point

    yield start
    for point in points:
        subprocess.run(["umount", point], check=True, timeout=mmapfs.DEADLINE)


def test_a_mount_by_mount_has_them_unless_told_otherwise(source, helper):
    assert not {"nosuid", "nodev"} & mount_flags(helper(source, "rw"))
    assert {"nosuid", "nodev"} <= mount_flags(helper(source, "rw,nosuid,nodev"))


# ---- a hostile source tree -------------------------------------------------------------


@contextlib.contextmanager
def swapping(one, other):
    """Exchanges two names, over and over."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            while True:
                mmapfs.renameat2(one, other, 2)
        os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_no_walk_leaves_the_source_by_a_symlink(base, source, mounted):
    """A directory and a symlink that leads out of the source change places all the time. A walk
    may meet the directory under both names."""
    outside = base / "outside"
    outside.mkdir()
    mmapfs.fill(outside / "secret", 8 * MIB)
    (source / "d").mkdir()
    mmapfs.fill(source / "d" / "secret", 8 * mmapfs.PAGE)
    (source / "link").symlink_to(outside)
    with mmapfs.mapped(outside / "secret") as mapping:
        mmapfs.evict_by_hand(outside / "secret")
        with swapping(source / "d", source / "link"):
            for _ in range(40):
                assert mmapfs.stat(mounted.point)["pages"] < 8 * MIB // mmapfs.PAGE
                mmapfs.setattr(mounted.point, "sync", "async")
                if mmapfs.warm_is_done(mounted.point):
                    mmapfs.setattr(mounted.point, "warm")
            mmapfs.wait_until(lambda: mmapfs.warm_is_done(mounted.point))
        assert mapping.resident() == 0


def test_no_lookup_leaves_the_source_by_a_symlink(base, source, mounted):
    """Names below an open directory are looked up by the daemon, and by nobody else."""
    outside = base / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"outside")
    (source / "d").mkdir()
    (source / "d" / "f").write_bytes(b"inside")
    (source / "link").symlink_to(outside)
    directory = os.open(mounted / "d", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = set()
    try:
        with swapping(source / "d", source / "link"):
            for _ in range(200):
                with contextlib.suppress(OSError):
                    fd = os.open("f", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
                    found.add(os.read(fd, 16))
                    os.close(fd)
                with contextlib.suppress(OSError):
                    os.close(os.open(f"new{len(found)}", os.O_CREAT | os.O_WRONLY,
                                     dir_fd=directory))
    finally:
        os.close(directory)
    assert found <= {b"inside"}
    assert os.listdir(outside) == ["f"]


def test_a_restore_does_not_leave_the_source(base, source, mount):
    """The snapshot names a file below what is a symlink by now, and one by `..`."""
    outside, snapshot = base / "outside", base / "snapshot"
    (source / "d").mkdir()
    outside.mkdir()
    named = [source / "d" / "secret", source / ".." / "outside" / "secret"]
    for path in named:
        mmapfs.fill(path, MIB)
        os.utime(path, (1, 1))
    with mmapfs.hold(named[0]), mmapfs.hold(named[1]):
        subprocess.run([mmapfs.BUILD / "tools" / "mmapctl", "snapshot", "--quiet", snapshot,
                        *named, source], check=True, capture_output=True,
                       timeout=mmapfs.DEADLINE)
    assert snapshot.read_bytes().count(b"/secret") == 2
    shutil.rmtree(source / "d")
    (source / "d").symlink_to(outside)
    with mmapfs.mapped(outside / "secret") as mapping:
        mmapfs.evict_by_hand(outside / "secret")
        assert mapping.resident() == 0
        mounted = mount(source, f"allow_other,snapshot={snapshot}")
        mmapfs.wait_until(lambda: "restore=running" not in mmapfs.getattr(
            mounted.point, "snapshot") and "restore=none" not in mmapfs.getattr(
                mounted.point, "snapshot"), what="the end of the restore")
        assert "restore_read=0\n" in mmapfs.getattr(mounted.point, "snapshot")
        assert mapping.resident() == 0


def test_fifos_sockets_and_devices_of_the_source_are_not_opened(source, mounted):
    """A walk that opened the FIFO would wait for ever."""
    os.mkfifo(source / "fifo")
    os.mknod(source / "zero", 0o20666, os.makedev(1, 5))
    mmapfs.fill(source / "f", mmapfs.PAGE)
    fields = mmapfs.stat(mounted.point)
    assert (fields["files"], fields["pages"]) == (1, 1)
    assert mmapfs.warm(mounted.point).startswith("done ")


# ---- names, paths, sizes ---------------------------------------------------------------

NAMES = [b"n" * 255, b"new\nline", b"\x1b[31mred\x07", b"\xff\xfe\x80", b" ", b"...", b"-rf",
         b"%s%n", b"user.mmapfs.lock", "\u00e4\u202e".encode()]


def test_any_name_is_a_name(source, mounted):
    for name in NAMES:
        path = os.fsencode(mounted.point) + b"/" + name
        with open(path, "wb") as file:
            file.write(b"x" * mmapfs.PAGE)
        assert os.getxattr(path, "user.mmapfs.pages") == b"1", name
        os.setxattr(path, "user.mmapfs.lock", b"on")
        assert os.getxattr(path, "user.mmapfs.locked") == b"1", name
    assert sorted(os.listdir(os.fsencode(source))) == sorted(NAMES)
    # No name is a part of any answer.
    for attribute in ("", ".stat", ".policy", ".snapshot", ".budget", ".metrics"):
        answer = os.getxattr(mounted.point, "user.mmapfs" + attribute)
        assert not any(name in answer for name in NAMES if len(name) > 3), attribute


def test_a_name_of_256_bytes_is_refused(mounted):
    assert errno_of((mounted / ("n" * 256)).write_bytes, b"") == "ENAMETOOLONG"


def test_messages_are_one_line_whatever_is_named(base):
    """A name can neither forge a line of the log nor send an escape to a terminal."""
    hostile = base / "x\nmmapfs: all is well\x1b[2J"
    done = subprocess.run([mmapfs.DAEMON, hostile, base, "-f"], capture_output=True,
                          text=True, check=False, timeout=mmapfs.DEADLINE)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert r"x\x0ammapfs: all is well\x1b[2J" in done.stderr


def test_paths_beyond_4096_bytes_are_walked(source, mounted):
    fd = os.open(source, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    deep = os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.write(deep, b"x" * mmapfs.PAGE)
    os.close(deep)
    os.close(fd)
    fields = mmapfs.stat(mounted.point)
    assert (fields["files"], fields["pages"], fields["unknown_files"]) == (1, 1, 0)
    assert mmapfs.warm(mounted.point) == f"done {mmapfs.PAGE}/{mmapfs.PAGE}"


SIZES = [129, 4096, 65536]


@pytest.mark.parametrize("name", ["warm", "lock", "advise", "sync", "evict", "stat", "x"])
def test_giant_values_are_refused(name, source, mount):
    mmapfs.fill(source / "f", mmapfs.PAGE)
    mounted = mount(source)
    expected = "EOPNOTSUPP" if name in ("stat", "x") else "EINVAL"
    for size in SIZES:
        for byte in (b"9", b"\0", b" "):
            value = byte * (size - 1) + b"x"
            assert errno_of(os.setxattr, mounted / "f", "user.mmapfs." + name,
                            value) == expected, (size, byte)


def test_attributes_of_the_source_have_its_limits(base, source, mounted):
    for place in (base, source):
        (place / "f").write_bytes(b"")
    for size in (1024, 65536):
        answers = {errno_of(os.setxattr, path, "user.big", b"v" * size)
                   for path in (base / "f", mounted / "f")}
        assert len(answers) == 1, (size, answers)


# ---- users against each other ----------------------------------------------------------


@pytest.fixture
def theirs(source):
    """theirs(UID, NAME, BYTES): a file of that user's that nobody else may read."""
    source.chmod(0o755)

    def make(uid, name, length=MIB):
        mmapfs.fill(source / name, length)
        os.chown(source / name, uid, uid)
        os.chmod(source / name, 0o600)
        return name
    return make


def at_once(functions):
    """What they return, each in a process of its own: threads and fork(2) do not go well."""
    context = multiprocessing.get_context("fork")
    answers = [context.Pipe(duplex=False) for _ in functions]
    children = [context.Process(target=lambda function=function, end=end: end.send(function()))
                for function, (_, end) in zip(functions, answers)]
    for child in children:
        child.start()
    for child in children:
        child.join(mmapfs.DEADLINE)
        assert child.exitcode == 0, child.exitcode
    return [begin.recv() for begin, _ in answers]


@pytest.mark.parametrize("name, value", [("evict", ""), ("warm", ""), ("lock", "on"),
                                         ("sync", "sync"), ("advise", "random")])
def test_the_ioctl_is_no_way_round_permissions(name, value, source, theirs, mounted):
    """Alice's file, which Bob may read and no more."""
    theirs(ALICE, "hers")
    os.chmod(source / "hers", 0o644)
    assert errno_of(lambda: run_as(
        BOB, lambda: control(mounted / "hers", SET, name, value))) in ("EACCES", "EPERM")
    assert mmapfs.getattr(mounted / "hers", "advise") == "normal"
    assert mmapfs.number(mounted / "hers", "locked") == 0


def test_controls_of_the_mount_are_not_for_users(source, mounted):
    os.chmod(source, 0o777)
    for name, value in (("budget", "1G"), ("policy", "reload"), ("snapshot", "save")):
        assert errno_of(lambda name=name, value=value: run_as(
            BOB, lambda: mmapfs.setattr(mounted.point, name, value))) == "EPERM", name
        assert errno_of(lambda name=name, value=value: run_as(
            BOB, lambda: control(mounted.point, SET, name, value))) == "EPERM", name


def test_a_sum_tells_nothing_of_what_is_closed(source, theirs, mounted):
    theirs(ALICE, "hers")
    theirs(BOB, "his", 3 * mmapfs.PAGE)
    os.mkdir(source / "closed", 0o700)
    mmapfs.fill(source / "closed" / "f", MIB)
    with mmapfs.hold(source / "hers"), mmapfs.hold(source / "his"):
        fields = run_as(BOB, lambda: mmapfs.stat(mounted.point))
    # Sizes are no secret: stat(2) tells them. The directory and the file are unknown.
    assert (fields["resident"], fields["unknown_files"]) == (3, 2)


def test_users_together_cannot_pass_the_lock_limit(source, theirs, mount):
    """Each of four could lock 768 KiB for themselves; the mount has 1 MiB."""
    users = range(ALICE, ALICE + 4)
    for uid in users:
        theirs(uid, str(uid), 768 * mmapfs.KIB)
    mounted = mount(source, "allow_other,lock_limit=1M")

    def lock(uid):
        return errno_of(lambda: run_as(
            uid, lambda: mmapfs.setattr(mounted / str(uid), "lock", "on")))

    answers = at_once([lambda uid=uid: lock(uid) for uid in users])
    assert sorted(answers, key=str) == ["ENOMEM"] * 3 + [None]
    assert mmapfs.number(mounted.point, "locked") == 192


def test_a_flood_of_jobs_leaves_others_served(source, theirs, mount):
    """Bob starts as many as he can; Alice goes on reading, writing, and asking."""
    (source / "his").mkdir()
    for number in range(600):
        (source / "his" / str(number)).write_bytes(b"x")
    for path in [source / "his", *(source / "his").iterdir()]:
        os.chown(path, BOB, BOB)
    theirs(ALICE, "hers")
    source.chmod(0o755)
    mounted = mount(source, "allow_other,workers=1")

    def flood():
        refused = set()
        for number in [".", *range(600)]:
            refused.add(errno_of(mmapfs.setattr, mounted / "his" / str(number), "warm"))
        return refused

    def go_on():
        hers = mounted / "hers"
        for _ in range(50):
            assert hers.read_bytes()[:1] is not None
            with open(hers, "r+b") as file:
                file.write(b"y")
            mmapfs.number(hers, "resident")

    refused, _ = at_once([lambda: run_as(BOB, flood), lambda: run_as(ALICE, go_on)])
    assert refused <= {None, "EAGAIN", "EBUSY"}
