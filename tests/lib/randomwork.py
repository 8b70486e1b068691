# SPDX-License-Identifier: MIT
"""Random work on a mount: clients that do file operations and control attributes in an order
that comes from a seed, and know what each of their files must hold.

Each client owns a directory, whose files it checks against a copy in its memory, and shares
another with all, where only the errors are checked: two clients may do anything to one name.
"""

import collections
import errno
import fcntl
import hashlib
import mmap
import os
import pathlib
import pickle
import random
import signal
import struct
import time
import traceback

from mmapfs import KIB, PAGE, check, libc

NAMES = [f"f{number}" for number in range(12)] + ["keep.pin", "keep.warm", "n" * 255]
DIRS = ["", "d1/", "d2/", "d1/deep/"]
SIZE_MAX = 512 * KIB
HANDLES_MAX = 4
PUNCH, KEEP, ZERO = 2, 1, 16  # fallocate(2)

# So that everything has something to do: a budget that is passed, patterns that match.
OPTIONS = ("allow_other,data_path={path},lock_limit=4M,budget=16M,lock=*.pin,warm=*.warm,"
           "policy_rescan=2,snapshot={snapshot},snapshot_interval=3")

CONTROL = struct.Struct("<II16x96s8072s")
IOC_CONTROL = (3 << 30) | (CONTROL.size << 16) | (ord("M") << 8) | 0x6d

READABLE = ["", "stat", "pages", "resident", "dirty", "writeback", "evicted", "locked",
            "ranges", "map", "advise", "warm", "evict", "lock", "version", "help", "metrics",
            "budget", "policy", "snapshot", "nothing"]
WRITABLE = [("warm", ["", "cancel"]), ("evict", ["", "sync", "cancel"]),
            ("lock", ["on", "off", "off"]), ("sync", ["sync", "async", "invalidate"]),
            ("advise", ["normal", "random", "sequential", "willneed", "cold", "pageout",
                        "populate-read", "dontneed", "free"]),
            ("nothing", ["x"]), ("stat", ["1"])]

# What a control may answer, whatever was asked.
CONTROL_ERRORS = {errno.EINVAL, errno.ENODATA, errno.EBUSY, errno.EAGAIN, errno.ENOMEM,
                  errno.EOPNOTSUPP, errno.EPERM, errno.ERANGE, errno.ESTALE}
# What an operation on a name may answer when others use the name as well.
SHARED_ERRORS = {errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY,
                 errno.EBUSY, errno.ESTALE, errno.EINVAL, errno.ENODATA, errno.EPERM}


class Wrong(Exception):
    """Something was not as it must be."""


def digest(data):
    return len(data), hashlib.sha1(data).hexdigest()


def tree_digests(top):
    """Path below top -> (size, hash) of every regular file."""
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = pathlib.Path(directory) / name
            if path.is_file() and not path.is_symlink():
                found[str(path.relative_to(top))] = digest(path.read_bytes())
    return found


