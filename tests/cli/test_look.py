# SPDX-License-Identifier: MIT
"""mmapctl ranges, map, explain, probe: against mincore on a mapping of the test's own."""

import contextlib
import os
import subprocess
import sys

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, NOBODY, PAGE


def runs_of(vector):
    """[(first page, page behind)] of the True ones."""
    runs, begin = [], None
    for i, there in enumerate([*vector, False]):
        if there and begin is None:
            begin = i
        elif not there and begin is not None:
            runs.append([begin, i])
            begin = None
    return runs


@contextlib.contextmanager
def holes(path, pages, picked):
    """A cold file of which just these pages are resident and held; what mincore says."""
    mmapfs.fill(path, pages * PAGE)
    mmapfs.evict_by_hand(path)
    with mmapfs.mapped(path) as mapping:
        mmapfs.libc.madvise(mapping.address, mapping.length, 1)
        for page in picked:
            mapping.read(page * PAGE, 1)
        yield mapping.mincore()


def test_ranges_are_those_of_mincore(place):
    shown, source = place
    with holes(source / "f", 500, [0, 1, 2, 77, 300, 499]) as vector:
        files = tool.report("ranges", shown / "f")["files"]
        rows = tool.run("ranges", "--raw", "-n", "-o", "offset,length", shown / "f").stdout
    want = runs_of(vector)
    assert want[0] == [0, 3] and want[-1] == [499, 500]
    assert files[0]["ranges"]["list"] == want
    assert files[0]["ranges"]["truncated"] is False
    got = [tuple(map(int, row.split("\t"))) for row in rows.splitlines()]
    assert got == [(a * PAGE, (b - a) * PAGE) for a, b in want]


def test_missing_is_the_complement(place):
    shown, source = place
    with holes(source / "f", 500, [0, 77, 300]) as vector:
        files = tool.report("ranges", "--missing", shown / "f")["files"]
    assert files[0]["ranges"]["list"] == runs_of([not there for there in vector])


def test_missing_within_a_range_and_to_an_odd_end(source):
    path = source / "f"
    path.write_bytes(b"x" * (10 * PAGE - 100))
    mmapfs.evict_by_hand(path)
    rows = tool.run("ranges", "-m", "--raw", "-n", "-o", "range", "-r", f"{4 * PAGE}-",
                    path).stdout
    assert rows == f"{4 * PAGE}+{6 * PAGE - 100}\n"
    rows = tool.run("ranges", "-m", "--raw", "-n", "-o", "range", "-r",
                    f"{PAGE}+{2 * PAGE}", path).stdout
    assert rows == f"{PAGE}+{2 * PAGE}\n"


