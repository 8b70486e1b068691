# SPDX-License-Identifier: MIT
"""Starting, failing to start, ending in every way, read-only mounts."""

import ctypes
import fcntl
import os
import pathlib
import select
import shutil
import signal
import struct
import subprocess
import threading
import time

import pytest

import mmapfs
from mmapfs import errno_of

HELPER = pathlib.Path("/usr/local/bin/mmapfs")

# struct mmapfs_control of <mmapfs.h>.
CONTROL = struct.Struct("=II4I96s8072s")
GET, SET = 0, 1
IOC_CONTROL = (3 << 30) | (CONTROL.size << 16) | (ord("M") << 8) | 0x6d


def control(path, op, name, value=""):
    """The ioctl that does what the attributes do, also where the mount is read-only."""
    buffer = bytearray(CONTROL.pack(op, len(value), 0, 0, 0, 0, name.encode(),
                                    value.encode()))
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, IOC_CONTROL, buffer, True)
    finally:
        os.close(fd)
    fields = CONTROL.unpack(bytes(buffer))
    return fields[7][:fields[1]].decode()


@pytest.fixture
def point(base):
    path = base / "point"
    path.mkdir()
    yield path
    if mmapfs.mount_type(path):
        subprocess.run(["umount", "-l", path], check=False)


@pytest.fixture
def helper():
    """mount(8) looks for mmapfs in a fixed PATH: be there while the test runs."""
    made = None
    if HELPER.exists() and not HELPER.is_symlink():
        made = HELPER.with_name("mmapfs.test-saved")
        HELPER.rename(made)
    elif HELPER.is_symlink():
        HELPER.unlink()
    HELPER.symlink_to(mmapfs.DAEMON)
    yield
    HELPER.unlink()
    if made:
        made.rename(HELPER)


