# SPDX-License-Identifier: MIT
"""Behind the mount's back, beyond one file on one disk: sources on other filesystems, several of
them in one source, directories that are being listed, inode numbers that come again, and how
old what is shown may be by default."""

import contextlib
import os
import subprocess
import time

import pytest

import mmapfs
import test_behind as behind
from mmapfs import PAGE, errno_of

OPTIONS = behind.OPTIONS


@contextlib.contextmanager
def mounted_at(point, *arguments):
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", *map(str, arguments), point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=False)


# ---- kinds of sources: each yields the directory in which things happen, and the source ----

KINDS = []


def kind(function):
    KINDS.append(contextlib.contextmanager(function))
    return function


@kind
def xfs(base, loop, mount):
    point = loop("xfs", 512 * mmapfs.MIB).point
    yield point, point, ""


@kind
def btrfs(base, loop, mount):
    point = loop("btrfs", 512 * mmapfs.MIB).point
    yield point, point, ""


@kind
def tmpfs(base, loop, mount):
    with mounted_at(base / "memory", "-t", "tmpfs", "-o", "size=64m", "none") as point:
        yield point, point, ""


@kind
def overlayfs(base, loop, mount):
    for name in ("lower", "upper", "work"):
        (base / name).mkdir()
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    with mounted_at(base / "merged", "-t", "overlay", "-o", options, "none") as point:
        yield point, point, ""


@kind
def overlayfs_with_passthrough(base, loop, mount):
    for point, source, _ in overlayfs(base, loop, mount):
        yield point, source, ",stack_depth=2"


@kind
def another_mmapfs(base, loop, mount):
    (base / "lowest").mkdir()
    point = mount(base / "lowest").point
    yield point, point, ""


@kind
def another_mmapfs_with_passthrough(base, loop, mount):
    for point, source, _ in another_mmapfs(base, loop, mount):
        yield point, source, ",stack_depth=2"


@kind
def a_read_only_view(base, loop, mount):
    """Changed all the same, where it is writable."""
    (base / "writable").mkdir()
    with mounted_at(base / "view", "--bind", "-o", "ro", base / "writable") as point:
        yield base / "writable", point, ""


def remove_all(directory, point):
    """On the source, when the mount knows every file, which it then learns are gone."""
    subprocess.run(["find", point, "-size", "+0"], check=True, capture_output=True)
    names = os.listdir(directory)
    subprocess.run(["rm", "-r", *(directory / name for name in names)], check=True)
    for name in names:
        mmapfs.wait_until(lambda name=name: errno_of(os.stat, point / name) == "ENOENT")


EVENTS = (behind.overwritten, behind.appended, behind.truncated, behind.replaced,
          behind.replaced_by_a_directory, behind.removed, behind.made_again, behind.exchanged,
          behind.renamed_and_made_again, behind.linked_and_removed, behind.directory_moved)


@pytest.mark.parametrize("make", KINDS, ids=behind.name_of)
def test_a_source_of_this_kind_is_shown_as_it_is(make, base, loop, mount):
    with make(base, loop, mount) as (directory, source, options), contextlib.ExitStack() as end:
        states = [behind.Cached, behind.Open, behind.Locked]
        if directory == source:
            states += [behind.OpenToWrite, behind.Mapped]
        mounted = mount(source, OPTIONS + options)
        rows = []
        with mmapfs.nothing_left(mounted):
            for happen in EVENTS:
                name = happen.__name__
                (directory / name).mkdir()
                some = [behind.Row(state, directory / name, mounted / name) for state in states]
                for row in some:
                    end.callback(row.state.close)
                    happen(row.directory)
                rows += some
            time.sleep(1.1 * behind.TIMEOUT)
            wrong = [one for row in rows for one in row.wrong()]
            assert not wrong, "\n".join(wrong)
            end.close()
            remove_all(directory, mounted.point)
        mounted.unmount()


# ---- several filesystems in one source ---------------------------------------------------

@pytest.mark.parametrize("when", ["before", "after"])
def test_filesystems_mounted_below_the_source_are_shown(when, source, loop, mount, data_path):
    """Whose inode numbers collide; also those that are mounted when the mount is up."""
    def cover(end):
        disk = loop("xfs", 512 * mmapfs.MIB)
        end.enter_context(mounted_at(source / "xfs", "--bind", disk.point))
        end.enter_context(mounted_at(source / "memory", "-t", "tmpfs", "none"))

    for name in ("xfs", "memory"):
        (source / name).mkdir()
        behind.make(source / name / "below", PAGE)
    options = f"{OPTIONS},data_path={data_path}"
    with contextlib.ExitStack() as end:
        if when == "before":
            cover(end)
        mounted = mount(source, options)
        if when == "after":
            assert (mounted / "xfs" / "below").stat().st_size == PAGE
            cover(end)
            time.sleep(1.1 * behind.TIMEOUT)
        for seed, name in enumerate(("xfs", "memory")):
            behind.make(source / name / "f", 2 * PAGE, seed)
            assert (mounted / name / "f").read_bytes() == (source / name / "f").read_bytes()
            assert os.listdir(mounted / name) == ["f"]
            assert mmapfs.stat(mounted / name / "f")["pages"] == 2
            mmapfs.setattr(mounted / name / "f", "lock", "on")
            (mounted / name / "g").write_bytes(b"by the mount")
            assert (source / name / "g").read_bytes() == b"by the mount"
        numbers = [os.stat(path).st_ino for name in ("xfs", "memory")
                   for path in (mounted / name, mounted / name / "f", mounted / name / "g")]
        assert len(set(numbers)) == 6
        assert "files=4" in mmapfs.getattr(mounted.point, "stat").splitlines()
        mounted.unmount()


