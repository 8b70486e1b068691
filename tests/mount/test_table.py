# SPDX-License-Identifier: MIT
"""Region tables: files that are parts of others, against the source's own bytes."""

import errno
import os
import pathlib
import random
import shutil
import stat
import subprocess

import pytest

import mmapfs
from mmapfs import KIB, MIB, PAGE, errno_of, run_as
from region_table import (AT, LENGTH, ODD, OVER, SIZE, TABLE, WINDOWS, big, mounted, part,
                          read_at, table, write_at)

__all__ = ["big", "mounted", "table"]  # fixtures


# ---- what there is ---------------------------------------------------------------------


def test_rows_are_the_files_of_one_directory(mounted, table, big):
    assert sorted(os.listdir(mounted.point)) == sorted([*WINDOWS, "readable", "memory",
                                                        "a name"])
    for name, (_, length) in WINDOWS.items():
        status = (mounted / name).stat()
        assert stat.S_ISREG(status.st_mode)
        assert status.st_size == length
        assert status.st_mode & 0o7777 == big.stat().st_mode & 0o666
        assert status.st_nlink == 1
        assert int(status.st_mtime) == int(big.stat().st_mtime)
    root = mounted.point.stat()
    assert stat.S_ISDIR(root.st_mode) and root.st_uid == table.stat().st_uid
    assert (mounted / "a name").read_bytes() == b"blanks"
    assert errno_of(os.stat, mounted / "none") == "ENOENT"


def test_every_window_has_the_bytes_of_its_place(mounted, big):
    for name in WINDOWS:
        assert (mounted / name).read_bytes() == part(big, name), name


def test_inode_numbers_are_the_same_after_a_mount_with_other_rows(mounted, table, mount):
    before = {entry.name: entry.inode() for entry in os.scandir(mounted.point)}
    assert before == {name: (mounted / name).stat().st_ino for name in before}
    assert len(set(before.values())) == len(before)
    table.write_text("new anon 0 1 write\n" + TABLE.replace("over ", "# over "))
    again = mount(table)
    after = {entry.name: entry.inode() for entry in os.scandir(again.point)}
    assert set(before) - set(after) == {"over"}
    assert all(before[name] == number for name, number in after.items() if name in before)


def test_a_directory_of_many_rows_is_listed_whole(source, big, mount):
    """More than fits one answer, from any position."""
    names = [f"window {i:05}" for i in range(5000)]
    table = source / "many"
    table.write_text("".join(f'"{name}" data/big {i * 17} 100 read\n'
                             for i, name in enumerate(names)))
    mounted = mount(table)
    assert os.listdir(mounted.point) == names
    listed = subprocess.run(["ls", "-l", mounted.point], capture_output=True, text=True,
                            check=True).stdout.splitlines()
    assert len(listed) == 5001
    assert (mounted / "window 04999").read_bytes() == read_at(big, 4999 * 17, 100)
    assert mmapfs.stat(mounted.point)["files"] == 5000


def test_names_can_neither_be_made_nor_removed_nor_moved(mounted):
    calls = {
        "create": lambda: os.close(os.open(mounted / "new", os.O_CREAT | os.O_WRONLY)),
        "mkdir": lambda: os.mkdir(mounted / "new"),
        "mkfifo": lambda: os.mkfifo(mounted / "new"),
        "symlink": lambda: os.symlink("x", mounted / "new"),
        "link": lambda: os.link(mounted / "odd", mounted / "new"),
        "unlink": lambda: os.unlink(mounted / "odd"),
        "rename": lambda: os.rename(mounted / "odd", mounted / "new"),
        "replace": lambda: os.rename(mounted / "odd", mounted / "over"),
    }
    for name, call in calls.items():
        assert errno_of(call) == "EPERM", name
    assert errno_of(os.mkdir, mounted / "odd") == "EEXIST"
    assert errno_of(os.rmdir, mounted / "odd") == "ENOTDIR"


def test_a_source_that_lost_its_name_stays_what_it_was(mounted, big):
    before = part(big, "odd")
    big.rename(big.with_name("old"))
    big.write_bytes(b"another file")
    assert (mounted / "odd").read_bytes() == before
    big.with_name("old").unlink()
    assert (mounted / "odd").read_bytes() == before