def daemons_of(point):
    """Process ids of daemons that serve that mountpoint."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"mmapfs") and os.fsencode(point) in words:
            found.append(int(entry.name))
    return found


def kill_daemon_of(point):
    """And wait until it has ended, also where nobody fetches what is left of it."""
    pid, = daemons_of(point)
    with open(os.pidfd_open(pid)) as ended:
        os.kill(pid, signal.SIGKILL)
        assert select.select([ended], [], [], mmapfs.DEADLINE)[0], f"{pid} did not end"


# ---- starting --------------------------------------------------------------------------


def test_starts_in_the_background_when_the_mount_is_up(source, point):
    (source / "f").write_bytes(b"x")
    result = mmapfs.run_daemon(source, point)
    assert result.returncode == 0, result.stderr
    # No waiting: the mount must be up when the command returns.
    assert mmapfs.mount_type(point) == "fuse.mmapfs"
    assert (point / "f").read_bytes() == b"x"
    subprocess.run(["umount", point], check=True)
    mmapfs.wait_until(lambda: not daemons_of(point), what="the end of the daemon")


def test_mount_with_a_type_works(helper, source, point):
    (source / "f").write_bytes(b"x")
    subprocess.run(["mount", "-t", "fuse.mmapfs", source, point, "-o", "allow_other"],
                   check=True)
    assert mmapfs.mount_type(point) == "fuse.mmapfs"
    assert mmapfs.run_as(mmapfs.NOBODY, lambda: (point / "f").read_bytes()) == b"x"
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    line, = [line for line in mounts.splitlines() if f" {point} " in line]
    assert line.split(" - ")[1].split()[:2] == ["fuse.mmapfs", str(source)]
    subprocess.run(["umount", point], check=True)
    mmapfs.wait_until(lambda: not daemons_of(point), what="the end of the daemon")


@pytest.mark.parametrize("options", ["defaults,allow_other", "noauto,ro,nosuid,nodev",
                                     "noatime,user_id=0", "x-systemd.automount,_netdev"])
def test_a_line_of_fstab_works(options, helper, base, source, point):
    if "user_id" in options:
        options = "noatime"
    table = base / "fstab"
    table.write_text(f"{source} {point} fuse.mmapfs {options} 0 0\n")
    result = subprocess.run(["mount", "--fstab", table, point], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert mmapfs.mount_type(point) == "fuse.mmapfs"
    subprocess.run(["umount", point], check=True)
    mmapfs.wait_until(lambda: not daemons_of(point), what="the end of the daemon")


def mount_flags(point):
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    line, = [line for line in mounts.splitlines() if f" {point} " in line]
    return line.split()[5].split(",")


def test_a_remount_changes_what_the_kernel_keeps(helper, source, point):
    (source / "f").write_bytes(b"x")
    subprocess.run(["mount", "-t", "fuse.mmapfs", source, point, "-o", "allow_other"],
                   check=True)
    served_by = daemons_of(point)
    subprocess.run(["mount", "-o", "remount,ro,noexec", point], check=True)
    assert {"ro", "noexec"} <= set(mount_flags(point))
    assert mmapfs.errno_of((point / "f").write_bytes, b"y") == "EROFS"
    subprocess.run(["mount", "-o", "remount,rw", point], check=True)
    (point / "f").write_bytes(b"z")
    assert (source / "f").read_bytes() == b"z"
    assert daemons_of(point) == served_by
    subprocess.run(["umount", point], check=True)
    mmapfs.wait_until(lambda: not daemons_of(point), what="the end of the daemon")


def bad_starts(base):
    (base / "dir").mkdir()
    (base / "file").write_bytes(b"")
    (base / "mnt").mkdir()
    return {
        "source is missing": ["none", "mnt"],
        "source is a file": ["file", "mnt"],
        "mountpoint is missing": ["dir", "none"],
        "mountpoint is a file": ["dir", "file"],
        "option is unknown": ["dir", "mnt", "-o", "no_such_option"],
        "option has a bad value": ["dir", "mnt", "-o", "lock_limit=lots"],
        "data path is unknown": ["dir", "mnt", "-o", "data_path=fast"],
        "switch is unknown": ["dir", "mnt", "--no-such-switch"],
        "mountpoint is not given": ["dir"],
        "nothing is given": [],
        "three paths": ["dir", "mnt", "dir"],
    }


@pytest.mark.parametrize("what", [
    "source is missing", "source is a file", "mountpoint is missing",
    "mountpoint is a file", "option is unknown", "option has a bad value",
    "data path is unknown", "switch is unknown", "mountpoint is not given",
    "nothing is given", "three paths"])
@pytest.mark.parametrize("foreground", [False, True])
def test_a_failed_start_says_one_line(what, foreground, base):
    arguments = bad_starts(base)[what] + (["-f"] if foreground else [])
    result = mmapfs.run_daemon(*arguments, cwd=base)
    assert result.returncode > 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("mmapfs: "), result.stderr
    assert not mmapfs.mounts_below(base)
    for word in arguments[:2]:
        if word in ("none", "file"):
            assert word in lines[0]


@pytest.mark.parametrize("switch", ["--help", "-h", "--version", "-V"])
def test_help_and_version_go_to_stdout(switch):
    result = mmapfs.run_daemon(switch)
    assert result.returncode == 0
    assert result.stderr == ""
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "mmapfs" in result.stdout


def test_relative_paths_work(base, source):
    (source / "f").write_bytes(b"x")
    (base / "rel").mkdir()
    result = mmapfs.run_daemon("source", "rel", cwd=base)
    assert result.returncode == 0, result.stderr
    assert (base / "rel" / "f").read_bytes() == b"x"
    subprocess.run(["umount", base / "rel"], check=True)


def name_to_handle(path):
    """name_to_handle_at(2) of a path, with room for any handle."""
    handle = struct.pack("Ii", 128, 0) + bytes(128)
    mount = ctypes.create_string_buffer(4)
    return mmapfs.check(mmapfs.libc.syscall(mmapfs.SYS_NAME_TO_HANDLE_AT, mmapfs.AT_FDCWD,
                                            os.fsencode(path),
                                            ctypes.create_string_buffer(handle), mount, 0))


def test_file_handles_that_would_go_stale_are_not_given_out(source, mount):
    (source / "f").write_bytes(b"x")
    name_to_handle(source / "f")
    assert mmapfs.errno_of(name_to_handle, mount(source) / "f") == "EOPNOTSUPP"


@pytest.mark.parametrize("options,changes", [("allow_other", True),
                                             ("allow_other,noatime", False)])
def test_noatime_reaches_the_source(options, changes, source, mount, data_path):
    (source / "f").write_bytes(b"x" * 4096)
    os.utime(source / "f", (1_000_000_000, 1_100_000_000))
    if data_path == "mapped":
        changes = False  # the daemon's mapping is read, which changes no time
    mounted = mount(source, f"{options},data_path={data_path}")
    assert (mounted / "f").read_bytes() == b"x" * 4096
    assert (os.stat(source / "f").st_atime != 1_000_000_000) == changes


# ---- ending ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(number, source, mount):
    mounted = mount(source)
    mounted.process.send_signal(number)
    mounted.process.wait(mmapfs.DEADLINE)
    assert mmapfs.mount_type(mounted.point) is None


def test_a_signal_at_any_moment_of_the_start_ends_the_daemon(source, point):
    """Also between mount(2) and the first request, when nobody can be waited for."""
    for _ in range(20):
        daemon = subprocess.Popen([mmapfs.DAEMON, source, point, "-f"],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            mmapfs.wait_until(lambda: mmapfs.mount_type(point), what="the mount")
            daemon.terminate()
            daemon.wait(mmapfs.DEADLINE)
        finally:
            daemon.kill()
            daemon.wait()
            mmapfs.libc.umount2(os.fsencode(point), 2)


def test_unmounting_a_busy_mount_is_refused(source, mount):
    (source / "f").write_bytes(b"x")
    mounted = mount(source)
    with open(mounted / "f", "rb"):
        result = subprocess.run(["umount", mounted.point], capture_output=True, text=True,
                                check=False)
        assert result.returncode != 0
        assert "busy" in result.stderr
    mounted.unmount()


def test_unmounting_while_closes_are_queued_ends_well(source, mount):
    """The kernel ends them with ECONNABORTED where an idle daemon would see ENODEV."""
    for i in range(400):
        (source / f"{i}").write_bytes(b"x")
    for _ in range(5):
        mounted = mount(source)
        opened = [os.open(mounted / f"{i}", os.O_RDONLY) for i in range(400)]
        for fd in opened:
            os.close(fd)
        mmapfs.check(mmapfs.libc.umount2(os.fsencode(mounted.point), 0))
        assert mounted.process.wait(mmapfs.DEADLINE) == 0


def test_what_was_mounted_there_since_is_left_alone(source, mount):
    """A daemon with work left comes to its end after its mountpoint went to another."""
    mmapfs.fill(source / "f", 256 * mmapfs.MIB)
    mmapfs.evict_by_hand(source / "f")
    mounted = mount(source)
    mmapfs.setattr(mounted / "f", "warm")
    mounted.process.send_signal(signal.SIGSTOP)
    try:
        mmapfs.check(mmapfs.libc.umount2(os.fsencode(mounted.point), 0))
        subprocess.run(["mount", "-t", "tmpfs", "other", mounted.point], check=True)
    finally:
        mounted.process.send_signal(signal.SIGCONT)
    assert mounted.process.wait(mmapfs.DEADLINE) == 0
    assert mmapfs.mount_type(mounted.point) == "tmpfs"
    subprocess.run(["umount", mounted.point], check=True)


def test_a_signal_after_a_lazy_unmount_leaves_others_alone(source, mount):
    """With a file open the connection outlives the mount, which is not on its path any more."""
    mmapfs.fill(source / "f", mmapfs.MIB)
    mounted = mount(source)
    fd = os.open(mounted / "f", os.O_RDONLY)
    mmapfs.check(mmapfs.libc.umount2(os.fsencode(mounted.point), 2))
    subprocess.run(["mount", "-t", "tmpfs", "other", mounted.point], check=True)
    assert os.pread(fd, 10, 0) == (source / "f").read_bytes()[:10]
    assert mmapfs.terminate(mounted.process) == 0
    assert errno_of(os.close, fd) in ("ENOTCONN", None)
    assert mmapfs.mount_type(mounted.point) == "tmpfs"
    subprocess.run(["umount", mounted.point], check=True)


def test_a_signal_uncovers_what_was_below(source, mount):
    """One mount of two on one mountpoint, with a file open, is the only one to go."""
    mmapfs.fill(source / "f", mmapfs.MIB)
    lower = mount(source)
    upper = mmapfs.Mount(source, lower.point, lower.log.with_name("upper"), "allow_other")
    count = len(mmapfs.mounts_below(lower.point))
    upper.start()
    mmapfs.wait_until(lambda: len(mmapfs.mounts_below(lower.point)) == count + 1,
                      what="the upper mount")
    fd = os.open(lower / "f", os.O_RDONLY)
    assert mmapfs.terminate(upper.process) == 0
    assert errno_of(os.close, fd) in ("ENOTCONN", None)
    assert len(mmapfs.mounts_below(lower.point)) == count
    assert (lower / "f").read_bytes() == (source / "f").read_bytes()


def test_unmounting_during_a_warm_ends_it(source, mount):
    mmapfs.fill(source / "f", 256 * mmapfs.MIB)
    mmapfs.evict_by_hand(source / "f")
    mounted = mount(source)
    mmapfs.setattr(mounted / "f", "warm")
    mounted.unmount()


def test_a_killed_daemon_loses_nothing_that_was_written(source, mount, data_path):
    options = f"allow_other,data_path={data_path}"
    mounted = mount(source, options)
    written = [0] * 4
    stop = threading.Event()

    def work(index):
        # Each record counts only once its write(2) has returned.
        try:
            with open(mounted / f"log{index}", "wb", buffering=0) as log:
                while not stop.is_set():
                    log.write(struct.pack("<QQ", index, written[index]))
                    written[index] += 1
        except OSError:
            pass

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    mmapfs.wait_until(lambda: min(written) > 100, what="some load")
    mounted.kill()
    mmapfs.wait_until(lambda: errno_of(os.stat, mounted / "x") == "ENOTCONN",
                      what="the dead mount")
    stop.set()
    for thread in threads:
        thread.join(mmapfs.DEADLINE)
        assert not thread.is_alive(), "a writer hangs on the dead mount"
    for index in range(4):
        data = (source / f"log{index}").read_bytes()
        assert len(data) >= written[index] * 16
        for i in range(written[index]):
            assert data[16 * i:16 * i + 16] == struct.pack("<QQ", index, i)
    subprocess.run(["umount", "-l", mounted.point], check=True)
    again = mount(source, options)
    assert (again / "log0").read_bytes() == (source / "log0").read_bytes()


def test_a_dead_mountpoint_can_be_mounted_again(source, base, point):
    """Over the dead one, as an administrator in a hurry does."""
    assert mmapfs.run_daemon(source, point).returncode == 0
    kill_daemon_of(point)
    assert errno_of(os.stat, point) == "ENOTCONN"
    result = mmapfs.run_daemon(source, point)
    assert result.returncode == 0, result.stderr
    assert os.listdir(point) == []
    subprocess.run(["umount", point], check=True)
    assert mmapfs.mount_type(point) is None


def test_a_dead_mountpoint_is_known_also_by_a_kernel_that_keeps_its_attributes(source, point):
    """As systemd does, which starts a killed service again at once."""
    assert mmapfs.run_daemon(source, point, "-o", "attr_timeout=60").returncode == 0
    os.stat(point)
    kill_daemon_of(point)
    result = mmapfs.run_daemon(source, point)
    assert result.returncode == 0, result.stderr
    subprocess.run(["umount", point], check=True)
    assert mmapfs.mount_type(point) is None, "the dead mount is below the new one"


def test_mappings_outlive_a_killed_daemon(source, mount, passthrough):
    mmapfs.fill(source / "f", mmapfs.MIB)
    mounted = mount(source, "allow_other,data_path=passthrough")
    mapping = mmapfs.Mapping(mounted / "f", write=True)
    mounted.kill()
    mapping.write(10, b"after death")
    assert mapping.read(10, 11) == b"after death"
    # close(2) tells the dead daemon, and says that it is dead.
    assert errno_of(mapping.close) in ("ENOTCONN", None)
    assert (source / "f").read_bytes()[10:21] == b"after death"


def test_two_mounts_of_one_source_agree(source, mount):
    mmapfs.fill(source / "f", mmapfs.MIB)
    one, two = mount(source), mount(source)
    with mmapfs.hold(one / "f"):
        assert mmapfs.number(two / "f", "resident") == 256
    mmapfs.setattr(one / "f", "lock", "on")
    mmapfs.setattr(two / "f", "evict")
    assert mmapfs.number(two / "f", "resident") == 256


def test_no_descriptor_leaks(source, mount):
    for i in range(50):
        (source / f"f{i}").write_bytes(b"x" * 5000)
    mounted = mount(source)
    descriptors = pathlib.Path(f"/proc/{mounted.process.pid}/fd")

    def visit():
        for i in range(50):
            (mounted / f"f{i}").read_bytes()
            mmapfs.stat(mounted / f"f{i}")
            mmapfs.setattr(mounted / f"f{i}", "evict")
            errno_of(mmapfs.setattr, mounted / f"f{i}", "lock", "wrong")
            errno_of(os.open, mounted / f"none{i}", os.O_RDONLY)
        os.listdir(mounted.point)
        return len(list(descriptors.iterdir()))

    first = visit()
    assert visit() <= first + 2


# ---- read-only -------------------------------------------------------------------------


@pytest.fixture
def read_only(source, mount):
    mmapfs.fill(source / "f", mmapfs.MIB)
    return mount(source, "allow_other,ro")


def test_a_read_only_mount_refuses_writes(source, read_only):
    for act in (lambda: open(read_only / "f", "wb"), lambda: os.mkdir(read_only / "d"),
                lambda: os.unlink(read_only / "f"), lambda: os.chmod(read_only / "f", 0),
                lambda: os.setxattr(read_only / "f", "user.a", b"")):
        assert errno_of(act) == "EROFS"
    assert os.listdir(source) == ["f"]


def test_attributes_can_be_read_on_a_read_only_mount(source, read_only):
    with mmapfs.hold(source / "f"):
        assert mmapfs.stat(read_only / "f")["resident"] == 256


def test_the_ioctl_controls_a_read_only_mount(source, read_only):
    before = (source / "f").stat()
    with mmapfs.mapped(source / "f") as mapping:
        assert errno_of(mmapfs.setattr, read_only / "f", "evict") == "EROFS"
        control(read_only / "f", SET, "evict")
        assert mapping.resident() == 0
        control(read_only / "f", SET, "warm")
        mmapfs.wait_until(lambda: mmapfs.warm_is_done(read_only / "f"))
        assert mapping.resident() == 256
    control(read_only / "f", SET, "lock", "on")
    assert control(read_only / "f", GET, "locked") == "256"
    assert mmapfs.number(read_only / "f", "locked") == 256
    control(read_only / "f", SET, "lock", "off")
    control(read_only / "f", SET, "advise", "random")
    assert control(read_only / "f", GET, "advise") == "random"
    assert control(read_only / "f", GET, "resident@0+4K") in ("0", "1")
    after = (source / "f").stat()
    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns,
                                                        after.st_ctime_ns)


def test_the_ioctl_works_on_a_directory(source, read_only):
    with mmapfs.hold(source / "f"):
        assert "files=1" in control(read_only.point, GET, "stat").splitlines()


@pytest.mark.parametrize("op, name, value, expected", [
    (GET, "nothing", "", "ENODATA"), (SET, "nothing", "", "EOPNOTSUPP"),
    (SET, "stat", "", "EOPNOTSUPP"), (SET, "lock", "maybe", "EINVAL"),
    (GET, "resident@x", "", "EINVAL"), (7, "stat", "", "EINVAL")])
def test_the_ioctl_refuses_as_the_attributes_do(op, name, value, expected, read_only):
    assert errno_of(control, read_only / "f", op, name, value) == expected


def test_the_ioctl_takes_no_malformed_struct(read_only):
    fd = os.open(read_only / "f", os.O_RDONLY)
    try:
        for bad in (CONTROL.pack(SET, 9999, 0, 0, 0, 0, b"lock", b"on"),
                    CONTROL.pack(GET, 0, 0, 0, 0, 0, b"s" * 96, b""),
                    CONTROL.pack(GET, 0, 0, 0, 0, 0, b"", b"") [:-1] + b"x",
                    CONTROL.pack(SET, 2**32 - 1, 0, 0, 0, 0, b"evict", b"")):
            number = errno_of(lambda raw=bad: fcntl.ioctl(fd, IOC_CONTROL,
                                                          bytearray(raw), True))
            assert number in ("EINVAL", "ENODATA", None)
        assert errno_of(fcntl.ioctl, fd, 0x4d6d) == "ENOTTY"
    finally:
        os.close(fd)
    assert mmapfs.stat(read_only / "f")["locked"] == 0


def test_the_ioctl_of_a_stranger_is_refused(source, read_only):
    """Who may not write the file cannot control it either; who may, still cannot lock."""
    for mode, expected in ((0o644, "EACCES"), (0o666, "EPERM")):
        os.chmod(source / "f", mode)
        mmapfs.wait_until(lambda mode=mode: (read_only / "f").stat().st_mode & 0o777 == mode,
                          what="the new mode")
        assert errno_of(lambda: mmapfs.run_as(12001, lambda: control(
            read_only / "f", SET, "lock", "on"))) == expected
    assert mmapfs.number(read_only / "f", "locked") == 0


def test_nothing_is_left_behind(base, source, mount):
    """The source is as it was: no file, no attribute of ours, whatever was controlled."""
    mmapfs.fill(source / "f", mmapfs.MIB)
    mounted = mount(source)
    for name, value in (("warm", ""), ("lock", "on"), ("advise", "random"), ("evict", "")):
        mmapfs.setattr(mounted / "f", name, value)
    mounted.unmount()
    assert os.listdir(source) == ["f"]
    assert os.listxattr(source / "f") == []
    shutil.rmtree(source)


@pytest.mark.slow
def test_a_daemon_that_is_killed_while_it_starts_ends(base, source):
    """It asks its own mount whether it answers. Who waits for the daemon's answer cannot be
    killed, so that must not keep it alive, device and all."""
    point = base / "mnt"
    point.mkdir()
    for attempt in range(100):
        with open(base / "log", "ab") as log:
            daemon = subprocess.Popen([mmapfs.DAEMON, source, point, "-f"], stderr=log)
        deadline = time.monotonic() + mmapfs.DEADLINE
        while not mmapfs.mount_type(point):
            assert time.monotonic() < deadline and daemon.poll() is None
        time.sleep(attempt % 50 * 0.0001)
        daemon.kill()
        daemon.wait(mmapfs.DEADLINE)
        subprocess.run(["umount", "-l", point], check=True, timeout=mmapfs.DEADLINE)
