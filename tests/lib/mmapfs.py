# SPDX-License-Identifier: MIT
"""What the mount tests share: a mounted mmapfs, its attributes, and independent witnesses
of what is in the page cache (cachestat, mincore, fincore, vmtouch, /proc/meminfo)."""

import contextlib
import ctypes
import errno
import os
import pathlib
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MMAPFS_BUILD", TOP / "build"))
DAEMON = BUILD / "fs" / "mmapfs"
PAGE = os.sysconf("SC_PAGE_SIZE")
NOBODY = 65534
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

# What must never be in a daemon's log.
ALARMS = ("ERROR", "Sanitizer", "Assertion", "assertion", "runtime error", "SIGSEGV")
DEADLINE = 20.0

# In the background or under nohup these are ignored, and what is started inherits that, but
# not a handler: so the programs under test get their signals there too.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

MADV_POPULATE_READ = 22
SYS_CACHESTAT = 451
SYS_RENAMEAT2 = 316 if os.uname().machine == "x86_64" else 276
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
SYS_NAME_TO_HANDLE_AT = 303 if os.uname().machine == "x86_64" else 264
AT_FDCWD = -100

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                      ctypes.c_int, ctypes.c_int64]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def check(result, what=""):
    """Turn a C library's -1 into the OSError it stands for."""
    if result in (-1, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def pages(length):
    return -(-length // PAGE)


def wait_until(condition, deadline=DEADLINE, what="the condition"):
    """Poll until condition() is true; its value is returned."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {deadline} s"
        time.sleep(0.01)


# ---- control attributes ----------------------------------------------------------------


def getattr(path, name):
    """Value of user.mmapfs.NAME as text; OSError as the kernel gives it."""
    full = "user.mmapfs" + ("." + name if name else "")
    return os.getxattr(path, full).decode()


def setattr(path, name, value=""):
    os.setxattr(path, "user.mmapfs." + name, value.encode())


def number(path, name):
    return int(getattr(path, name))


def stat(path, suffix=""):
    """user.mmapfs.stat as a dict; decimal numbers as int."""
    text = getattr(path, "stat" + suffix)
    fields = dict(line.split("=", 1) for line in text.splitlines())
    return {key: int(value) if value.isdigit() else value for key, value in fields.items()}


def budget(root):
    """The root's user.mmapfs.budget as a dict; decimal numbers as int."""
    fields = dict(line.split("=", 1) for line in getattr(root, "budget").splitlines())
    return {key: int(value) if value.isdigit() else value for key, value in fields.items()}


def ranges(path, suffix=""):
    """user.mmapfs.ranges as [(offset, length)], the continuation followed by hand."""
    text = getattr(path, "ranges" + suffix)
    runs = []
    for line in text.splitlines():
        assert not line.startswith("..."), "this list was cut"
        offset, length = line.split("+")
        runs.append((int(offset), int(length)))
    return runs


def errno_name(number):
    """One name for each number: Linux has two for EOPNOTSUPP."""
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number]


def errno_of(function, *arguments):
    """The errno name that a call fails with, or None when it succeeds."""
    try:
        function(*arguments)
    except OSError as error:
        return errno_name(error.errno)
    return None


def warm_is_done(path):
    return getattr(path, "warm").split()[0] not in ("queued", "running")


def warm(path, value=""):
    """Write warm and wait until it has ended; its final text."""
    setattr(path, "warm", value)
    wait_until(lambda: warm_is_done(path), 60, f"the end of warm of {path}")
    return getattr(path, "warm")


# ---- witnesses -------------------------------------------------------------------------


class Mapping:
    """A file mapped MAP_SHARED through plain mmap(2), so that its address is at hand."""

    def __init__(self, path, write=False, length=None, offset=0):
        flags = os.O_RDWR if write else os.O_RDONLY
        self.fd = os.open(path, flags)
        self.length = os.fstat(self.fd).st_size - offset if length is None else length
        prot = 3 if write else 1
        try:
            self.address = check(libc.mmap(None, self.length, prot, 1, self.fd, offset))
        except OSError:
            os.close(self.fd)
            raise

    def populate(self, readahead=True):
        if not readahead:
            check(libc.madvise(self.address, self.length, 1), "random")
        check(libc.madvise(self.address, self.length, MADV_POPULATE_READ), "populate")
        return self

    def read(self, offset, length):
        assert offset + length <= self.length
        return ctypes.string_at(self.address + offset, length)

    def write(self, offset, data):
        assert offset + len(data) <= self.length
        ctypes.memmove(self.address + offset, data, len(data))

    def sync(self):
        check(libc.msync(self.address, self.length, 4), "msync")

    def mincore(self):
        """One bool for each page."""
        vector = ctypes.create_string_buffer(pages(self.length))
        check(libc.mincore(self.address, self.length, vector), "mincore")
        return [bool(byte & 1) for byte in vector.raw]

    def resident(self):
        return sum(self.mincore())

    def close(self):
        libc.munmap(self.address, self.length)
        os.close(self.fd)


@contextlib.contextmanager
def mapped(path, **options):
    mapping = Mapping(path, **options)
    try:
        yield mapping
    finally:
        mapping.close()


@contextlib.contextmanager
def hold(path, length=None, offset=0, readahead=True):
    """Read in and keep a file's pages: this machine's kernel evicts idle unmapped ones."""
    with mapped(path, length=length, offset=offset) as mapping:
        yield mapping.populate(readahead)


def cachestat_fd(fd):
    """(cached, dirty, writeback, evicted, recently evicted) pages of a whole open file."""
    span = struct.pack("QQ", 0, 0)
    out = ctypes.create_string_buffer(40)
    check(libc.syscall(SYS_CACHESTAT, fd, span, out, 0), "cachestat")
    return struct.unpack("5Q", out.raw)


def cachestat(path):
    """The same of the file of that name."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return cachestat_fd(fd)
    finally:
        os.close(fd)


def evict_by_hand(path, sync=True):
    """Drop a file's pages with nothing but the C library; the path is on the source."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if sync:
            os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def resident_by_hand(path):
    """Pages that mincore(2) sees on a fresh mapping that touches nothing."""
    if os.stat(path).st_size == 0:
        return 0
    with mapped(path) as mapping:
        return mapping.resident()


def fincore(path):
    """Pages according to util-linux's fincore."""
    done = subprocess.run(["fincore", "-n", "-r", "-b", "-o", "PAGES", str(path)],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0])