class Client:
    """One process's part of the work."""

    def __init__(self, mount, source, number, seed):
        self.random = random.Random(f"{seed}:{number}")
        self.number = number
        self.root = pathlib.Path(mount)
        self.top = self.root / f"c{number}"
        self.source = pathlib.Path(source) / f"c{number}"
        self.shared = self.root / "shared"
        self.files = {}  # name below top -> bytearray
        self.handles = []  # (fd, bytearray): they stay good when the name goes
        self.counts = collections.Counter()
        self.last = ""

    def prepare(self):
        self.top.mkdir()
        for name in DIRS[1:]:
            (self.top / name).mkdir()

    # ---- choices ----

    def new_name(self):
        return self.random.choice(DIRS) + self.random.choice(NAMES)

    def some_file(self):
        return self.random.choice(sorted(self.files)) if self.files else None

    def some_bytes(self, limit=64 * KIB):
        length = self.random.choice([1, 7, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE,
                                     self.random.randint(1, limit)])
        return self.random.randbytes(length)

    def some_range(self):
        """As a control's value has it; mostly right."""
        first = self.random.randrange(0, SIZE_MAX)
        return self.random.choice(["", "", f"{first}", f"{first}-", "0+4K",
                                   f"{first}+{self.random.randint(1, SIZE_MAX)}", "4K+1M",
                                   "x", "1+0", "99999999999999999999"])

    # ---- files of its own ----

    def compare(self, what, got, expected):
        if bytes(got) == bytes(expected):
            return
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
                  min(len(got), len(expected)))
        raise Wrong(f"{what}: {len(got)} bytes, expected {len(expected)}, first "
                    f"difference at {at}: {bytes(got[at:at + 8])!r}, expected "
                    f"{bytes(expected[at:at + 8])!r}")

    def op_create(self):
        name = self.new_name()
        data = self.some_bytes()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        # Who has it open sees the change: the same file, unless it is new.
        content = self.files.setdefault(name, bytearray())
        fd = os.open(self.top / name, flags, 0o644)
        try:
            content[:] = b""
            self.write_all(fd, data, 0, content)
        finally:
            os.close(fd)

    def write_all(self, fd, data, offset, content):
        written = os.pwrite(fd, data, offset)
        if written != len(data):
            raise Wrong(f"wrote {written} of {len(data)} bytes")
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + written] = data

    def op_write(self):
        name = self.some_file()
        if name is None:
            return
        content = self.files[name]
        fd = os.open(self.top / name, os.O_RDWR)
        try:
            for _ in range(self.random.randint(1, 4)):
                self.write_all(fd, self.some_bytes(), self.random.randrange(0, SIZE_MAX),
                               content)
        finally:
            os.close(fd)

    def op_append(self):
        name = self.some_file()
        if name is None or len(self.files[name]) > SIZE_MAX:
            return
        data = self.some_bytes()
        with open(self.top / name, "ab", buffering=0) as file:
            file.write(data)
        self.files[name] += data

    def op_read(self):
        name = self.some_file()
        if name is None:
            return
        content = self.files[name]
        with open(self.top / name, "rb", buffering=0) as file:
            offset = self.random.randint(0, len(content))
            length = self.random.randint(1, 128 * KIB)
            self.compare(f"read of {name} at {offset}",
                         os.pread(file.fileno(), length, offset),
                         content[offset:offset + length])

    def op_read_all(self):
        name = self.some_file()
        if name is not None:
            self.compare(name, (self.top / name).read_bytes(), self.files[name])

    def op_truncate(self):
        name = self.some_file()
        if name is None:
            return
        length = self.random.randint(0, SIZE_MAX)
        os.truncate(self.top / name, length)
        content = self.files[name]
        del content[length:]
        content.extend(bytes(length - len(content)))

    def op_store(self):
        """Through a shared map."""
        name = self.some_file()
        if name is None or not self.files[name]:
            return
        content = self.files[name]
        data = self.some_bytes(16 * KIB)[:len(content)]
        offset = self.random.randint(0, len(content) - len(data))
        with open(self.top / name, "r+b", buffering=0) as file, \
                mmap.mmap(file.fileno(), 0) as memory:
            self.compare(f"map of {name}", memory[:], content)
            memory[offset:offset + len(data)] = data
            if self.random.random() < 0.5:
                memory.flush()
        content[offset:offset + len(data)] = data

    def op_fallocate(self):
        name = self.some_file()
        if name is None:
            return
        content = self.files[name]
        offset = self.random.randrange(0, SIZE_MAX)
        length = self.random.randint(1, 128 * KIB)
        mode = self.random.choice([0, KEEP, PUNCH | KEEP, ZERO | KEEP])
        fd = os.open(self.top / name, os.O_RDWR)
        try:
            check(libc.fallocate(fd, mode, offset, length))
        finally:
            os.close(fd)
        if mode == 0 and len(content) < offset + length:
            content.extend(bytes(offset + length - len(content)))
        if mode & (PUNCH | ZERO):
            end = min(offset + length, len(content))
            if offset < end:
                content[offset:end] = bytes(end - offset)

    def op_rename(self):
        old, new = self.some_file(), self.new_name()
        if old is None or old == new:
            return
        os.rename(self.top / old, self.top / new)
        self.files[new] = self.files.pop(old)

    def op_unlink(self):
        name = self.some_file()
        if name is not None:
            os.unlink(self.top / name)
            del self.files[name]

    def op_open(self):
        """Keep it open: reads through it later, whatever became of its name."""
        name = self.some_file()
        if name is None:
            return
        if len(self.handles) == HANDLES_MAX:
            os.close(self.handles.pop(self.random.randrange(HANDLES_MAX))[0])
        self.handles.append((os.open(self.top / name, os.O_RDWR), self.files[name]))

    def op_handle(self):
        if not self.handles:
            return
        fd, content = self.random.choice(self.handles)
        if self.random.random() < 0.5:
            self.write_all(fd, self.some_bytes(), self.random.randrange(0, SIZE_MAX),
                           content)
        self.compare("through a handle", os.pread(fd, 2 * len(content) + 1, 0), content)

    def op_source(self):
        """What was made durable is in the source."""
        name = self.some_file()
        if name is None:
            return
        fd = os.open(self.top / name, os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self.compare(f"the source of {name}", (self.source / name).read_bytes(),
                     self.files[name])

    def op_list(self):
        directory = self.random.choice(DIRS)
        expected = {name[len(directory):].split("/")[0] for name in self.files
                    if name.startswith(directory)}
        expected |= {name[len(directory):].split("/")[0] for name in DIRS
                     if name.startswith(directory) and name != directory}
        got = set(os.listdir(self.top / directory))
        if got != expected:
            raise Wrong(f"'{directory}' has {sorted(got)}, expected {sorted(expected)}")

    def op_stat(self):
        name = self.some_file()
        if name is None:
            return
        size = os.stat(self.top / name).st_size
        if size != len(self.files[name]):
            raise Wrong(f"{name} has {size} bytes, expected {len(self.files[name])}")

    def op_attribute(self):
        """One that is not ours."""
        name = self.some_file()
        if name is None:
            return
        value = self.random.randbytes(self.random.randint(0, 200))
        os.setxattr(self.top / name, "user.other", value)
        self.compare(f"attribute of {name}", os.getxattr(self.top / name, "user.other"),
                     value)

    # ---- the shared directory ----

    def op_shared(self):
        path = self.shared / self.random.choice(NAMES[:6])
        other = self.shared / self.random.choice(NAMES[:6])
        data = self.some_bytes()
        action = self.random.choice([
            lambda: path.write_bytes(data), path.read_bytes, path.unlink, path.mkdir,
            path.rmdir, lambda: os.rename(path, other), lambda: os.link(path, other),
            lambda: os.symlink("nowhere", path),
            lambda: os.truncate(path, len(data)), lambda: os.listdir(self.shared),
            lambda: os.setxattr(path, "user.other", data[:100]),
            lambda: os.chmod(path, 0o600 | len(data) & 0o77), lambda: os.stat(path),
            lambda: self.touch_map(path)])
        try:
            action()
        except OSError as error:
            if error.errno not in SHARED_ERRORS:
                raise

    def touch_map(self, path):
        """Maps without looking: another client may cut the file, which would be SIGBUS."""
        with open(path, "r+b", buffering=0) as file:
            try:
                memory = mmap.mmap(file.fileno(), 0)
            except ValueError:
                return  # it is empty, or was cut between Python's look and its mmap(2)
            with memory:
                memory.flush()

    # ---- control attributes ----

    def some_place(self):
        name = self.some_file()
        shared = self.shared / self.random.choice(NAMES[:6])
        return self.random.choice([self.root, self.top, self.shared, shared,
                                   self.top / (name or ""), self.top / (name or "")])

    def control(self, path, name, value=None):
        if self.random.random() < 0.5:
            full = f"user.mmapfs.{name}".rstrip(".")
            if value is None:
                return os.getxattr(path, full)
            return os.setxattr(path, full, value.encode())
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            packed = CONTROL.pack(value is not None, len(value or ""), name.encode(),
                                  (value or "").encode())
            return fcntl.ioctl(fd, IOC_CONTROL, bytearray(packed), True)
        finally:
            os.close(fd)

    def try_control(self, path, *arguments):
        try:
            self.control(path, *arguments)
        except OSError as error:
            if error.errno not in CONTROL_ERRORS | SHARED_ERRORS | {errno.ENXIO}:
                raise

    def op_control_get(self):
        name = self.random.choice(READABLE)
        if self.random.random() < 0.3:
            name += "@" + self.some_range()
        self.try_control(self.some_place(), name)

    def op_control_set(self):
        name, values = self.random.choice(WRITABLE)
        value = f"{self.random.choice(values)} {self.some_range()}"
        self.try_control(self.some_place(), name, value)

    def op_control_root(self):
        if self.number == 0:
            name, value = self.random.choice([("budget", "16M"), ("budget", "64M"),
                                              ("budget", "off"), ("policy", "reload"),
                                              ("snapshot", "save")])
            self.try_control(self.root, name, value)

    # ---- all of it ----

    WEIGHTS = {"create": 6, "write": 8, "append": 4, "read": 8, "read_all": 4, "truncate": 4,
               "store": 6, "fallocate": 3, "rename": 3, "unlink": 2, "open": 3, "handle": 5,
               "source": 1, "list": 2, "stat": 3, "attribute": 2, "shared": 10,
               "control_get": 10, "control_set": 10, "control_root": 1}

    def work(self, until):
        names = list(self.WEIGHTS)
        weights = list(self.WEIGHTS.values())
        while time.monotonic() < until:
            self.last = self.random.choices(names, weights)[0]
            getattr(self, "op_" + self.last)()
            self.counts[self.last] += 1

    def finish(self):
        for fd, content in self.handles:
            self.compare("a handle at the end", os.pread(fd, 2 * len(content) + 1, 0),
                         content)
            os.close(fd)
        for name in self.files:
            self.try_control(self.top / name, "lock", "off")
            fd = os.open(self.top / name, os.O_RDWR)
            os.fsync(fd)
            os.close(fd)
        expected = {name: digest(content) for name, content in self.files.items()}
        if tree_digests(self.top) != expected:
            raise Wrong("the tree at the end is another")
        return {f"c{self.number}/{name}": value for name, value in expected.items()}


def client_process(pipe, *arguments, until):
    """In a forked child: the answer goes to the pipe, pickled."""
    client = Client(*arguments)
    try:
        client.prepare()
        client.work(until)
        answer = ("done", client.finish(), client.counts)
    except BaseException:
        answer = ("wrong", f"client {client.number}, operation "
                  f"{sum(client.counts.values())} ({client.last}):\n"
                  + traceback.format_exc(), client.counts)
    with os.fdopen(pipe, "wb") as file:
        pickle.dump(answer, file)
    os._exit(0)


class Work:
    """Clients on one mount, as child processes."""

    GRACE = 120  # seconds for the last operation and the checks at the end

    def __init__(self, mount, source, seed, clients, seconds):
        (pathlib.Path(mount) / "shared").mkdir(exist_ok=True)
        self.until = time.monotonic() + seconds
        self.children = [self.start(mount, source, number, seed)
                         for number in range(clients)]

    def start(self, mount, source, number, seed):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.close(reader)
            # A client that hangs is killed, where it can be, and counts as wrong.
            signal.alarm(int(self.until - time.monotonic()) + self.GRACE)
            client_process(writer, mount, source, number, seed, until=self.until)
        os.close(writer)
        return pid, reader

    def wait(self):
        """(what is wrong, digests of all files, counts of operations)"""
        wrong, files, counts = [], {}, collections.Counter()
        for number, (pid, reader) in enumerate(self.children):
            with os.fdopen(reader, "rb") as pipe:
                data = pipe.read()
            _, status = os.waitpid(pid, 0)
            if not data:
                wrong.append(f"client {number} ended with status {status}")
                continue
            verdict, answer, done = pickle.loads(data)
            counts += done
            if verdict == "done":
                files.update(answer)
            else:
                wrong.append(answer)
        return wrong, files, counts


def source_differs(source, files):
    """What the source has, of the clients' own files, that it should not."""
    found = {name: value for name, value in tree_digests(source).items()
             if not name.startswith("shared/")}
    return [f"in the source, {name} is {found.get(name)}, expected {files.get(name)}"
            for name in sorted(found.keys() | files.keys())
            if found.get(name) != files.get(name)]