@pytest.mark.parametrize("fstype", ["tmpfs", "ext4"])
def test_a_filesystem_that_went_from_below_is_not_shown_any_more(fstype, source, loop, mount,
                                                                data_path):
    (source / "sub").mkdir()
    behind.make(source / "sub" / "below", PAGE)
    arguments = (["-t", "tmpfs", "none"] if fstype == "tmpfs" else
                 ["--bind", loop("ext4", 16 * mmapfs.MIB).point])
    mounted = mount(source, f"{OPTIONS},data_path={data_path}")
    with mounted_at(source / "sub", *arguments):
        behind.make(source / "sub" / "f", PAGE, seed=2)
        with open(mounted / "sub" / "f", "rb") as file:
            mmapfs.setattr(mounted / "sub" / "f", "lock", "on")
            mmapfs.check(mmapfs.libc.umount2(os.fsencode(source / "sub"), 2))
            time.sleep(1.1 * behind.TIMEOUT)
            assert os.listdir(mounted / "sub") == ["below"]
            assert errno_of(os.stat, mounted / "sub" / "f") == "ENOENT"
            assert len(file.read()) == PAGE
        assert (mounted / "sub" / "below").read_bytes() == (source / "sub" / "below").read_bytes()


# ---- open directories --------------------------------------------------------------------

def everything_removed(d):
    for name in os.listdir(d):
        os.unlink(d / name)


def half_removed(d):
    for name in os.listdir(d)[::2]:
        os.unlink(d / name)


def all_replaced(d):
    for name in os.listdir(d):
        (d / "new").touch()
        os.rename(d / "new", d / name)


def half_renamed(d):
    for name in os.listdir(d)[::2]:
        os.rename(d / name, d / f"renamed-{name}")


def many_added(d):
    for i in range(300):
        (d / f"added-{i}").touch()


def directory_removed(d):
    everything_removed(d)
    os.rmdir(d)


def directory_replaced(d):
    os.rename(d, d.with_name("away"))
    d.mkdir()
    (d / "f").touch()


@pytest.mark.parametrize("happen", [everything_removed, half_removed, all_replaced, half_renamed,
                                    many_added, directory_removed, directory_replaced],
                         ids=behind.name_of)
def test_a_directory_that_changes_while_it_is_listed(happen, source, mount):
    """Names that stay come exactly once, others at most once, and nothing else."""
    directory = source / "d"
    directory.mkdir()
    for i in range(600):  # more than are read at once, from the source or by the kernel
        (directory / f"file-{i:0100}").touch()
    old = set(os.listdir(directory))
    mounted = mount(source, OPTIONS)
    with mmapfs.nothing_left(mounted):
        with os.scandir(mounted / "d") as stream:
            listed = [next(stream).name for _ in range(20)]
            happen(directory)
            new = set(os.listdir(directory)) if directory.exists() else set()
            listed += [entry.name for entry in stream]
        assert len(listed) == len(set(listed))
        assert set(listed) <= old | new
        if happen is not directory_replaced:
            assert old & new <= set(listed)
        time.sleep(1.1 * behind.TIMEOUT)
        for name in ("d", "away"):
            assert list(behind.differences(source, mounted.point)) == []


# ---- inode numbers that come again -------------------------------------------------------

def again(path, number, patient):
    """Remove it, and make files until one has that inode number, and this name; whether one
    had. xfs frees it in its own time, and the daemon may still have its release to do."""
    os.unlink(path)
    for i in range(300):
        path.touch()
        if path.stat().st_ino == number:
            return True
        os.rename(path, path.with_name(f"tried-{i}"))
        if patient and i >= 100:
            os.statvfs(path.parent)  # tells xfs to get on with it
            time.sleep(0.02)
    path.touch()
    return False


@pytest.mark.parametrize("state", ["known", "locked", "advised"])
@pytest.mark.parametrize("fstype", ["ext4", "xfs"])
def test_an_inode_number_that_comes_again_is_another_file(fstype, state, loop, mount,
                                                          data_path):
    place = loop(fstype, 512 * mmapfs.MIB if fstype == "xfs" else 16 * mmapfs.MIB).point
    behind.make(place / "f", 4 * PAGE, seed=1)
    number = (place / "f").stat().st_ino
    mounted = mount(place, f"{OPTIONS},data_path={data_path}")
    (mounted / "f").read_bytes()
    if state == "locked":
        mmapfs.setattr(mounted / "f", "lock", "on")
    elif state == "advised":
        mmapfs.setattr(mounted / "f", "advise", "random")
    came_again = again(place / "f", number, patient=state != "locked")
    behind.make(place / "f", 3 * PAGE, seed=2)
    time.sleep(1.1 * behind.TIMEOUT)
    assert (mounted / "f").read_bytes() == (place / "f").read_bytes()
    fields = mmapfs.stat(mounted / "f")
    assert (fields["pages"], fields["locked"], fields["advice"]) == (3, 0, "normal")
    assert came_again or state == "locked"  # a locked file is not gone


# ---- how old by default ------------------------------------------------------------------

def test_by_default_nothing_shown_is_older_than_a_second(source, mount, data_path):
    mounted = mount(source, f"allow_other,data_path={data_path}")
    with contextlib.ExitStack() as end:
        rows = []
        for happen in EVENTS:
            (source / happen.__name__).mkdir()
            for state in (behind.Cached, behind.Open):
                rows.append(behind.Row(state, source / happen.__name__,
                                       mounted / happen.__name__))
                end.callback(rows[-1].state.close)
                happen(rows[-1].directory)
        time.sleep(1.01)
        assert not [one for row in rows for one in row.wrong()]