def vmtouch(path):
    """Pages according to vmtouch: (resident, total)."""
    out = subprocess.run(["vmtouch", str(path)], check=True, capture_output=True,
                         text=True).stdout
    for line in out.splitlines():
        words = line.split()
        if words[:2] == ["Resident", "Pages:"]:
            resident, total = words[2].split("/")
            return int(resident), int(total)
    raise AssertionError("vmtouch printed no count:\n" + out)


def meminfo_kib(field):
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise AssertionError(f"no {field} in /proc/meminfo")


# ---- files, users ----------------------------------------------------------------------


def fill(path, length, seed=1):
    """A file of length bytes that differ from page to page, written back and clean."""
    step = 64 * KIB
    with open(path, "wb") as file:
        for offset in range(0, length, step):
            block = struct.pack("<QQ", seed, offset) * (step // 16)
            file.write(block[:min(step, length - offset)])
        file.flush()
        os.fsync(file.fileno())
    return path


def renameat2(old, new, flags):
    check(libc.syscall(SYS_RENAMEAT2, AT_FDCWD, os.fsencode(old), AT_FDCWD,
                       os.fsencode(new), flags), "renameat2")


def link_descriptor(fd, name):
    """Give an open file without a name this one."""
    follow = 0x400
    check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, os.fsencode(name),
                      follow), "linkat")


def fallocate(path, mode, offset, length):
    fd = os.open(path, os.O_RDWR)
    try:
        check(libc.fallocate(fd, mode, offset, length), "fallocate")
    finally:
        os.close(fd)