# ---- reads and writes ------------------------------------------------------------------


def random_place(rng, length):
    offset = rng.randrange(length)
    return offset, rng.randint(1, min(length - offset, rng.choice([1, 100, 5000, 70000])))


def test_random_reads_and_writes_are_those_of_the_source(mounted, big):
    """Through any window and the source itself in turn; each sees all at once."""
    rng = random.Random(20)
    model = bytearray(big.read_bytes())
    places = {**WINDOWS, "readable": (AT, 64 * KIB)}
    fds = {name: os.open(mounted / name, os.O_RDONLY if name == "readable" else os.O_RDWR)
           for name in places}
    fds["source"], places["source"] = os.open(big, os.O_RDWR), (0, SIZE)
    try:
        for _ in range(1500):
            name = rng.choice(list(fds))
            base, full = places[name]
            # Near each other, so that most fall where windows overlap.
            start = rng.choice([0, max(0, OVER - base)]) if base < ODD else 0
            offset, length = random_place(rng, min(full - start, 80 * KIB))
            offset += start
            at = base + offset
            if name != "readable" and rng.random() < 0.5:
                data = rng.randbytes(length)
                assert os.pwrite(fds[name], data, offset) == length
                model[at:at + length] = data
            else:
                assert os.pread(fds[name], length, offset) == model[at:at + length], name
    finally:
        for fd in fds.values():
            os.close(fd)
    assert big.read_bytes() == model
    for name, (offset, length) in WINDOWS.items():
        assert (mounted / name).read_bytes() == model[offset:offset + length], name


def test_reads_end_where_the_window_does(mounted, big):
    for name in ("aligned", "odd"):
        tail = part(big, name)[-5:]
        assert read_at(mounted / name, LENGTH - 5, 100) == tail
        assert read_at(mounted / name, LENGTH, 100) == b""
        assert read_at(mounted / name, LENGTH + mmapfs.GIB, 100) == b""


def test_writes_end_where_the_window_does(mounted, big):
    after = read_at(big, AT + LENGTH, 100)
    assert write_at(mounted / "aligned", LENGTH - 3, b"abcdef") == 3
    assert read_at(big, AT + LENGTH - 3, 3) == b"abc"
    assert read_at(big, AT + LENGTH, 100) == after
    for offset in (LENGTH, LENGTH + 1, mmapfs.GIB):
        assert errno_of(write_at, mounted / "aligned", offset, b"x") == "EFBIG"
    fd = os.open(mounted / "aligned", os.O_WRONLY | os.O_APPEND)
    assert errno_of(os.write, fd, b"x") == "EFBIG"
    os.close(fd)
    assert big.stat().st_size == SIZE


def test_the_rest_of_a_file_grows_with_it_and_makes_it_grow(mounted, big):
    with open(mounted / "tail", "ab", buffering=0) as tail:
        assert tail.write(b"appended") == 8
        with open(big, "ab") as file:
            file.write(b" by the other")
        assert tail.write(b" and again") == 10
    assert big.stat().st_size == SIZE + 31
    assert read_at(big, SIZE, 100) == b"appended by the other and again"
    assert (mounted / "tail").read_bytes() == read_at(big, 7 * MIB, 2 * MIB)
    with open(mounted / "whole", "ab", buffering=0) as whole:
        whole.write(b"!")
    assert (mounted / "tail").read_bytes()[-6:] == b"again!"


def test_appending_to_a_window_never_appends_to_its_source(mounted, big):
    """Not even where the source's end was the window's a moment ago."""
    os.truncate(big, ODD + 5000)
    fd = os.open(mounted / "odd", os.O_WRONLY | os.O_APPEND)
    try:
        assert os.write(fd, b"first") == 5
        os.truncate(big, SIZE)
        os.write(fd, b"second")
    except OSError as error:
        assert error.errno == errno.EFBIG
    finally:
        os.close(fd)
    assert big.stat().st_size == SIZE
    assert read_at(big, ODD + 5000, 5) == b"first"
    assert read_at(big, ODD + LENGTH, SIZE) == bytes(SIZE - ODD - LENGTH)


