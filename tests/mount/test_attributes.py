# SPDX-License-Identifier: MIT
"""The control attributes: what they report agrees with independent witnesses on the source,
what they do is seen there, and what they refuse is refused with the promised errno."""

import contextlib
import ctypes
import os
import subprocess

import pytest

import mmapfs
from mmapfs import errno_of, getattr, number, setattr, stat

LENGTH = 8 * mmapfs.MIB
PAGES = LENGTH // mmapfs.PAGE
COUNTS = ("pages", "resident", "dirty", "writeback", "evicted", "locked")
NAMES = COUNTS + ("stat", "ranges", "map", "advise", "sync", "warm", "evict", "lock",
                  "version", "help")


@pytest.fixture
def file(source):
    """A clean file on the source; its path there."""
    return mmapfs.fill(source / "f", LENGTH)


# ---- reading ---------------------------------------------------------------------------


def test_stat_has_every_field(file, mounted, data_path):
    with mmapfs.hold(file), open(mounted / "f", "rb"):
        fields = stat(mounted / "f")
    assert list(fields)[:13] == [
        "size", "pages", "page_size", "resident", "occupied", "dirty", "writeback",
        "evicted", "locked", "advice", "data_path", "method", "confidence"]
    assert fields["size"] == LENGTH
    assert fields["pages"] == fields["resident"] == PAGES
    assert fields["page_size"] == mmapfs.PAGE
    assert fields["dirty"] == fields["writeback"] == fields["locked"] == 0
    assert fields["advice"] == "normal"
    assert fields["data_path"] == data_path
    assert fields["confidence"] == "exact"


def test_only_lists_end_with_a_newline(file, mounted):
    """design 6: values are text without a newline at the end, except stat and ranges."""
    with mmapfs.hold(file):
        for name in ("stat", "ranges"):
            assert getattr(mounted / "f", name).endswith("\n"), name
        for name in ("resident", "map", "advise", "warm", "evict", "version"):
            assert not getattr(mounted / "f", name).endswith("\n"), name


def test_stat_agrees_with_every_witness(file, mounted):
    with mmapfs.hold(file):
        ours = stat(mounted / "f")["resident"]
        assert ours == mmapfs.fincore(file) == mmapfs.vmtouch(file)[0]
        assert ours == mmapfs.cachestat(file)[0] == mmapfs.resident_by_hand(file) == PAGES


