# SPDX-License-Identifier: MIT
"""mmapctl stat: counts as fincore and vmtouch where those are right, the truth where not."""

import json
import os
import pathlib
import subprocess

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import GIB, MIB, NOBODY, PAGE, TIB


def only(*arguments, **more):
    """The only file of a report."""
    files = tool.report("stat", *arguments, **more)["files"]
    assert len(files) == 1, files
    return files[0]


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def raw(*arguments, **more):
    """Rows of --raw as lists of cells."""
    out = tool.run("stat", "--raw", "-n", *arguments, **more).stdout
    return [line.split("\t") for line in out.splitlines()]


# ---- the same as others, where they are right -------------------------------------------


@pytest.mark.parametrize("resident", [0, 1, 37, 256])
def test_counts_are_those_of_fincore_and_vmtouch(source, resident):
    path = mmapfs.fill(source / "f", 256 * PAGE)
    mmapfs.evict_by_hand(path)
    with mmapfs.hold(path, length=max(resident, 1) * PAGE, readahead=False):
        if resident == 0:
            mmapfs.evict_by_hand(path)
        else:
            found = only(path)
            truth = mmapfs.resident_by_hand(path)
            assert found["resident"] == truth == mmapfs.fincore(path)
            assert mmapfs.vmtouch(path) == (truth, 256)
            assert found["pages"] == 256
            assert found["resident_bytes"] == truth * PAGE
            assert found["percent"] == pytest.approx(100 * truth / 256, abs=0.005)
    if resident == 0:
        mmapfs.evict_by_hand(path)
        assert only(path)["resident"] == 0 == mmapfs.fincore(path)