def test_only_a_window_to_the_end_moves_the_end(mounted, big):
    for length, wrong in ((LENGTH, None), (LENGTH - 1, "EPERM"), (0, "EPERM"),
                          (LENGTH + 1, "EFBIG"), (mmapfs.TIB, "EFBIG")):
        assert errno_of(os.truncate, mounted / "odd", length) == wrong, length
    assert errno_of(open, mounted / "odd", "wb") == "EPERM"
    assert errno_of(os.open, mounted / "odd", os.O_RDONLY | os.O_TRUNC) == "EPERM"
    assert big.stat().st_size == SIZE
    os.truncate(mounted / "tail", 1000)
    assert big.stat().st_size == 7 * MIB + 1000
    assert (mounted / "tail").stat().st_size == 1000
    os.truncate(mounted / "tail", 5000)
    assert read_at(big, 7 * MIB + 1000, 5000) == bytes(4000)
    with open(mounted / "tail", "wb") as file:
        file.write(b"new")
    assert big.stat().st_size == 7 * MIB + 3
    with open(mounted / "whole", "r+b") as file:
        os.ftruncate(file.fileno(), SIZE)
    assert big.stat().st_size == SIZE


def test_what_is_only_to_be_read_is_not_written(mounted, big):
    """Not even by root, whom permissions do not stop."""
    path = mounted / "readable"
    assert path.stat().st_mode & 0o222 == 0
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        assert errno_of(os.open, path, flags) == "EACCES"
    assert errno_of(os.truncate, path, 0) == "EACCES"
    assert errno_of(mmapfs.setattr, path, "advise", "populate-write") == "EACCES"
    assert path.read_bytes() == read_at(big, AT, 64 * KIB)


def test_holes_are_punched_in_the_window_alone(mounted, big):
    model = bytearray(big.read_bytes())
    punch = 3
    mmapfs.fallocate(mounted / "odd", punch, 5000, 20000)
    model[ODD + 5000:ODD + 25000] = bytes(20000)
    mmapfs.fallocate(mounted / "odd", punch, LENGTH - 10, mmapfs.GIB)
    model[ODD + LENGTH - 10:ODD + LENGTH] = bytes(10)
    mmapfs.fallocate(mounted / "odd", 0, 0, LENGTH)
    assert errno_of(mmapfs.fallocate, mounted / "odd", 0, 0, LENGTH + 1) == "EFBIG"
    assert big.read_bytes() == model


def test_data_and_holes_are_found(source, mount):
    with open(source / "sparse", "wb") as file:
        os.pwrite(file.fileno(), b"x" * KIB, MIB)
        os.ftruncate(file.fileno(), 8 * MIB)
    (source / "table").write_text("w sparse 512K 1M read\nhole sparse 2M 1M read\n")
    mounted = mount(source / "table")
    with open(mounted / "w", "rb") as file, open(mounted / "hole", "rb") as hole:
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 512 * KIB
        found = os.lseek(file.fileno(), 512 * KIB, os.SEEK_HOLE)
        assert 513 * KIB <= found < MIB
        assert errno_of(os.lseek, file.fileno(), MIB, os.SEEK_DATA) == "ENXIO"
        assert errno_of(os.lseek, hole.fileno(), 0, os.SEEK_DATA) == "ENXIO"
        assert os.lseek(hole.fileno(), 0, os.SEEK_HOLE) == 0


def test_copying_into_and_out_of_windows(mounted, big, base):
    subprocess.run(["cp", mounted / "odd", base / "copy"], check=True)
    assert (base / "copy").read_bytes() == part(big, "odd")
    subprocess.run(["dd", f"if={base / 'copy'}", f"of={mounted / 'over'}", "bs=64K",
                    "conv=notrunc", "status=none"], check=True)
    assert part(big, "over") == (base / "copy").read_bytes() == (mounted / "over").read_bytes()
    subprocess.run(["cp", base / "copy", mounted / "memory"], check=True)
    assert (mounted / "memory").read_bytes() == (base / "copy").read_bytes()
    # From window to window of one file: what copy_file_range(2) would refuse to overlap.
    with open(mounted / "aligned", "rb") as old, open(mounted / "memory", "r+b") as new:
        os.copy_file_range(old.fileno(), new.fileno(), 1000, 0, 7)
    assert read_at(mounted / "memory", 7, 1000) == part(big, "aligned", 1000)