def listed_pages(path, count, suffix=""):
    """user.mmapfs.ranges as one bool for each page."""
    listed = [False] * count
    for offset, length in mmapfs.ranges(path, suffix):
        for page in range(offset // mmapfs.PAGE, (offset + length) // mmapfs.PAGE):
            listed[page] = True
    return listed


def test_part_of_a_file_agrees_with_every_witness(file, mounted):
    mmapfs.evict_by_hand(file)
    with mmapfs.mapped(file) as whole, \
            mmapfs.hold(file, length=mmapfs.MIB, offset=mmapfs.MIB, readahead=False), \
            mmapfs.hold(file, length=mmapfs.PAGE, offset=5 * mmapfs.MIB, readahead=False):

        def agrees():
            """Large folios may bring neighbours; those, unmapped, may go at any time."""
            before = whole.mincore()
            count = number(mounted / "f", "resident")
            listed = listed_pages(mounted / "f", PAGES)
            return before == whole.mincore() and (before, count, listed)

        expected, count, listed = mmapfs.wait_until(agrees, what="a quiet moment")
    assert listed == expected
    assert count == sum(expected)
    assert 257 <= count < PAGES


def test_resident_equals_mincore_on_a_mapping_of_the_mount(file, mounted):
    with mmapfs.hold(mounted / "f") as mapping:
        assert mapping.resident() == PAGES == number(mounted / "f", "resident")
        assert number(mounted / "f", "resident@1M+1M") == mmapfs.MIB // mmapfs.PAGE


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_one_decimal_number(name, file, mounted):
    with mmapfs.hold(file):
        assert getattr(mounted / "f", name) == str(
            {"pages": PAGES, "resident": PAGES}.get(name, 0))


@pytest.mark.parametrize("span, expected", [
    ("@0", 1), ("@0+1", 1), ("@4096+4096", 1), ("@1M+64K", 16), ("@7M-", 256),
    ("@4095+2", 2), ("@8M-", 0), ("@1G+1G", 0), ("@0-", PAGES)])
def test_ranges_are_widened_to_pages_and_cut_at_the_end(span, expected, file, mounted):
    with mmapfs.hold(file):
        assert number(mounted / "f", "resident" + span) == expected
        assert number(mounted / "f", "pages" + span) == expected


def test_ranges_of_a_held_file_are_one_run(file, mounted):
    with mmapfs.hold(file):
        assert getattr(mounted / "f", "ranges") .strip() == f"0+{LENGTH}"
        assert mmapfs.ranges(mounted / "f", "@1M+1M") == [(mmapfs.MIB, mmapfs.MIB)]


def test_map_is_a_picture_of_64_cells(file, mounted):
    with mmapfs.hold(file):
        full = getattr(mounted / "f", "map")
    setattr(mounted / "f", "evict")
    empty = getattr(mounted / "f", "map")
    assert len(full) == len(empty) == 64
    assert len(set(full)) == len(set(empty)) == 1
    assert set(full) != set(empty)


def test_empty_file_has_no_pages(source, mounted):
    (source / "empty").write_bytes(b"")
    fields = stat(mounted / "empty")
    assert fields["size"] == fields["pages"] == fields["resident"] == 0
    assert getattr(mounted / "empty", "ranges") == ""


def test_summary_and_help_can_be_read(file, mounted):
    with mmapfs.hold(file):
        assert str(PAGES) in getattr(mounted / "f", "")
    helped = getattr(mounted / "f", "help")
    for name in NAMES:
        assert name in helped


def test_version_is_that_of_the_program(mounted):
    program = subprocess.run([mmapfs.DAEMON, "--version"], capture_output=True, text=True,
                             check=True).stdout
    assert getattr(mounted.point, "version") in program


# ---- doing -----------------------------------------------------------------------------


def test_evict_empties_both_sides(file, mounted):
    with mmapfs.hold(file):
        assert number(mounted / "f", "resident") == PAGES
    setattr(mounted / "f", "evict")
    assert number(mounted / "f", "resident") == 0
    assert mmapfs.fincore(file) == mmapfs.cachestat(file)[0] == 0
    assert "after" in getattr(mounted / "f", "evict")


def test_evict_after_reading_through_the_mount_reads_from_disk_again(file, mounted):
    data = (mounted / "f").read_bytes()
    setattr(mounted / "f", "evict")
    assert mmapfs.fincore(file) == 0, getattr(mounted / "f", "evict")
    file.write_bytes(data[::-1])
    assert (mounted / "f").read_bytes() == data[::-1]


def test_evict_says_why_pages_stayed(file, mounted):
    with mmapfs.hold(file):
        setattr(mounted / "f", "evict")
        assert number(mounted / "f", "resident") == PAGES
        assert "mapped" in getattr(mounted / "f", "evict")


def test_evict_of_a_range_leaves_the_rest(file, mounted):
    with mmapfs.hold(file, length=4 * mmapfs.MIB) as held:
        setattr(mounted / "f", "evict", "4M-")
        assert number(mounted / "f", "resident@4M-") == 0
        assert held.resident() == 4 * mmapfs.MIB // mmapfs.PAGE


def test_warm_reads_all_of_it(file, mounted):
    setattr(mounted / "f", "evict")
    with mmapfs.mapped(file) as mapping:
        done = mmapfs.warm(mounted / "f")
        assert mapping.resident() == PAGES == number(mounted / "f", "resident")
    assert done.split() == ["done", f"{LENGTH}/{LENGTH}"]


def test_warm_of_a_range_reads_that_range(file, mounted):
    setattr(mounted / "f", "evict")
    mmapfs.warm(mounted / "f", "2M+1M")
    assert number(mounted / "f", "resident@2M+1M") == mmapfs.MIB // mmapfs.PAGE


def test_warm_creates_no_pages_for_holes(source, mounted):
    with open(source / "holes", "wb") as file:
        file.truncate(64 * mmapfs.MIB)
        file.seek(32 * mmapfs.MIB)
        file.write(b"d" * mmapfs.MIB)
        file.flush()
        os.fsync(file.fileno())
    setattr(mounted / "holes", "evict")
    mmapfs.warm(mounted / "holes")
    assert number(mounted / "holes", "resident@32M+1M") == mmapfs.MIB // mmapfs.PAGE
    assert number(mounted / "holes", "resident@0+16M") == 0
    assert (source / "holes").stat().st_blocks * 512 <= 2 * mmapfs.MIB


def test_lock_survives_another_process_dropping_the_file(file, mounted):
    setattr(mounted / "f", "lock", "on")
    assert getattr(mounted / "f", "lock").strip() == f"0+{LENGTH}"
    assert number(mounted / "f", "locked") == PAGES

    def drop():
        mmapfs.evict_by_hand(file, sync=False)

    mmapfs.run_as(mmapfs.NOBODY, drop)
    assert number(mounted / "f", "resident") == mmapfs.fincore(file) == PAGES
    setattr(mounted / "f", "lock", "off")
    assert getattr(mounted / "f", "lock") == ""
    assert number(mounted / "f", "locked") == 0
    setattr(mounted / "f", "evict")
    assert mmapfs.fincore(file) == 0


def test_lock_of_ranges(file, mounted):
    setattr(mounted / "f", "lock", "on 1M+1M")
    setattr(mounted / "f", "lock", "on 4M+2M")
    assert getattr(mounted / "f", "lock").split() == ["1048576+1048576", "4194304+2097152"]
    assert number(mounted / "f", "locked") == 3 * mmapfs.MIB // mmapfs.PAGE
    assert number(mounted / "f", "locked@1M+2M") == mmapfs.MIB // mmapfs.PAGE
    setattr(mounted / "f", "lock", "off 4M+1M")
    assert getattr(mounted / "f", "lock").split() == ["1048576+1048576", "5242880+1048576"]


def test_lock_over_the_limit_is_refused_before_anything_is_locked(file, mount, source):
    mounted = mount(source, "allow_other,lock_limit=1M")
    assert errno_of(setattr, mounted / "f", "lock", "on") == "ENOMEM"
    assert number(mounted / "f", "locked") == 0
    setattr(mounted / "f", "lock", "on 0+1M")
    assert errno_of(setattr, mounted / "f", "lock", "on 1M+4K") == "ENOMEM"
    setattr(mounted / "f", "lock", "on 0+1M")
    assert number(mounted / "f", "locked") == mmapfs.MIB // mmapfs.PAGE


def test_locks_end_with_the_mount(file, mount, source):
    before = mmapfs.meminfo_kib("Mlocked")
    mounted = mount(source)
    setattr(mounted / "f", "lock", "on")
    mounted.unmount()
    mmapfs.wait_until(lambda: mmapfs.meminfo_kib("Mlocked") <= before, what="unlocking")


def test_dirty_pages_are_shown_and_gone_after_sync(mounted, source):
    with open(mounted / "f", "wb") as file:
        file.write(b"d" * mmapfs.MIB)
    with mmapfs.hold(source / "f"):
        fields = stat(mounted / "f")
        cached, dirty, writeback, _, _ = mmapfs.cachestat(source / "f")
        assert cached == 256
        # The kernel may begin to write at any moment: in flight counts too.
        assert fields["dirty"] + fields["writeback"] > 0 or dirty + writeback == 0
        setattr(mounted / "f", "sync", "sync")
        assert number(mounted / "f", "dirty") == 0
        assert mmapfs.cachestat(source / "f")[1] == 0


@pytest.mark.parametrize("value", ["sync", "async", "invalidate", "sync 0+4K",
                                   "async 1M-"])
def test_sync_takes_its_words(value, file, mounted):
    setattr(mounted / "f", "sync", value)


def test_advice_is_read_back(file, mounted):
    assert getattr(mounted / "f", "advise") == "normal"
    setattr(mounted / "f", "advise", "random")
    assert getattr(mounted / "f", "advise") == "random"
    assert stat(mounted / "f")["advice"] == "random"
    setattr(mounted / "f", "advise", "MADV_SEQUENTIAL")
    assert getattr(mounted / "f", "advise") == "sequential"
    setattr(mounted / "f", "advise", "normal")
    assert getattr(mounted / "f", "advise") == "normal"


def test_advice_that_acts_does(file, mounted):
    setattr(mounted / "f", "evict")
    setattr(mounted / "f", "advise", "populate-read 0+1M")
    assert number(mounted / "f", "resident@0+1M") == mmapfs.MIB // mmapfs.PAGE
    assert getattr(mounted / "f", "advise") == "normal"


def test_advice_that_destroys_is_refused(file, mounted):
    before = file.read_bytes()
    for word in ("remove", "free", "remove 0+4K", "MADV_REMOVE"):
        assert errno_of(setattr, mounted / "f", "advise", word) in ("EPERM", "EINVAL")
    assert file.read_bytes() == before


def test_controls_change_nothing_of_the_file(file, mounted):
    before, data = file.stat(), file.read_bytes()
    for name, value in [("advise", "random"), ("warm", ""), ("lock", "on"),
                        ("lock", "off"), ("evict", ""), ("sync", "sync")]:
        setattr(mounted / "f", name, value)
    after = file.stat()
    assert file.read_bytes() == data
    assert (after.st_size, after.st_mtime_ns, after.st_ctime_ns, after.st_blocks) == (
        before.st_size, before.st_mtime_ns, before.st_ctime_ns, before.st_blocks)


# ---- directories -----------------------------------------------------------------------


@pytest.fixture
def grove(source):
    """Three files of one MiB at three depths, and what is not a file."""
    (source / "t" / "a" / "b").mkdir(parents=True)
    files = [source / "t" / "1", source / "t" / "a" / "2", source / "t" / "a" / "b" / "3"]
    for file in files:
        mmapfs.fill(file, mmapfs.MIB)
    os.symlink("/etc/passwd", source / "t" / "link")
    os.mkfifo(source / "t" / "fifo")
    return files


def test_directory_sums_the_tree_below(grove, mounted):
    with mmapfs.hold(grove[0]), mmapfs.hold(grove[1]), mmapfs.hold(grove[2]):
        fields = stat(mounted / "t")
        assert number(mounted / "t", "resident") == fields["resident"]
    assert fields["files"] == 3
    assert fields["unknown_files"] == 0
    assert fields["size"] == 3 * mmapfs.MIB
    assert fields["pages"] == fields["resident"] == 3 * 256
    assert fields["dirty"] == fields["locked"] == 0


def test_directory_counts_a_hard_link_as_often_as_du_does(grove, source, mounted):
    os.link(grove[0], source / "t" / "a" / "again")
    assert stat(mounted / "t")["size"] in (3 * mmapfs.MIB, 4 * mmapfs.MIB)


def test_directory_controls_reach_every_file_below(grove, mounted):
    setattr(mounted / "t", "evict")
    mmapfs.wait_until(lambda: number(mounted / "t", "resident") == 0, what="tree evict")
    assert [mmapfs.fincore(file) for file in grove] == [0, 0, 0]
    maps = [mmapfs.Mapping(file) for file in grove]
    mmapfs.warm(mounted / "t")
    assert [one.resident() for one in maps] == [256, 256, 256]
    for one in maps:
        one.close()
    setattr(mounted / "t", "sync", "sync")


def test_advice_on_a_directory_is_that_of_the_files_below(grove, mounted):
    setattr(mounted / "t", "advise", "random")
    assert getattr(mounted / "t" / "a" / "2", "advise") == "random"


@pytest.mark.parametrize("name", ["ranges", "map", "lock"])
def test_directories_have_no_names_of_files(name, mounted):
    assert errno_of(getattr, mounted.point, name) == "ENODATA"
    assert errno_of(setattr, mounted.point, name, "on") == "EOPNOTSUPP"


def test_mount_root_is_a_directory_like_any(grove, mounted):
    assert stat(mounted.point)["files"] == 3


# ---- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize("name, expected", [
    ("nothing", "ENODATA"), ("nothing@0+1", "ENODATA"), ("Stat", "ENODATA"),
    ("stat ", "ENODATA"), (".", "ENODATA"), ("resident.", "ENODATA"), ("sync", "ENODATA"),
    ("resident@x", "EINVAL"), ("resident@5+", "EINVAL"), ("resident@0+0", "EINVAL"),
    ("resident@-1", "EINVAL"), ("stat@1M+1X", "EINVAL"), ("ranges@ 0", "EINVAL"),
    ("lock@0+4K", "EINVAL"), ("warm@0+4K", "EINVAL"), ("version@0", "EINVAL")])
