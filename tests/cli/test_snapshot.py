# SPDX-License-Identifier: MIT
"""mmapctl snapshot, restore and diff: exactly what was resident is resident again."""

import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, PAGE

MMAPCTL = mmapfs.BUILD / "tools" / "mmapctl"
SNAPSHOT = "mmapfs-snapshot 1\n"


def mmapctl(*arguments, code=0, **options):
    done = subprocess.run([str(MMAPCTL), *map(str, arguments)], capture_output=True,
                          timeout=120, check=False, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def as_json(*arguments, code=0, **options):
    return json.loads(mmapctl(*arguments, "--json", code=code, **options).stdout)


def message(done):
    return done.stderr.decode(errors="replace")


@pytest.fixture
def base():
    with mmapfs.directory() as path:
        yield path


def evict(paths):
    """Nothing of these files is resident afterwards."""
    for path in paths:
        mmapfs.wait_until(lambda: mmapfs.evict_by_hand(path) or
                          mmapfs.resident_by_hand(path) == 0, what=f"{path} cold")


@contextlib.contextmanager
def holding(pages_of):
    """Just these pages of these files are resident, and stay so; {path: set of pages}."""
    mappings = []
    try:
        for path, wanted in pages_of.items():
            if not wanted:
                continue
            mapping = mmapfs.Mapping(path)
            mappings.append(mapping)
            mmapfs.check(mmapfs.libc.madvise(mapping.address, mapping.length, 1))
            for page in wanted:
                mapping.read(page * PAGE, 1)
        yield
    finally:
        for mapping in mappings:
            mapping.close()


def resident_pages(path):
    if os.stat(path).st_size == 0:
        return set()
    with mmapfs.mapped(path) as mapping:
        return {i for i, there in enumerate(mapping.mincore()) if there}


def parse(path):
    """{name: set of pages} of the file lines, by nothing but the text."""
    files = {}
    for line in pathlib.Path(path).read_text("ascii").splitlines():
        fields = line.split(" ")
        if fields[0] != "file":
            continue
        pages = set()
        for text in fields[5].split(",") if fields[5] != "-" else []:
            offset, length = map(int, text.split("+"))
            pages |= set(range(offset // PAGE, mmapfs.pages(offset + length)))
        files[fields[1]] = pages
    return files


def make_tree(base, sizes):
    tree = base / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    paths = []
    for number, size in enumerate(sizes):
        where = [tree, tree / "deep", tree / "deep" / "er"][number % 3]
        paths.append(mmapfs.fill(where / f"file{number}", size, seed=number))
    return tree, paths


def attempts(count, experiment):
    """The platform may evict pages while one looks: the whole experiment once more then.
    What is demanded of it stays the same."""
    for attempt in range(count):
        try:
            return experiment()
        except AssertionError:
            if attempt == count - 1:
                raise
    return None


# ---- the promise -----------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 3])
def test_random_one_percent_of_a_tree_is_restored_exactly(base, jobs):
    """Snapshot, evict, restore: exactly those ranges, extra pages under 1 %."""
    rng = random.Random(3)
    sizes = [64 * MIB, 16 * MIB + 100, 3 * MIB, PAGE, 100, 0] + [MIB] * 40
    tree, paths = make_tree(base, sizes)
    snap = base / "snap"

    def experiment():
        wanted = {}
        for path in paths:
            count = mmapfs.pages(path.stat().st_size)
            wanted[path] = set(rng.sample(range(count), max(count // 100, count > 0)))
        evict(paths)
        with holding(wanted):
            taken = as_json("snapshot", snap, tree)
        recorded = parse(snap)
        assert recorded == {str(path): pages for path, pages in wanted.items()}
        total = sum(map(len, wanted.values()))
        assert sum(file["action"]["ranges"] for file in taken["files"]) <= total
        evict(paths)
        report = as_json("restore", "--jobs", jobs, snap)
        assert [file["path"] for file in report["files"]] == list(recorded)
        now = {path: resident_pages(path) for path in paths}
        extra = sum(len(now[path] - wanted[path]) for path in paths)
        missing = sum(len(wanted[path] - now[path]) for path in paths)
        assert missing == 0
        assert extra == 0 or extra < total / 100
        for file in report["files"]:
            action = file["action"]
            assert action["status"] == "done"
            assert action["before_bytes"] == 0
            assert action["requested_bytes"] == action["recorded_bytes"]
            assert action["after_bytes"] == action["recorded_bytes"]
            assert action["missing_bytes"] == 0
            assert action["extra_bytes"] == 0

    attempts(3, experiment)


def test_what_is_resident_is_not_read_again(base):
    path = mmapfs.fill(base / "file", 4 * MIB)
    snap = base / "snap"
    evict([path])
    with holding({path: {1, 2, 3, 500}}):
        mmapctl("snapshot", snap, path)
        action = as_json("restore", snap)["files"][0]["action"]
    assert action["requested_bytes"] == 0
    assert action["before_bytes"] == action["after_bytes"] == 4 * PAGE


# ---- names -----------------------------------------------------------------------------


def test_any_name_survives(base):
    tree = base / "tree"
    tree.mkdir()
    names = [b"a b", b"new\nline", b"\xff\xfe", "ü".encode(), b"%41", b"-x", b"tab\t", b"'"]
    wanted = {}
    for name in names:
        path = os.path.join(os.fsencode(tree), name)
        mmapfs.fill(path, 8 * PAGE)
        wanted[path] = {3}
    snap = base / "snap"

    def experiment():
        evict(wanted)
        with holding(wanted):
            mmapctl("snapshot", snap, tree)
        evict(wanted)
        mmapctl("restore", snap)
        assert all(resident_pages(path) == {3} for path in wanted)

    attempts(3, experiment)
    lines = snap.read_bytes().split(b"\n")
    assert lines[0] == SNAPSHOT.encode().strip()
    assert all(32 <= byte < 127 for line in lines for byte in line)


def test_relative_names_are_found_below_another_root(base):
    tree, paths = make_tree(base, [8 * PAGE, 8 * PAGE])
    copy = base / "copy"
    subprocess.run(["cp", "-a", str(tree), str(copy)], check=True)
    copies = [copy / path.relative_to(tree) for path in paths]
    snap = base / "snap"
    evict(paths)
    with holding({path: {2, 5} for path in paths}):
        mmapctl("snapshot", "--relative", snap, ".", cwd=tree)
    assert set(parse(snap)) == {str(path.relative_to(tree)) for path in paths}

    def experiment():
        evict(copies)
        report = as_json("restore", "--root", copy, snap)
        assert [file["action"]["changed"] for file in report["files"]] == ["inode"] * 2
        assert all(resident_pages(path) == {2, 5} for path in copies)

    attempts(3, experiment)


def test_only_the_named_are_restored(base):
    _, paths = make_tree(base, [8 * PAGE] * 6)
    snap = base / "snap"
    evict(paths)
    with holding({path: {1} for path in paths}):
        mmapctl("snapshot", snap, base / "tree")
    report = as_json("restore", snap, base / "tree" / "deep")
    names = {file["path"] for file in report["files"]}
    assert names == {str(path) for path in paths if "deep" in path.parts}


def test_names_are_sorted_and_each_is_there_once(base):
    _, paths = make_tree(base, [PAGE] * 9)
    snap = base / "snap"
    mmapctl("snapshot", snap, paths[5], base / "tree", paths[0], paths[5])
    names = list(parse(snap))
    assert sorted(names, key=lambda name: name.split("/")) == names
    assert set(names) == {str(path) for path in paths}


# ---- files that changed ----------------------------------------------------------------


@pytest.mark.parametrize("change, statuses", [
    ("touch", {"skip": "changed", "resized": "changed", "any": "done"}),
    ("grow", {"skip": "changed", "resized": "done", "any": "done"}),
    ("shrink", {"skip": "changed", "resized": "done", "any": "done"}),
])
def test_policy_decides_about_changed_files(base, change, statuses):
    path = mmapfs.fill(base / "file", 64 * PAGE)
    snap = base / "snap"
    evict([path])
    with holding({path: {1, 40}}):
        mmapctl("snapshot", snap, path)
    if change == "touch":
        os.utime(path)
    else:
        os.truncate(path, (80 if change == "grow" else 20) * PAGE)
    for policy, status in statuses.items():
        evict([path])
        report = as_json("restore", "--if-changed", policy, snap,
                         code=4 if status == "changed" else 0)
        action = report["files"][0]["action"]
        assert action["status"] == status
        assert action["changed"] == ("mtime" if change == "touch" else "size+mtime")
        assert action["recorded_bytes"] == 2 * PAGE
        if status == "changed":
            assert action["after_bytes"] is None
            assert resident_pages(path) == set()
        else:
            assert action["total_bytes"] == (1 if change == "shrink" else 2) * PAGE
            assert action["missing_bytes"] == 0


def test_missing_file_fails_and_the_others_are_restored(base):
    _, paths = make_tree(base, [8 * PAGE] * 3)
    snap = base / "snap"
    evict(paths)
    with holding({path: {1} for path in paths}):
        mmapctl("snapshot", snap, base / "tree")
    paths[1].unlink()
    report = as_json("restore", snap, code=2)
    by_name = {file["path"]: file["action"] for file in report["files"]}
    assert by_name[str(paths[1])]["status"] == "failed"
    assert by_name[str(paths[1])]["code"] == "ENOENT"
    assert by_name[str(paths[1])]["after_bytes"] is None
    assert by_name[str(paths[0])]["status"] == by_name[str(paths[2])]["status"] == "done"


def test_file_of_another_user_is_recorded_as_skipped(base):
    secret = mmapfs.fill(base / "secret", 4 * PAGE)
    secret.chmod(0o644)
    mine = base / "mine"
    mine.mkdir()
    os.chown(mine, mmapfs.NOBODY, mmapfs.NOBODY)
    done = mmapfs.run_as(mmapfs.NOBODY, lambda: subprocess.run(
        [str(MMAPCTL), "snapshot", str(mine / "snap"), str(secret), "--json"],
        capture_output=True, check=False).stdout)
    file = json.loads(done)["files"][0]
    assert file["action"]["status"] == "skipped"
    assert file["action"]["reason"] == "no-permission"
    assert file["action"]["recorded_bytes"] is None
    assert f"skip {secret} no-permission\n" in (mine / "snap").read_text()
    report = as_json("restore", mine / "snap")
    assert report["files"] == []


# ---- damage ----------------------------------------------------------------------------


def snapshot_of_one(base):
    path = mmapfs.fill(base / "file", 64 * PAGE)
    snap = base / "snap"
    evict([path])
    with holding({path: {1, 40}}):
        mmapctl("snapshot", snap, path)
    evict([path])
    return path, snap


@pytest.mark.parametrize("damage, line, reason", [
    (lambda text: b"", 1, "ends too early"),
    (lambda text: b"\x7fELF" + text, 1, "not a snapshot"),
    (lambda text: text.replace(b"snapshot 1", b"snapshot 9"), 1, "version"),
    (lambda text: text[:-30], 6, ""),
    (lambda text: text.replace(b"4096+4096", b"8192+4096"), 6, "checksum"),
    (lambda text: text + b"x\n", 7, "behind the end"),
])
def test_damage_is_refused_with_the_line_and_nothing_is_restored(base, damage, line, reason):
    path, snap = snapshot_of_one(base)
    snap.write_bytes(damage(snap.read_bytes()))
    for verb in (["restore", snap], ["diff", snap, snap]):
        done = mmapctl(*verb, code=2)
        assert f"line {line}:" in message(done)
        assert reason in message(done)
        assert done.stdout == b""
    assert resident_pages(path) == set()


def test_snapshot_is_replaced_in_one_step_or_not_at_all(base):
    path, snap = snapshot_of_one(base)
    before = snap.read_bytes()
    mmapctl("snapshot", base / "nowhere" / "snap", path, code=2)
    mmapctl("snapshot", "/dev/null", path, code=2)
    mmapctl("snapshot", snap, code=1)
    mmapctl("snapshot", "--no-such-option", snap, path, code=1)
    assert snap.read_bytes() == before
    assert sorted(os.listdir(base)) == ["file", "snap"]
    mmapctl("snapshot", snap, path)
    assert sorted(os.listdir(base)) == ["file", "snap"]


def writes_beside(process, base):
    """Has it a temporary file, one without a name (#NUMBER) where that is possible, in base?"""
    fds = pathlib.Path(f"/proc/{process.pid}/fd")
    return any(os.path.basename(os.readlink(fd)).startswith(("#", ".mmapfs-"))
               for fd in fds.iterdir() if os.readlink(fd).startswith(f"{base}/"))


def test_interrupted_snapshot_leaves_the_old_one(base):
    _, snap = snapshot_of_one(base)
    before = snap.read_bytes()
    fifo = base / "list"
    os.mkfifo(fifo)
    process = subprocess.Popen([str(MMAPCTL), "snapshot", "--json", "--files-from", str(fifo),
                                str(snap)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with open(fifo, "w") as names:
        names.write(f"{base / 'file'}\n")
        names.flush()
        mmapfs.wait_until(lambda: writes_beside(process, base), what="the temporary file")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=mmapfs.DEADLINE)
    assert process.returncode == 130
    json.loads(out)
    assert snap.read_bytes() == before
    assert sorted(os.listdir(base)) == ["file", "list", "snap"]


def test_interrupted_restore_has_a_valid_summary(base):
    path = mmapfs.fill(base / "file", 64 * MIB)
    snap = base / "snap"
    with mmapfs.hold(path):
        mmapctl("snapshot", snap, path)
    evict([path])
    process = subprocess.Popen([str(MMAPCTL), "restore", "--json", "--rate", "4M", str(snap)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mmapfs.wait_until(lambda: mmapfs.resident_by_hand(path) > 0, what="some of it")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=mmapfs.DEADLINE)
    assert process.returncode == 130
    action = json.loads(out)["files"][0]["action"]
    assert action["status"] == "interrupted"
    assert 0 < action["after_bytes"] < 64 * MIB


# ---- diff ------------------------------------------------------------------------------


def test_diff_and_sets_agree_with_sets_of_pages(base):
    _, paths = make_tree(base, [64 * PAGE] * 6)
    rng = random.Random(9)
    sets = []
    for name in ("a", "b"):
        wanted = {path: set(rng.sample(range(64), 20)) for path in paths}
        chosen = paths[:5] if name == "a" else paths[1:]
        evict(paths)
        with holding(wanted):
            mmapctl("snapshot", base / name, *chosen)
        sets.append({str(path): wanted[path] for path in chosen})
        assert parse(base / name) == sets[-1]
    a, b = sets
    report = as_json("diff", "--all", base / "a", base / "b")
    assert {file["path"] for file in report["files"]} == set(a) | set(b)
    for file in report["files"]:
        one, two = a.get(file["path"], set()), b.get(file["path"], set())
        assert file["only_a_bytes"] == len(one - two) * PAGE
        assert file["only_b_bytes"] == len(two - one) * PAGE
        assert file["both_bytes"] == len(one & two) * PAGE
        assert file["status"] == ("differs" if file["path"] in a and file["path"] in b
                                  else "only-a" if file["path"] in a else "only-b")
    mmapctl("diff", base / "a", base / "b", "--union", base / "u", "--intersect", base / "i",
            "--subtract", base / "s")
    assert parse(base / "u") == {name: a.get(name, set()) | b.get(name, set())
                                 for name in set(a) | set(b)}
    assert parse(base / "i") == {name: a[name] & b[name] for name in set(a) & set(b)}
    assert parse(base / "s") == {name: a[name] - b.get(name, set()) for name in a}
    rows = mmapctl("diff", "--ranges", "--raw", "--no-headings", "-o", "PATH,RANGE,STATUS",
                   base / "a", base / "b").stdout.decode().splitlines()
    only_a = {}
    for row in rows:
        name, text, status = row.split("\t")
        offset, length = map(int, text.split("+"))
        if status == "only-a":
            only_a.setdefault(name, set()).update(
                range(offset // PAGE, (offset + length) // PAGE))
    assert only_a == {name: a[name] - b.get(name, set()) for name in a
                      if a[name] - b.get(name, set())}


def test_diff_of_the_same_is_empty(base):
    _, snap = snapshot_of_one(base)
    assert as_json("diff", snap, snap)["files"] == []
    assert len(as_json("diff", "--all", snap, snap)["files"]) == 1


def test_union_of_a_million_ranges_takes_little_memory(base):
    """Memory does not grow with the snapshot; measured by the kernel, of the child."""
    path = base / "big"
    with open(path, "wb") as file:
        file.truncate(8 << 30)
    snap, text = base / "snap", []
    text.append("mmapfs-snapshot 1\npage-size 4096\ntime 2026-11-22T10:00:00Z\nkernel 6\n")
    runs = ",".join(f"{2 * i * 4096}+4096" for i in range(1000000))
    text.append(f"file {path} {8 << 30} 0 0:0:0 {runs}\n")
    text.append(f"end 1 0 1000000 {1000000 * 4096} ")
    body = "".join(text).encode()
    snap.write_bytes(body + b"%016x\n" % fnv(body))
    done = subprocess.run(["/usr/bin/env", "python3", "-c", """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
""", str(MMAPCTL), "diff", str(snap), str(snap), "--union", str(base / "u")],
                          capture_output=True, check=True, text=True)
    if tool.is_lean():
        assert int(done.stdout) < 16 * 1024
    assert (base / "u").stat().st_size > 10 * MIB


def fnv(data):
    """FNV-1a as docs/snapshot-format.md says, by nobody's code but this."""
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def test_checksum_is_what_the_document_says(base):
    _, snap = snapshot_of_one(base)
    text = snap.read_bytes()
    assert text[-17:] == b"%016x\n" % fnv(text[:-17])


# ---- on a mount ------------------------------------------------------------------------


def test_on_a_mounted_mmapfs(base):
    source, point = base / "source", base / "mnt"
    source.mkdir()
    point.mkdir()
    path = mmapfs.fill(source / "file", 64 * PAGE)
    mount = mmapfs.Mount(source, point, base / "log", "allow_other").start()
    try:
        snap = base / "snap"

        def experiment():
            evict([path])
            with holding({path: {3, 4, 40}}):
                mmapctl("snapshot", snap, point)
            assert parse(snap) == {str(point / "file"): {3, 4, 40}}
            evict([path])
            report = as_json("restore", snap)
            assert report["files"][0]["action"]["status"] == "done"
            assert report["files"][0]["action"]["after_bytes"] == 3 * PAGE
            assert {3, 4, 40} <= resident_pages(path)

        attempts(3, experiment)
    finally:
        assert mount.stop() == []


@pytest.mark.parametrize("verb", ["snapshot", "restore", "diff"])
def test_help_fits_and_ends_with_an_example(verb):
    lines = mmapctl(verb, "--help").stdout.decode().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("Example") for line in lines[-4:])