# ---- the source changes ----------------------------------------------------------------


def test_changes_of_the_source_are_read_at_once(mounted, big):
    with open(mounted / "odd", "rb", buffering=0) as reader:
        for i in range(50):
            data = b"%05d" % i
            write_at(big, ODD + 4090, data)
            assert os.pread(reader.fileno(), 5, 4090) == data


def test_a_window_ends_where_a_source_that_shrank_does(mounted, big):
    """No signal in the daemon, no bytes that are not there; and it grows back to its row."""
    with open(mounted / "odd", "r+b", buffering=0) as file:
        assert os.pread(file.fileno(), 10, 100) == read_at(big, ODD + 100, 10)
        os.truncate(big, ODD + 5000)
        assert os.pread(file.fileno(), 10000, 4000) == read_at(big, ODD + 4000, 1000)
        assert os.pread(file.fileno(), 10, 5000) == b""
        assert mmapfs.stat(mounted / "odd")["size"] == 5000
        assert os.fstat(file.fileno()).st_size == 5000
        os.truncate(big, 100)
        assert os.pread(file.fileno(), 10, 0) == b""
        assert mmapfs.number(mounted / "odd", "pages") == 0
        # What is written within the window is as if written to the source there.
        assert os.pwrite(file.fileno(), b"back", LENGTH - 2) == 2
    assert big.stat().st_size == ODD + LENGTH
    assert read_at(mounted / "odd", LENGTH - 4, 10) == b"\0\0ba"
    with open(big, "ab") as file:
        file.write(b"more")
    assert (mounted / "odd").stat().st_size == LENGTH


# ---- attributes ------------------------------------------------------------------------


def test_owner_mode_times_and_attributes_are_the_source_s(mounted, big):
    before = big.stat()
    path = mounted / "odd"
    calls = {
        "chmod": lambda: os.chmod(path, 0o600),
        "chown": lambda: os.chown(path, 1, 1),
        "utime": lambda: os.utime(path, (1, 1)),
        "touch": lambda: os.utime(path),
        "setxattr": lambda: os.setxattr(path, "user.other", b"x"),
        "removexattr": lambda: os.removexattr(path, "user.other"),
        "chmod of the root": lambda: os.chmod(mounted.point, 0o700),
    }
    for name, call in calls.items():
        assert errno_of(call) == "EPERM", name
    os.setxattr(big, "user.other", b"the source's")
    assert os.getxattr(path, "user.other") == b"the source's"
    assert os.listxattr(path) == ["user.other"]
    assert big.stat().st_mtime_ns == before.st_mtime_ns
    os.chmod(big, 0o4751)
    os.chown(big, 5, 6)
    mmapfs.wait_until(lambda: path.stat().st_mode & 0o7777 == 0o640, what="the new mode")
    assert (path.stat().st_uid, path.stat().st_gid) == (5, 6)