def test_unknown_names_and_bad_ranges_cannot_be_read(name, expected, file, mounted):
    assert errno_of(getattr, mounted / "f", name) == expected


@pytest.mark.parametrize("name", ["nothing", "stat", "resident", "pages", "ranges", "map",
                                  "version", "help", "resident@0+4K", "locked", "Lock"])
def test_names_that_only_report_or_are_unknown_cannot_be_set(name, file, mounted):
    assert errno_of(setattr, mounted / "f", name, "1") == "EOPNOTSUPP"


def test_the_summary_cannot_be_set(file, mounted):
    assert errno_of(os.setxattr, mounted / "f", "user.mmapfs", b"1") == "EOPNOTSUPP"


@pytest.mark.parametrize("name, value", [
    ("lock", ""), ("lock", "yes"), ("lock", "on on"), ("lock", "on x"), ("lock", "ON 5+"),
    ("sync", ""), ("sync", "now"), ("sync", "sync x"), ("sync", "sync 0+4K more"),
    ("warm", "x"), ("warm", "1+"), ("warm", "0+0"), ("warm", "-1"), ("warm", "1M+1X"),
    ("evict", "all"), ("evict", "9e"), ("advise", ""), ("advise", "quickly"),
    ("advise", "random x"), ("advise", "populate_read 5+"), ("evict", "0+4K\0x"),
    ("warm", "99999999999999999999")])
