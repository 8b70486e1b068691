# SPDX-License-Identifier: MIT
"""Behind the mount's back: what is done to a file on the source, while the mount has it open,
mapped, locked, warmed or only remembers it. What the source shows, and what a descriptor of
the source says of the file it was opened on, is what the mount must show and say."""

import contextlib
import os
import shutil
import stat
import time

import pytest

import mmapfs
from mmapfs import PAGE, errno_of

LENGTH = 16 * PAGE
TIMEOUT = 0.1  # rather than the default of 1 s, so that rows are quick
OPTIONS = f"allow_other,attr_timeout={TIMEOUT},entry_timeout={TIMEOUT}"


def make(path, length, seed=1):
    """As make(), but not written back."""
    path.write_bytes(b"".join(b"%3d%13d" % (seed, i) for i in range(-(-length // 16)))[:length])


# ---- the events: of a directory of the source with the file f ----------------------------

EVENTS = []


def event(function):
    EVENTS.append(function)
    return function


def name_of(function):
    return function.__name__


@event
def overwritten(d):
    with open(d / "f", "r+b") as file:
        file.write(b"new" * 5000)


@event
def appended(d):
    with open(d / "f", "ab") as file:
        file.write(b"end" * 5000)


@event
def grown_by_a_hole(d):
    os.truncate(d / "f", 3 * LENGTH + 1)


@event
def truncated(d):
    os.truncate(d / "f", 2 * PAGE + 17)


@event
def emptied(d):
    os.truncate(d / "f", 0)


@event
def cut_and_refilled(d):
    os.truncate(d / "f", 0)
    make(d / "f", LENGTH, seed=5)


@event
def hole_punched(d):
    mmapfs.fallocate(d / "f", 3, 2 * PAGE, 4 * PAGE)  # KEEP_SIZE | PUNCH_HOLE


@event
def replaced(d):
    make(d / "new", 2 * LENGTH, seed=2)
    os.rename(d / "new", d / "f")


@event
def replaced_by_the_same_length(d):
    make(d / "new", LENGTH, seed=3)
    os.rename(d / "new", d / "f")


@event
def replaced_by_a_directory(d):
    os.unlink(d / "f")
    os.mkdir(d / "f")
    make(d / "f" / "f", PAGE)


@event
def replaced_by_a_symlink(d):
    make(d / "g", PAGE, seed=4)
    os.unlink(d / "f")
    os.symlink("g", d / "f")


@event
def replaced_by_a_fifo(d):
    os.unlink(d / "f")
    os.mkfifo(d / "f")


@event
def removed(d):
    os.unlink(d / "f")


@event
def made_again(d):
    os.unlink(d / "f")
    make(d / "f", LENGTH, seed=6)


@event
def renamed(d):
    os.rename(d / "f", d / "g")


@event
def renamed_and_made_again(d):
    os.rename(d / "f", d / "g")
    make(d / "f", LENGTH, seed=7)


@event
def exchanged(d):
    make(d / "g", 3 * LENGTH, seed=8)
    mmapfs.renameat2(d / "f", d / "g", mmapfs.RENAME_EXCHANGE)


@event
def linked(d):
    os.link(d / "f", d / "g")


@event
def linked_and_removed(d):
    os.link(d / "f", d / "g")
    os.unlink(d / "f")


@event
def moved_down(d):
    os.mkdir(d / "sub")
    os.rename(d / "f", d / "sub" / "f")


@event
def directory_moved(d):
    """Away, and another took its place."""
    os.mkdir(d / "sub")
    os.rename(d / "sub", d.with_name(d.name + ".away"))
    os.rename(d, d.with_name(d.name + ".old"))
    os.rename(d.with_name(d.name + ".away"), d)
    make(d / "f", 2 * PAGE, seed=9)


@event
def mode_and_owner_changed(d):
    os.chmod(d / "f", 0o640)
    os.chown(d / "f", 12, 34)


# ---- the states: what the mount has of f when it happens ---------------------------------

class State:
    """Has d/f of the mount in some state; `truth` is a descriptor of the same file on the
    source."""

    def __init__(self, source, mounted):
        self.name, self.truth = mounted / "f", os.open(source / "f", os.O_RDWR)

    def bytes(self):
        """What the file that was there before has now."""
        return os.pread(self.truth, 8 * LENGTH, 0)

    def wrong(self):
        """Yields what is not as the source says."""
        yield from ()

    def close(self):
        os.close(self.truth)


class Untouched(State):
    """Nobody has looked at it yet."""


class Cached(State):
    """Looked at, read and closed; and a name that is not there was asked for."""

    def __init__(self, source, mounted):
        super().__init__(source, mounted)
        os.stat(self.name)
        self.name.read_bytes()
        os.listdir(mounted)
        errno_of(os.stat, mounted / "g")


class Open(State):
    """Open to be read, and the first page was."""

    def __init__(self, source, mounted, flags=os.O_RDONLY):
        super().__init__(source, mounted)
        self.fd = os.open(self.name, flags)
        os.pread(self.fd, PAGE, 0)

    def wrong(self):
        if os.pread(self.fd, 8 * LENGTH, 0) != self.bytes():
            yield "the descriptor reads other bytes"
        for field in ("st_ino", "st_size", "st_mode", "st_uid", "st_mtime_ns", "st_nlink"):
            is_now, want = (vars_of(os.fstat(fd))[field] for fd in (self.fd, self.truth))
            if is_now != want:
                yield f"fstat of the descriptor: {field} {is_now}, not {want}"
        if mmapfs.stat(f"/proc/self/fd/{self.fd}")["size"] != len(self.bytes()):
            yield "the attribute stat has another size"

    def close(self):
        os.close(self.fd)
        super().close()


class OpenToWrite(Open):
    """Open to be written, which is done when the event is over."""

    def __init__(self, source, mounted):
        super().__init__(source, mounted, os.O_RDWR)

    def wrong(self):
        yield from super().wrong()
        os.pwrite(self.fd, b"by the mount", 100)
        if os.pread(self.truth, 12, 100) != b"by the mount":
            yield "what was written did not reach the file"
        os.fsync(self.fd)
        if os.pread(self.fd, 8 * LENGTH, 0) != self.bytes():
            yield "the descriptor reads other bytes than were written"


class Mapped(State):
    """Mapped, touched, and stored to when the event is over."""

    def __init__(self, source, mounted):
        super().__init__(source, mounted)
        self.mapping = mmapfs.Mapping(self.name, write=True)
        self.mapping.populate()

    def wrong(self):
        os.fstat(self.mapping.fd)  # what the kernel kept is dropped with the old attributes
        data = self.bytes()[:LENGTH]
        if self.mapping.read(0, len(data)) != data:
            yield "the mapping has other bytes"
        if data:
            self.mapping.write(5, b"stored")
            check = mmapfs.libc.msync(self.mapping.address, len(data), 4)
            if check or os.pread(self.truth, 6, 5) != b"stored":
                yield "what was stored did not reach the file"

    def close(self):
        self.mapping.close()
        super().close()


class Warmed(State):
    def __init__(self, source, mounted):
        super().__init__(source, mounted)
        mmapfs.warm(self.name)


class Locked(State):
    """Kept in RAM by the control attribute. That stays with the file, not with its name."""

    def __init__(self, source, mounted):
        super().__init__(source, mounted)
        mmapfs.setattr(self.name, "lock", "on")
        self.file = os.fstat(self.truth).st_ino

    def wrong(self):
        is_there = errno_of(os.lstat, self.name) is None
        if not is_there or not stat.S_ISREG(os.lstat(self.name).st_mode):
            return
        locked = mmapfs.number(self.name, "locked")
        kept = min(LENGTH, len(self.bytes())) if self.name.stat().st_ino == self.file else 0
        if locked != mmapfs.pages(kept):
            yield f"{locked} pages are said to be locked, not {mmapfs.pages(kept)}"


STATES = (Untouched, Cached, Open, OpenToWrite, Mapped, Warmed, Locked)


# ---- the verdict -------------------------------------------------------------------------

def vars_of(status):
    return {name: builtin_getattr(status, name) for name in dir(status) if name[:3] == "st_"}


builtin_getattr = getattr


def shown(path):
    """All that a path shows: of a directory, of all that is below it."""
    status = os.lstat(path)
    seen = [status.st_mode, status.st_ino, status.st_uid, status.st_nlink]
    if stat.S_ISREG(status.st_mode):
        data = path.read_bytes() if status.st_size else b""
        return seen + [status.st_size, status.st_mtime_ns, data]
    if stat.S_ISLNK(status.st_mode):
        return seen + [os.readlink(path)]
    if stat.S_ISDIR(status.st_mode):
        return seen + [(name, shown(path / name)) for name in sorted(os.listdir(path))]
    return seen


def differences(source, mounted):
    for name in sorted({*os.listdir(source), *os.listdir(mounted), "f", "g"}):
        try:
            want = shown(source / name)
        except FileNotFoundError:
            want = "ENOENT"
        try:
            seen = shown(mounted / name)
        except OSError as error:
            seen = mmapfs.errno_name(error.errno)
        if seen != want:
            yield f"{name} is not as on the source: {str(seen)[:100]}, {str(want)[:100]}"


class Row:
    """One state in a directory of its own."""

    def __init__(self, state, source, mounted):
        self.directory = source / state.__name__
        self.mounted = mounted / state.__name__
        self.directory.mkdir()
        make(self.directory / "f", LENGTH)
        self.state = state(self.directory, self.mounted)

    def wrong(self):
        said = [*self.state.wrong(), *differences(self.directory, self.mounted)]
        return [f"{self.directory}: {one}" for one in said]


@pytest.mark.parametrize("happen", EVENTS, ids=name_of)
def test_what_happens_on_the_source_is_what_the_mount_shows(happen, source, mount, data_path):
    mounted = mount(source, f"{OPTIONS},data_path={data_path}")
    with mmapfs.nothing_left(mounted), contextlib.ExitStack() as end:
        rows = [Row(state, source, mounted) for state in STATES]
        for row in rows:
            end.callback(row.state.close)
            happen(row.directory)
        time.sleep(1.1 * TIMEOUT)  # what is shown from now on is not to be older than this
        wrong = [one for row in rows for one in row.wrong()]
        assert not wrong, "\n".join(wrong)
        end.close()
        for name in os.listdir(mounted.point):
            shutil.rmtree(mounted / name)


@pytest.mark.parametrize("options", ["", ",budget=1G"])
def test_the_lock_of_a_file_that_was_removed_ends(options, source, mount, data_path):
    """It has no name by which to unlock it; its pages and blocks are to come back all the same,
    but not while it is open."""
    make(source / "f", LENGTH)
    mounted = mount(source, f"{OPTIONS},data_path={data_path}{options}")
    with mmapfs.nothing_left(mounted):
        with open(mounted / "f", "rb") as file:
            mmapfs.setattr(mounted / "f", "lock", "on")
            os.unlink(source / "f")
            mmapfs.wait_until(lambda: errno_of(os.stat, mounted / "f") == "ENOENT")
            assert mmapfs.number(f"/proc/self/fd/{file.fileno()}", "locked") == 16
            assert len(mounted.mappings()) > 0


@pytest.mark.parametrize("forgotten", [False, True])
def test_the_lock_of_a_file_that_was_removed_unseen_ends(forgotten, source, mount, data_path):
    """Nobody looks for it again, and the kernel may have forgotten it before."""
    make(source / "f", LENGTH)
    make(source / "kept", LENGTH)
    mounted = mount(source, f"{OPTIONS},data_path={data_path}")
    for name in ("f", "kept"):
        mmapfs.setattr(mounted / name, "lock", "on")
    if forgotten:
        mmapfs.drop_kernel_references()
    assert any("/f" in line for line in mounted.mappings())
    os.unlink(source / "f")
    mmapfs.wait_until(lambda: not any("/f" in line for line in mounted.mappings()),
                      what="the end of the lock")
    assert mmapfs.number(mounted / "kept", "locked") == 16


def test_a_lock_of_a_file_that_has_a_name_is_kept(source, mount, data_path):
    """Another name than the one by which it was locked; and the kernel forgot it meanwhile."""
    make(source / "f", LENGTH)
    os.link(source / "f", source / "g")
    mounted = mount(source, f"{OPTIONS},data_path={data_path}")
    mmapfs.setattr(mounted / "f", "lock", "on")
    os.unlink(mounted / "f")
    mmapfs.drop_kernel_references()
    mmapfs.evict_by_hand(source / "g")
    assert mmapfs.number(mounted / "g", "locked") == 16
    with mmapfs.mapped(source / "g") as mapping:
        assert mapping.resident() == 16