def test_a_list_that_is_cut_says_where(source):
    with holes(source / "f", 100, [0, 10, 20, 30]) as vector:
        found = tool.report("ranges", "--limit", 2, source / "f")["files"][0]["ranges"]
    want = runs_of(vector)
    assert found["list"] == want[:2] and found["runs"] == len(want)
    assert found["truncated"] is True and found["next"] == want[2][0] * PAGE


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def test_ranges_and_map_of_others_files_are_unknown(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    for verb, column in (("ranges", "ranges"), ("map", "map")):
        found = tool.report(verb, path, code=3, preexec_fn=as_nobody)["files"][0]
        assert found[column] is None and found["reason"] == "no-permission"


def test_map_draws_shares(place):
    shown, source = place
    with holes(source / "f", 64, [0, 63]) as vector:
        found = tool.report("map", shown / "f")["files"][0]
        assert found["map"] == "".join("@" if there else "." for there in vector)
        line = tool.run("map", "-n", "--width", 16, shown / "f").stdout
    assert len(line.split()[1]) == 16
    assert found["cell_bytes"] == PAGE


def test_map_lines(source):
    with holes(source / "f", 64, [0]):
        rows = tool.run("map", "--raw", "-n", "--width", 8, "--lines", 4, "-o",
                        "offset,map,path", source / "f").stdout.splitlines()
    assert [row.split("\t")[0] for row in rows] == [str(i * 16 * PAGE) for i in range(4)]
    assert rows[0].split("\t")[2] == f"{source}/f" and rows[1].split("\t")[2] == "-"
    assert not (source / "empty").exists()
    (source / "empty").touch()
    tool.run("map", source / "empty")


def test_explain_names_who_maps_and_locks(source):
    path = mmapfs.fill(source / "f", 64 * PAGE)
    code = ("import sys; sys.path.insert(0, sys.argv[2]); import mmapfs\n"
            "m = mmapfs.Mapping(sys.argv[1]).populate()\n"
            "mmapfs.check(mmapfs.libc.mlock2(mmapfs.ctypes.c_void_p(m.address), 4096 * 4, 1))\n"
            "print('there', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(path),
                           str(mmapfs.TOP / "tests" / "lib")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"there\n"
        found = tool.report("explain", path)["files"][0]
        screen = tool.run("explain", path).stdout
        child.stdin.close()
    mappers = [one for one in found["mapped_by"] if one["pid"] == child.pid]
    assert len(mappers) == 1
    assert mappers[0]["mapped"] == mappers[0]["rss"] == 64 * PAGE
    assert mappers[0]["locked"] == 4 * PAGE
    assert found["resident"] == 64 and found["runs"] == 1
    assert found["evict"]["at_most_bytes"] == 60 * PAGE
    assert found["warm"]["at_most_bytes"] == 0
    assert f"{child.pid} python3" in screen
    assert len(screen.splitlines()) <= 24


def test_explain_tells_the_folios(source):
    path = mmapfs.fill(source / "f", 8 * MIB)
    with mmapfs.hold(path):
        found = tool.report("explain", path)["files"][0]
        screen = tool.run("explain", path).stdout
    sizes = [one["bytes"] for one in found["folios"]]
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(size % PAGE == 0 and size & (size - 1) == 0 for size in sizes)
    assert sum(one["resident"] for one in found["folios"]) == found["resident"] == 8 * MIB // PAGE
    assert all(one["folios"] * one["bytes"] == one["resident"] * PAGE
               for one in found["folios"])
    assert found["folios_examined_bytes"] == 8 * MIB
    assert found["evict"]["straddling_bytes"] == 0 and found["evict"]["whole_folios"] is None
    assert f"{found['folios'][0]['folios']} of " in screen


def test_what_explain_says_of_a_range_is_what_evict_does(source):
    path = mmapfs.fill(source / "f", 8 * MIB)
    found = tool.report("explain", "--range", "5M+8K", path)["files"][0]
    evict = found["evict"]
    if evict["straddling_bytes"] != 2 * PAGE:
        pytest.skip("this filesystem makes no large folios")
    assert found["range"] == "5M+8K" and found["resident"] == 2
    assert evict["at_most_bytes"] == 0
    action = tool.action("evict", "--range", "5M+8K", path, code=4)
    assert [(why["reason"], why["pages"]) for why in action["why"]] == [("straddling", 2)]
    assert tool.action("evict", "--range", evict["whole_folios"], path)["after"] == 0


def test_folios_need_root_and_the_file_itself(source, mounted):
    path = mmapfs.fill(source / "f", PAGE)
    os.chmod(path, 0o666)
    for where, options, reason in ((path, {"preexec_fn": as_nobody}, "no-permission"),
                                   (mounted / "f", {}, "stacked")):
        with mmapfs.hold(path):
            found = tool.report("explain", where, **options)["files"][0]
        assert found["folios"] is None and found["unknown"]["folios"] == reason
        assert found["evict"]["straddling_bytes"] is None


def test_explain_says_how_many_it_could_not_look_at(source):
    path = mmapfs.fill(source / "f", PAGE)
    os.chmod(path, 0o666)
    found = tool.report("explain", path, preexec_fn=as_nobody)["files"][0]
    assert found["unreadable_processes"] > 0
    assert found["locked_bytes"] is None


def test_explain_on_a_mount(mounted, source):
    mmapfs.fill(source / "f", 64 * PAGE)
    with mmapfs.hold(source / "f"):
        found = tool.report("explain", mounted / "f")["files"][0]
        screen = tool.run("explain", mounted / "f").stdout
    assert found["resident"] == 64 and found["fs"] == "mmapfs"
    assert found["data_path"] in ("passthrough", "mapped", "undecided")
    assert "mmapfs, data path" in screen


def test_probe_says_what_a_switch_took_away():
    rows = {row["feature"]: row for row in tool.report("probe")["files"]}
    assert rows["page-size"]["state"] == str(PAGE)
    assert rows["cachestat"]["state"] in ("yes", "no")
    env = dict(os.environ, MMAPFS_DISABLE="cachestat")
    rows = {row["feature"]: row for row in tool.report("probe", env=env)["files"]}
    assert rows["cachestat"]["state"] == "disabled"


def test_fully_resident_large_file_is_one_run(source):
    path = mmapfs.fill(source / "f", 16 * MIB)
    with mmapfs.hold(path):
        found = tool.report("ranges", "--ready", path)["files"][0]
    assert found["ranges"]["list"] == [[0, 16 * MIB // PAGE]]