def test_bad_values_are_einval(name, value, file, mounted):
    assert errno_of(setattr, mounted / "f", name, value) in ("EINVAL", "ERANGE")
    assert getattr(mounted / "f", "advise") == "normal"
    assert number(mounted / "f", "locked") == 0


def test_a_trailing_newline_is_forgiven(file, mounted):
    setattr(mounted / "f", "lock", "on 0+4K\n")
    assert number(mounted / "f", "locked") == 1


def test_removing_a_control_is_refused(file, mounted):
    for name in ("user.mmapfs.lock", "user.mmapfs.stat", "user.mmapfs.nothing",
                 "user.mmapfs"):
        assert errno_of(os.removexattr, mounted / "f", name) == "EOPNOTSUPP"


def getxattr(path, name, size):
    """The plain call: os.getxattr tries again with larger buffers."""
    buffer = ctypes.create_string_buffer(max(size, 1))
    got = mmapfs.check(mmapfs.libc.getxattr(os.fsencode(path), name.encode(),
                                            buffer if size else None, size))
    return got, buffer.raw[:got if size else 0].decode()


@pytest.mark.parametrize("name", ["stat", "ranges", "help"])
def test_a_short_buffer_is_erange(name, file, mounted):
    full = "user.mmapfs." + name
    mmapfs.evict_by_hand(file)
    with contextlib.ExitStack() as held:
        for page in range(0, 512, 64):
            held.enter_context(mmapfs.hold(file, length=mmapfs.PAGE, readahead=False,
                                           offset=page * mmapfs.PAGE))
        text = getattr(mounted / "f", name)
        assert "..." not in text.split("\n")[-1]
        assert errno_of(getxattr, mounted / "f", full, 8) == "ERANGE"
        assert getxattr(mounted / "f", full, 0)[0] >= len(text)
        assert getxattr(mounted / "f", full, 65536)[1].split() != []