def test_figures_are_those_of_the_window(mounted, big):
    """Against mincore(2) on the source at the same place."""
    begin = ODD - ODD % PAGE
    end = -(-(ODD + LENGTH) // PAGE) * PAGE
    with mmapfs.hold(big, offset=begin + 5 * PAGE, length=20 * PAGE, readahead=False):
        with mmapfs.mapped(big, offset=begin, length=end - begin) as witness:
            fields = mmapfs.stat(mounted / "odd")
            resident = witness.resident()
        assert fields["size"] == LENGTH
        assert fields["pages"] == (end - begin) // PAGE == LENGTH // PAGE + 1
        assert 20 <= fields["resident"] <= fields["pages"]
        assert mmapfs.number(mounted / "odd", f"resident@{5 * PAGE}+{19 * PAGE}") == 20
        runs = mmapfs.ranges(mounted / "odd", f"@{5 * PAGE}+{19 * PAGE}")
        assert runs == [(5 * PAGE - 17, 20 * PAGE)]
        assert resident >= 20
    assert mmapfs.stat(mounted / "aligned")["pages"] == LENGTH // PAGE


def test_controls_act_on_the_window_alone(mounted, big):
    pages = LENGTH // PAGE
    os.sync()
    mmapfs.setattr(mounted / "whole", "evict", "sync")
    with mmapfs.mapped(big, offset=AT, length=LENGTH) as inside, \
            mmapfs.mapped(big, offset=5 * MIB, length=MIB) as outside:
        assert mmapfs.warm(mounted / "aligned").split() == ["done", f"{LENGTH}/{LENGTH}"]
        inside.populate()
        assert inside.resident() == pages
        assert outside.resident() == 0
    with mmapfs.hold(big, offset=5 * MIB, length=MIB) as outside:
        mmapfs.setattr(mounted / "aligned", "evict", "sync")
        assert mmapfs.getattr(mounted / "aligned", "evict").startswith("before=")
        assert "after=0" in mmapfs.getattr(mounted / "aligned", "evict")
        assert outside.resident() == MIB // PAGE


def test_evict_drops_what_the_daemon_has_mapped_for_another_window(mounted, big):
    with open(mounted / "over", "rb", buffering=0) as other:
        os.pread(other.fileno(), LENGTH, 0)
        mmapfs.setattr(mounted / "aligned", "evict", "sync")
        assert "mapped" not in mmapfs.getattr(mounted / "aligned", "evict")
        os.pread(other.fileno(), LENGTH, 0)
        mmapfs.setattr(mounted / "whole", "evict", "sync")
        assert "after=0" in mmapfs.getattr(mounted / "whole", "evict")
        assert mmapfs.fincore(big) == 0


def test_locks_hold_the_window_s_pages(mounted, big):
    mmapfs.setattr(mounted / "odd", "lock", "on 4079+8K")
    assert mmapfs.getattr(mounted / "odd", "lock") == "4079+8192"
    with mmapfs.mapped(big, offset=ODD - 17 + PAGE, length=2 * PAGE) as held:
        for _ in range(5):
            mmapfs.evict_by_hand(big)
            assert held.resident() == 2
    mmapfs.setattr(mounted / "odd", "evict")
    assert "locked=2" in mmapfs.getattr(mounted / "odd", "evict")
    assert mmapfs.number(mounted.point, "locked") == 2
    assert errno_of(mmapfs.setattr, mounted / "odd", "sync", "invalidate") == "EBUSY"
    mmapfs.setattr(mounted / "odd", "lock", "off")
    assert mmapfs.number(mounted / "odd", "locked") == 0


def test_advice_and_lock_of_a_row_hold_from_the_beginning(source, big, mount):
    (source / "table").write_text("a data/big 1052672 64K write random lock\n"
                                  "b data/big 0 64K read sequential\n")
    mounted = mount(source / "table", "allow_other,lock_limit=64K")
    assert mmapfs.getattr(mounted / "a", "advise") == "random"
    assert mmapfs.getattr(mounted / "b", "advise") == "sequential"
    assert mmapfs.getattr(mounted / "a", "lock") == "0+65536"
    mmapfs.evict_by_hand(big)
    with mmapfs.mapped(big, offset=AT, length=64 * KIB) as held:
        assert held.resident() == 16
    assert errno_of(mmapfs.setattr, mounted / "b", "lock", "on") == "ENOMEM"


def test_controls_of_the_root_are_for_all_rows(mounted):
    fields = mmapfs.stat(mounted.point)
    rows = [mmapfs.stat(mounted / name) for name in os.listdir(mounted.point)]
    assert fields["files"] == len(rows)
    assert fields["size"] == sum(row["size"] for row in rows)
    assert fields["pages"] == sum(row["pages"] for row in rows)
    mmapfs.setattr(mounted.point, "sync", "sync")
    mmapfs.warm(mounted.point)
    assert mmapfs.getattr(mounted.point, "warm").startswith("done")
    mmapfs.setattr(mounted.point, "evict", "sync")
    mmapfs.wait_until(lambda: mmapfs.getattr(mounted.point, "evict").startswith("done"),
                      what="the evict of all rows")


# ---- users -----------------------------------------------------------------------------


def test_permissions_are_those_of_the_source(mounted, big, table):
    user = mmapfs.NOBODY
    os.chown(big, 5, 6)
    os.chmod(big, 0o640)
    (mounted / "odd").stat()
    mmapfs.wait_until(lambda: errno_of(lambda: run_as(user, (mounted / "odd").read_bytes))
                      == "EACCES", what="the new mode")
    assert run_as(user, (mounted / "odd").read_bytes, groups=[6]) == part(big, "odd")
    assert errno_of(lambda: run_as(user, lambda: write_at(mounted / "odd", 0, b"x"),
                                   groups=[6])) == "EACCES"
    run_as(5, lambda: write_at(mounted / "odd", 0, b"owner") and None)
    assert read_at(big, ODD, 5) == b"owner"
    assert run_as(user, lambda: mmapfs.stat(mounted.point))["unknown_files"] >= 5
    assert errno_of(lambda: run_as(user, lambda: write_at(mounted / "memory", 0, b"x"))) \
        == "EACCES"


def test_an_acl_of_the_source_counts(source, big, mount):
    """Its mask shows as the group's permissions, which the group need not have."""
    (source / "table").write_text("w data/big 0 64K write\nr data/big 0 64K read\n")
    subprocess.run(["setfacl", "-m", "u:5:rw,g::-", big], check=True)
    mounted = mount(source / "table")
    run_as(5, lambda: write_at(mounted / "w", 0, b"x") and None)
    assert errno_of(lambda: run_as(5, lambda: write_at(mounted / "r", 0, b"x"))) == "EACCES"
    assert errno_of(lambda: run_as(7, lambda: write_at(mounted / "w", 0, b"x"),
                                   groups=[big.stat().st_gid])) == "EACCES"


def test_who_may_not_read_the_table_sees_nothing_of_it(table, mount):
    os.chmod(table, 0o600)
    mounted = mount(table)
    assert errno_of(lambda: run_as(mmapfs.NOBODY, lambda: os.listdir(mounted.point))) == "EACCES"
    assert errno_of(lambda: run_as(mmapfs.NOBODY, (mounted / "odd").read_bytes)) == "EACCES"


@pytest.fixture
def users_table(base, source, table, big):
    """All of it of an ordinary user, and a /dev/fuse that they can use."""
    if not shutil.which("fusermount3") or \
            not os.stat(shutil.which("fusermount3")).st_mode & stat.S_ISUID:
        pytest.skip("there is no fusermount3 that is setuid root")
    mode = os.stat("/dev/fuse").st_mode
    os.chmod("/dev/fuse", 0o666)
    for path in (base, source, source / "data", table, big, source / "data" / "a b"):
        os.chown(path, mmapfs.NOBODY, mmapfs.NOBODY)
    yield table
    os.chmod("/dev/fuse", mode & 0o7777)


def test_a_mount_by_an_ordinary_user_is_no_different(users_table, big, mount):
    mounted = mount(users_table, "", uid=mmapfs.NOBODY)

    def work():
        for name in WINDOWS:
            assert (mounted / name).read_bytes() == part(big, name)
        write_at(mounted / "odd", 100, b"by the user")
        assert errno_of(write_at, mounted / "odd", LENGTH, b"x") == "EFBIG"
        mmapfs.setattr(mounted / "odd", "lock", "on 0+8K")
        assert mmapfs.number(mounted / "odd", "locked") == 3
        with mmapfs.mapped(mounted / "memory", write=True) as one, \
                mmapfs.mapped(mounted / "memory") as two:
            one.write(5000, b"shared")
            assert two.read(5000, 6) == b"shared"
            assert read_at(mounted / "memory", 5000, 6) == b"shared"
        with mmapfs.mapped(mounted / "aligned", write=True) as mapping:
            mapping.write(5, b"stored")
            write_at(mounted / "over", 5, b"written")
            mapping.sync()
            assert mapping.read(OVER - AT + 5, 7) == b"written"

    run_as(mmapfs.NOBODY, work)
    assert read_at(big, ODD + 100, 11) == b"by the user"
    assert read_at(big, AT + 5, 6) == b"stored"


def test_a_user_cannot_mount_what_they_may_not_read_or_write(users_table, big, base):
    point = base / "point"
    point.mkdir()
    os.chown(point, mmapfs.NOBODY, mmapfs.NOBODY)
    os.chown(big, 0, 0)
    for mode in (0o600, 0o644):
        os.chmod(big, mode)
        result = mmapfs.run_daemon(users_table, point, "-f", user=mmapfs.NOBODY,
                                   group=mmapfs.NOBODY, extra_groups=[])
        assert result.returncode == 1
        assert result.stderr == f"mmapfs: {users_table}:3:11: source 'data/big': Permission denied\n"


# ---- starting --------------------------------------------------------------------------


@pytest.mark.parametrize("text, where, why", [
    ("a data/big 0 1 read\na data/big 0 1 read\n", "2:1", "name 'a': is in line 1 already"),
    ("a\n", "1:2", "the source is missing"),
    ("a none 0 1 read\n", "1:3", "source 'none': No such file or directory"),
    ("a data/big 9M 1 read\n", "1:12", "offset '9M': the source ends at 8388608"),
    ("a data/big 0 9M read\n", "1:14", "length '9M': the source ends at 8388608"),
    ("a data/big 0 8M read lock\n", "1:22",
     "word 'lock': the limit for locks would be passed"),
])
def test_what_is_wrong_with_a_table_is_one_line(source, big, base, text, where, why):
    table = source / "table"
    table.write_text(text)
    point = base / "point"
    point.mkdir()
    for options in (["-f"], []):
        result = mmapfs.run_daemon(table, point, "-o", "lock_limit=1M", *options)
        assert result.returncode == 1
        assert result.stderr == f"mmapfs: {table}:{where}: {why}\n"
        assert mmapfs.mount_type(point) is None


def test_what_is_no_table_is_refused_and_not_waited_for(base):
    point = base / "point"
    point.mkdir()
    os.mkfifo(base / "fifo")
    (base / "binary").write_bytes(b"a b 0 1 read\n\0\n")
    (base / "large").write_bytes(b"\n" * (8 * MIB + 1))
    for name, why in (("fifo", "cannot mount the source '{}': neither a directory nor a region table"),
                      ("binary", "{}:2:1: a NUL byte"),
                      ("large", "cannot mount the source '{}': more than 8 MiB of text")):
        result = mmapfs.run_daemon(base / name, point, "-f")
        assert result.returncode == 1
        assert result.stderr == f"mmapfs: {why.format(base / name)}\n"


HELPER = pathlib.Path("/usr/local/bin/mmapfs")


@pytest.fixture
def helper():
    """mount(8) looks for mmapfs in a fixed PATH: be there while the test runs."""
    saved = HELPER.with_name("mmapfs.test-saved")
    if HELPER.exists() and not HELPER.is_symlink():
        HELPER.rename(saved)
    HELPER.unlink(missing_ok=True)
    HELPER.symlink_to(mmapfs.DAEMON)
    yield
    HELPER.unlink()
    if saved.exists():
        saved.rename(HELPER)


def test_mount_and_fstab_take_a_file_as_the_source(table, big, base, helper):
    if not shutil.which("mount.fuse"):
        pytest.skip("there is no mount.fuse")
    point = base / "point"
    point.mkdir()
    (base / "fstab").write_text(f"{table} {point} fuse.mmapfs allow_other,nofail 0 0\n")
    for arguments in (["-t", "fuse.mmapfs", table, point], ["--fstab", base / "fstab", point]):
        subprocess.run(["mount", *map(str, arguments)], check=True, timeout=mmapfs.DEADLINE)
        try:
            assert mmapfs.mount_type(point) == "fuse.mmapfs"
            assert (point / "odd").read_bytes() == part(big, "odd")
        finally:
            subprocess.run(["umount", point], check=True)


def test_a_killed_daemon_loses_nothing_that_was_written(table, big, mount):
    mounted = mount(table)
    with open(mounted / "odd", "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"written", 50)
        mounted.kill()
        assert errno_of(os.pread, file.fileno(), 1, 0) == errno.errorcode[errno.ENOTCONN]
    assert read_at(big, ODD + 50, 7) == b"written"