def test_readiness_is_asked_for_and_exact(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    with mmapfs.hold(path):
        quick, ready = only(path), only("--ready", path)
    assert quick["confidence"] == "upper-bound"
    assert quick["ready"] is None and quick["unknown"]["ready"] == "not-asked"
    assert ready["confidence"] == "exact" and ready["ready"] == 64
    assert ready["method"] == "cachestat+mincore"


def test_dirty_pages_are_counted(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    with mmapfs.mapped(path, write=True) as mapping:
        mapping.populate()
        mapping.write(5 * PAGE, b"x")
        found = only(path)
        assert found["dirty"] == mmapfs.cachestat(path)[1] >= 1
        for summarize in ([], ["-s"]):
            total = tool.report("stat", *summarize, path)["total"]
            assert "dirty" in found.get("upper_bound", []) and "dirty" in total["upper_bound"]
            assert "resident" not in total["upper_bound"]


def test_ranges_are_rows_of_their_own(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    mmapfs.evict_by_hand(path)
    with mmapfs.hold(path, length=8 * PAGE, readahead=False):
        truth = mmapfs.resident_by_hand(path)
        report = tool.report("stat", "-r", f"0+{8 * PAGE}", "-r", f"{8 * PAGE}-", path)
    first, rest = report["files"]
    assert first["range"] == "0+32K" and first["resident"] == 8 and first["pages"] == 8
    assert rest["resident"] == truth - 8 and rest["pages"] == 56
    assert report["total"]["files"] == 1 and report["total"]["pages"] == 64


def test_a_range_beyond_the_end_has_no_pages(source):
    path = mmapfs.fill(source / "f", PAGE)
    found = only("-r", f"{GIB}-", path)
    assert found["pages"] == 0 and found["percent"] is None


def test_without_cachestat_mincore_says_the_same(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    mmapfs.evict_by_hand(path)
    with mmapfs.hold(path, length=8 * PAGE, readahead=False):
        full = only(path)
        found = only(path, env=dict(os.environ, MMAPFS_DISABLE="cachestat"))
    assert found["resident"] == full["resident"]
    assert found["method"] == "mincore" and found["confidence"] == "exact"
    assert found["dirty"] is None and found["evicted"] is None
    assert found["unknown"]["dirty"] == "old-kernel"


def test_a_block_device_is_counted_as_operand_only(loop, source):
    disk = loop("ext4", 16 * MIB)
    fd = os.open(disk.device, os.O_RDONLY)
    os.pread(fd, MIB, 0)
    found = only(disk.device)
    assert found["type"] == "block" and found["size"] == 16 * MIB
    assert found["pages"] == 16 * MIB // PAGE and found["resident"] > 0
    os.close(fd)


# ---- right where they are wrong ----------------------------------------------------------


def test_of_somebody_elses_file_nothing_is_known(base, source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    mmapfs.evict_by_hand(path)
    found = only(path, code=3, preexec_fn=as_nobody)
    assert found["resident"] is None and found["percent"] is None
    assert found["confidence"] == "unknown" and found["reason"] == "no-permission"
    assert found["unknown"]["resident"] == "no-permission"
    out = tool.run("stat", "-n", path, code=3, preexec_fn=as_nobody).stdout
    assert out.split()[:2] == ["?", "?"]


def test_totals_with_an_unknown_file_are_at_least(source):
    known = mmapfs.fill(source / "mine", 64 * PAGE)
    os.chown(known, NOBODY, NOBODY)
    mmapfs.fill(source / "others", 64 * PAGE)
    with mmapfs.hold(known):
        report = tool.report("stat", source, preexec_fn=as_nobody)
        table = tool.run("stat", "-b", source, preexec_fn=as_nobody).stdout
    total = report["total"]
    assert total["unknown_files"] == 1 and total["resident"] == 64
    assert "resident" in total["at_least"] and total["percent"] is None
    assert table.splitlines()[-1].split()[0] == f">={64 * PAGE}"
    assert table.splitlines()[-1].endswith("total, 2 files, 1 unknown")


def test_an_own_file_that_is_read_only_is_known(source):
    path = mmapfs.fill(source / "f", 8 * PAGE)
    os.chown(path, NOBODY, NOBODY)
    os.chmod(path, 0o444)
    with mmapfs.hold(path):
        assert only(path, preexec_fn=as_nobody)["resident"] == 8


def test_overlayfs_is_seen_through(base):
    for name in ("lower", "upper", "work", "merged"):
        (base / name).mkdir()
    mmapfs.fill(base / "lower" / "f", 64 * PAGE)
    merged = base / "merged"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work",
                    str(merged)], check=True)
    try:
        mmapfs.evict_by_hand(base / "lower" / "f")
        with mmapfs.hold(base / "lower" / "f", length=16 * PAGE, readahead=False):
            truth = mmapfs.resident_by_hand(base / "lower" / "f")
            found = only(merged / "f")
        assert found["resident"] == truth > 0
        assert found["method"] == "mincore" and found["fs"] == "overlay"
        assert found["dirty"] is None and found["unknown"]["dirty"] == "stacked"
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def test_a_mounted_mmapfs_tells_the_truth(mounted, source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    mmapfs.evict_by_hand(path)
    with mmapfs.hold(path, length=16 * PAGE, readahead=False):
        truth = mmapfs.resident_by_hand(path)
        found = only(mounted / "f")
        assert found["resident"] == truth
        assert found["fs"] == "mmapfs" and found["locked"] == 0
        report = tool.report("stat", mounted.point)
        assert report["total"]["resident"] == truth


def test_on_tmpfs_nothing_is_ever_dirty(tmp_path):
    path = pathlib.Path("/dev/shm") / f"mmapctl-test-{os.getpid()}"
    try:
        path.write_bytes(b"x" * 8 * PAGE)
        found = only(path)
    finally:
        path.unlink()
    assert found["resident"] == 8 and found["fs"] == "tmpfs"
    assert found["dirty"] is None and found["unknown"]["dirty"] == "memory-fs"


# ---- the defects of others, none of them here --------------------------------------------


def test_a_missing_file_is_exit_2_and_the_others_are_done(source):
    mmapfs.fill(source / "f", PAGE)
    done = tool.run("stat", "--raw", "-n", source / "none", source / "f", code=2)
    assert done.stderr == (f"mmapctl: cannot open '{source}/none': "
                           "No such file or directory\n")
    assert done.stdout.endswith(f"\t{source}/f\n")
    report = tool.report("stat", source / "none", source / "f", code=2)
    assert report["errors"] == [{"path": f"{source}/none", "path_b64": None, "op": "open",
                                 "errno": 2, "code": "ENOENT",
                                 "message": "No such file or directory"}]


def test_a_list_without_final_newline_is_whole(source):
    for name in ("one", "two"):
        mmapfs.fill(source / name, PAGE)
    names = f"{source}/one\n{source}/two"
    for text, more in ((names, []), (names + "\n", []), (names.replace("\n", "\0"), ["-0"])):
        rows = raw("-o", "path", *more, "--files-from", "-", input=text)
        assert rows == [[f"{source}/one"], [f"{source}/two"]]


def test_fifos_and_sockets_do_not_hang(source):
    os.mkfifo(source / "fifo")
    mmapfs.fill(source / "f", PAGE)
    done = tool.run("stat", "--raw", "-n", "-o", "path", source)
    assert done.stdout == f"{source}/f\n"
    assert done.stderr == f"mmapctl: skipping '{source}/fifo': a FIFO\n"
    assert tool.run("stat", "-q", source / "fifo", code=3).stderr == ""
    tool.run("stat", "-q", "/dev/null", code=3)


def test_an_empty_file_has_no_percentage(source):
    path = mmapfs.fill(source / "empty", 0)
    found = only(path)
    assert found["percent"] is None and found["pages"] == 0 and found["resident"] == 0
    assert raw("-o", "percent", path) == [["-"]]


def test_names_that_are_no_text(source):
    name = os.fsencode(source) + b"/\xff\n"
    with open(name, "wb") as file:
        file.write(b"x")
    found = only(source)
    assert found["path"] is None
    import base64
    assert base64.b64decode(found["path_b64"]) == name
    assert tool.run("stat", "--raw", "-n", "-o", "path", source).stdout == \
        f"{source}/\\xff\\n\n"
    assert tool.run("stat", "-n", "-o", "path", source).stdout == f"$'{source}/\\xff\\n'\n"
    errors = tool.report("stat", os.fsdecode(name) + "none", code=2)["errors"]
    assert base64.b64decode(errors[0]["path_b64"]) == name + b"none"


@pytest.fixture
def lean():
    if not tool.is_lean():
        pytest.skip("built with a sanitizer")


def test_a_sparse_tebibyte_needs_little(source, lean):
    path = source / "sparse"
    with open(path, "wb") as file:
        file.truncate(TIB)
        for i in range(150):
            file.seek(i * (TIB // 150) // PAGE * PAGE)
            file.write(b"x" * PAGE)
    for verb in ("stat", "ranges", "map"):
        rss, seconds = tool.max_rss_and_time(verb, "--json", path)
        assert rss < 16 * MIB
        assert seconds < 5  # others need 12


def test_very_many_files_need_little_memory(source, lean):
    for i in range(5000):
        (source / f"{i:0100}").touch()
    for arguments in (["--json"], ["--jsonl"], [], ["--raw"], ["--sort", "size", "--top", "9"]):
        rss, _ = tool.max_rss_and_time("stat", *arguments, source)
        assert rss < 16 * MIB


def test_looking_leaves_no_trace(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    mmapfs.evict_by_hand(path)
    os.utime(path, (1, 1))
    tool.run("stat", "--ready", path)
    tool.run("ranges", path)
    tool.run("map", path)
    assert os.stat(path).st_atime == 1
    assert mmapfs.resident_by_hand(path) == 0


# ---- selection ---------------------------------------------------------------------------


def test_jobs_change_nothing_but_time(source):
    for i in range(300):
        mmapfs.fill(source / f"f{i}", i * 100)
    one = raw("-o", "path,size,pages", source)
    assert len(one) == 300
    assert raw("-o", "path,size,pages", "-j", 4, source) == one


def test_hard_links_count_once(source):
    mmapfs.fill(source / "a", PAGE)
    os.link(source / "a", source / "b")
    assert tool.report("stat", source)["total"]["files"] == 1
    assert tool.report("stat", "-j", 2, source)["total"]["files"] == 1
    assert tool.report("stat", "--count-links", source)["total"]["files"] == 2


def test_one_file_system_stays_there(source, loop):
    disk = loop("ext4", 16 * MIB)
    mmapfs.fill(disk.point / "inside", PAGE)
    top = disk.point.parent
    assert not [row for row in raw("-x", "-o", "path", top) if row[0].endswith("inside")]
    assert [row for row in raw("-q", "-o", "path", top) if row[0].endswith("inside")]


def test_files_of_a_process(source):
    path = mmapfs.fill(source / "f", 8 * PAGE)
    with mmapfs.hold(path):
        rows = tool.report("stat", "--pid", os.getpid())["files"]
        found = [row for row in rows if row["path"] == str(path)]
        assert len(found) == 1 and found[0]["resident"] == 8


@pytest.mark.parametrize("glob, wanted", [("--include=kept-*", "kept-a"),
                                          ("--exclude=kept-*", "other")])
def test_globs_choose_among_the_files_of_a_process(source, glob, wanted):
    paths = [mmapfs.fill(source / name, PAGE) for name in ("kept-a", "other")]
    with open(paths[0], "rb"), open(paths[1], "rb"):
        files = tool.report("stat", glob, "--pid", os.getpid())["files"]
    here = [row["path"] for row in files if row["path"].startswith(str(source))]
    assert here == [str(source / wanted)]


# ---- output ------------------------------------------------------------------------------


def test_totals_sort_and_top(source):
    for name, size in (("small", PAGE), ("large", 8 * PAGE), ("middle", 4 * PAGE)):
        mmapfs.fill(source / name, size)
    rows = raw("-c", "-o", "size,path", "--sort", "size", "--top", 2, source)
    assert rows == [[str(8 * PAGE), f"{source}/large"], [str(4 * PAGE), f"{source}/middle"],
                    [str(13 * PAGE), "total"]]
    assert raw("-s", "-o", "size", source) == [[str(13 * PAGE)]]


def test_json_lines_end_with_the_totals(source):
    mmapfs.fill(source / "f", PAGE)
    lines = tool.run("stat", "--jsonl", source, source / "none", code=2).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[0]["path"] == f"{source}/f"
    assert rows[1]["error"]["code"] == "ENOENT"
    assert rows[-1]["total"]["files"] == 1 and len(rows) == 3


@pytest.mark.parametrize("arguments", [
    [], ["stat"], ["stat", "--nonsense", "/"], ["stat", "-o", "nonsense", "/"],
    ["stat", "--sort", "nonsense", "/"], ["stat", "--range", "5+0", "/"],
    ["stat", "--jobs", "0", "/"], ["probe", "/"],
])
def test_wrong_usage_is_one_line_and_exit_1(arguments):
    done = tool.run(*arguments, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("mmapctl: ") and done.stderr.count("\n") == 1


def test_the_verb_may_be_left_out(source):
    mmapfs.fill(source / "f", PAGE)
    assert tool.run(source / "f", "--raw").stdout == \
        tool.run("stat", source / "f", "--raw").stdout


def test_a_full_disk_is_no_success(source):
    mmapfs.fill(source / "f", PAGE)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(tool.MMAPCTL), "stat", "--json", str(source)], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "mmapctl: cannot write the output: No space left on device\n"


VERBS = ["stat", "ranges", "map", "explain", "warm", "evict", "lock", "sync", "advise",
         "snapshot", "restore", "diff", "watch", "metrics", "probe"]


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_fits_and_ends_with_an_example(verb):
    done = tool.run(*([verb] if verb else []), "--help")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(("Example: ", "  ", "Example")) and "mmapctl" in lines[-1]


def test_all_verbs_are_listed():
    out = tool.run("--help").stdout
    listed = [line.split()[0] for line in out.split("Verbs:\n")[1].split("\n\n")[0].splitlines()]
    assert sorted(listed) == sorted(VERBS)
    assert tool.run("--version").stdout.startswith("mmapctl 0.")