def test_only_files_and_directories_have_them(source, mounted):
    os.mkfifo(source / "fifo")
    os.symlink("none", source / "link")
    assert errno_of(getattr, mounted / "fifo", "stat") in ("ENODATA", "EPERM")
    assert errno_of(lambda: os.getxattr(mounted / "link", "user.mmapfs.stat",
                                        follow_symlinks=False)) in ("ENODATA", "EPERM")


# ---- not to be copied ------------------------------------------------------------------


def test_no_name_of_ours_is_listed(file, mounted):
    os.setxattr(mounted / "f", "user.mine", b"1")
    assert os.listxattr(mounted / "f") == ["user.mine"]
    assert os.listxattr(mounted.point) == []


@pytest.mark.parametrize("options", ["allow_other", "allow_other,list_xattrs"])
def test_a_copy_back_and_forth_is_never_a_command(options, base, file, mount, source):
    mounted = mount(source, options)
    os.setxattr(mounted / "f", "user.mine", b"1")
    setattr(mounted / "f", "lock", "on 0+4K")
    setattr(mounted / "f", "advise", "random")
    copy = base / "copy"
    subprocess.run(["cp", "-a", mounted / "f", copy], check=True)
    names = os.listxattr(copy)
    assert "user.mine" in names
    assert not {"user.mmapfs." + name for name in
                ("lock", "advise", "warm", "evict", "sync")} & set(names)
    subprocess.run(["cp", "-a", copy, mounted / "back"], check=False, capture_output=True)
    assert (mounted / "back").read_bytes() == file.read_bytes()
    assert number(mounted / "back", "locked") == 0
    assert getattr(mounted / "back", "advise") == "normal"
    assert [name for name in os.listxattr(source / "back")
            if name.startswith("user.mmapfs")] == []