def run_as(uid, function, gid=None, groups=(), umask=0o022):
    """Call function() in a forked child that is that user; its result, or its OSError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            os.setgroups(groups)
            os.setgid(uid if gid is None else gid)
            os.setuid(uid)
            os.umask(umask)
            answer = ("value", function())
        except OSError as error:
            answer = ("errno", error.errno, str(error))
        except BaseException:
            answer = ("broken", traceback.format_exc())
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    assert data, f"the child died, status {status}"
    answer = pickle.loads(data)
    if answer[0] == "errno":
        raise OSError(answer[1], answer[2])
    assert answer[0] == "value", answer[1]
    return answer[1]


# ---- the mount -------------------------------------------------------------------------


def mount_type(point):
    """Filesystem type on exactly that mountpoint, the topmost; None when none is."""
    found = None
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        if left.split()[4] == str(point):
            found = right.split()[0]
    return found


def mounts_below(directory):
    points = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point == str(directory) or point.startswith(str(directory) + "/"):
            points.append(point)
    return points


class Mount:
    """One mmapfs in the foreground, a child of this process, on a fresh mountpoint."""

    def __init__(self, source, point, log, options="", debug=False, uid=None, env=None,
                 nofile=None):
        self.source = pathlib.Path(source)
        self.point = pathlib.Path(point)
        self.log = pathlib.Path(log)
        self.command = [str(DAEMON), str(source), str(point), "-f"]
        if debug:
            self.command.append("-d")
        if options:
            self.command += ["-o", options]
        self.uid = uid
        self.nofile = nofile  # RLIMIT_NOFILE, which it cannot raise
        self.env = dict(os.environ, **(env or {}))
        self.expected_to_die = False
        self.process = None

    def _become_user(self):
        if self.nofile is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
        if self.uid is not None:
            os.setgroups([])
            os.setgid(self.uid)
            os.setuid(self.uid)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.env, preexec_fn=self._become_user, start_new_session=True)
        wait_until(self._is_up, what="the mount")
        return self

    def _is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"mmapfs exited with {self.process.returncode}: {self.text()}")
        return (mount_type(self.point) or "").startswith("fuse")

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __truediv__(self, name):
        return self.point / name

    def descriptors(self):
        """How many the daemon has."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def mappings(self):
        """The lines of its memory map that are files of the source."""
        maps = pathlib.Path(f"/proc/{self.process.pid}/maps").read_text()
        return [line for line in maps.splitlines() if f" {self.source}/" in line]

    def kill(self):
        """As the out-of-memory killer would."""
        self.expected_to_die = True
        self.process.kill()
        self.process.wait(DEADLINE)

    def unmount(self):
        subprocess.run(["umount", str(self.point)], check=True, capture_output=True,
                       timeout=DEADLINE)
        self.process.wait(DEADLINE)

    def _detach(self):
        """Needs no answer of the daemon."""
        libc.umount2(os.fsencode(self.point), 2)

    def _unmounted(self):
        """Plain umount(8), and whether it did. A dead daemon may keep it waiting."""
        try:
            subprocess.run(["umount", str(self.point)], capture_output=True, check=False,
                           timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            return False
        return mount_type(self.point) is None

    def stop(self):
        """Unmount whatever happened before; a list of what was wrong."""
        wrong = []
        if self.process is None:
            return wrong
        if mount_type(self.point) and not self._unmounted():
            wrong.append("the mount was still busy at the end")
            self._detach()
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            wrong.append("the daemon did not end after the unmount")
            self.kill()
            status = self.process.returncode
        if status != 0 and not self.expected_to_die:
            wrong.append(f"the daemon ended with status {status}")
        wrong += [f"log: {line}" for line in self.text().splitlines()
                  if any(alarm in line for alarm in ALARMS)]
        return wrong


def drop_kernel_references():
    """Have the kernel forget idle inodes, so that only what leaked is left."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2")


# libfuse keeps a few threads' worth of descriptors once it needed them.
SPARE_DESCRIPTORS = 4


@contextlib.contextmanager
def nothing_left(mounted):
    """At the end the daemon has no mapping of the source and no more descriptors than at the
    start, once the kernel has forgotten what it had of the files."""
    before = mounted.descriptors()
    yield

    def is_clean():
        return (mounted.descriptors() <= before + SPARE_DESCRIPTORS and
                not mounted.mappings())

    if not is_clean():
        drop_kernel_references()
    with contextlib.suppress(AssertionError):
        wait_until(is_clean)
    assert is_clean(), (f"left open: {mounted.descriptors()} descriptors, {before} before, "
                        f"and {mounted.mappings()}")


def requests(log_text, opcode):
    """How often libfuse's -d log shows a request, such as "READ" (its number follows)."""
    return sum(f", opcode: {opcode} (" in line for line in log_text.splitlines())


class Loop:
    """A filesystem of its own on a loop device over a sparse image file."""

    def __init__(self, base, fstype, size, mkfs=(), options=""):
        self.image = pathlib.Path(base) / f"{fstype}.img"
        self.point = pathlib.Path(base) / f"{fstype}.mnt"
        self.point.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(size)
        force = {"ext4": ["-q", "-F"], "xfs": ["-q", "-f"], "btrfs": ["-q", "-f"]}[fstype]
        subprocess.run([f"mkfs.{fstype}", *force, *mkfs, str(self.image)], check=True,
                       capture_output=True)
        self.device = subprocess.run(
            ["losetup", "-f", "--show", str(self.image)], check=True, capture_output=True,
            text=True).stdout.strip()
        arguments = ["-o", options] if options else []
        try:
            subprocess.run(["mount", "-t", fstype, *arguments, self.device,
                            str(self.point)], check=True, capture_output=True)
        except subprocess.CalledProcessError:
            subprocess.run(["losetup", "-d", self.device], check=False)
            raise

    def close(self):
        subprocess.run(["umount", str(self.point)], capture_output=True, check=False)
        if mount_type(self.point):
            subprocess.run(["umount", "-l", str(self.point)], capture_output=True,
                           check=False)
        subprocess.run(["losetup", "-d", self.device], capture_output=True, check=False)


@contextlib.contextmanager
def directory():
    """A fresh directory on a real disk; what is still mounted below is detached."""
    base = pathlib.Path(tempfile.mkdtemp(
        prefix="mmapfs-test-", dir=os.environ.get("TMPDIR", "/var/tmp"))).resolve()
    base.chmod(0o755)
    try:
        yield base
    finally:
        for point in reversed(mounts_below(base)):
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)
        shutil.rmtree(base, ignore_errors=True)


def run_daemon(*arguments, timeout=DEADLINE, **options):
    """Run mmapfs to its end, for starts that must fail."""
    return subprocess.run([str(DAEMON), *map(str, arguments)], capture_output=True,
                          text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                          check=False, **options)


def terminate(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.wait(DEADLINE)


if sys.flags.optimize:
    raise RuntimeError("these tests are assertions: do not run them with -O")