def test_list_xattrs_shows_only_names_that_report(file, mount, source):
    mounted = mount(source, "allow_other,list_xattrs")
    names = os.listxattr(mounted / "f")
    assert "user.mmapfs.stat" in names and "user.mmapfs.resident" in names
    for name in ("advise", "sync", "warm", "evict", "lock"):
        assert "user.mmapfs." + name not in names
    for name in names:
        os.getxattr(mounted / "f", name)


def test_a_real_attribute_of_that_name_on_the_source_is_hidden(file, mounted):
    os.setxattr(file, "user.mmapfs.stat", b"stale")
    os.setxattr(file, "user.mmapfs.nothing", b"stale")
    os.setxattr(file, "user.mmapfsish", b"not ours")
    assert os.listxattr(mounted / "f") == ["user.mmapfsish"]
    assert getattr(mounted / "f", "stat") != "stale"
    assert errno_of(getattr, mounted / "f", "nothing") == "ENODATA"
    assert os.getxattr(mounted / "f", "user.mmapfsish") == b"not ours"
    os.removexattr(mounted / "f", "user.mmapfsish")
    assert sorted(os.listxattr(file)) == ["user.mmapfs.nothing", "user.mmapfs.stat"]


def test_other_attributes_never_touch_ours(file, mounted):
    os.setxattr(mounted / "f", "user.mmapfsx.stat", b"theirs")
    assert os.getxattr(file, "user.mmapfsx.stat") == b"theirs"


# ---- many runs -------------------------------------------------------------------------


def test_a_long_range_list_is_cut_and_can_be_continued(source, mounted):
    """Every second page over a hole: only what is touched becomes resident."""
    count = 8000
    length = 2 * count * mmapfs.PAGE
    with open(source / "holes", "wb") as file:
        file.truncate(length)
    fd = os.open(source / "holes", os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    mapping = mmapfs.Mapping(source / "holes")
    for page in range(0, 2 * count, 2):
        mmapfs.check(mmapfs.libc.madvise(mapping.address + page * mmapfs.PAGE, mmapfs.PAGE,
                                         1))
        os.pread(fd, 1, page * mmapfs.PAGE)
        mapping.read(page * mmapfs.PAGE, 1)
    expected = mapping.mincore()
    listed = [False] * len(expected)
    suffix, cuts = "", 0
    while suffix is not None:
        text = getattr(mounted / "holes", "ranges" + suffix)
        assert len(text) <= 64 * mmapfs.KIB
        suffix = None
        for line in text.splitlines():
            if line.startswith("... "):
                suffix, cuts = f"@{line[4:]}-", cuts + 1
                continue
            offset, size = map(int, line.split("+"))
            for page in range(offset // mmapfs.PAGE, (offset + size) // mmapfs.PAGE):
                listed[page] = True
    after = mapping.mincore()
    mapping.close()
    os.close(fd)
    assert cuts >= 1
    steady = [page for page in range(len(expected)) if expected[page] == after[page]]
    assert [listed[page] for page in steady] == [expected[page] for page in steady]
    assert len(steady) > count


def deleted_in(mounted):
    """Files without a name that the daemon has open."""
    directory = f"/proc/{mounted.process.pid}/fd"
    links = []
    for fd in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):  # closed since
            links.append(os.readlink(f"{directory}/{fd}"))
    return [link for link in links if link.endswith(" (deleted)")]


def test_a_locked_file_that_is_deleted_is_let_go(mounted, source):
    mmapfs.fill(source / "file", mmapfs.MIB)
    mmapfs.setattr(mounted / "file", "lock", "on")
    with open(mounted / "file", "rb"):
        os.unlink(mounted / "file")
        assert deleted_in(mounted)  # it is still a file, and locked
    mmapfs.wait_until(lambda: not deleted_in(mounted), what="the end of the deleted file")
