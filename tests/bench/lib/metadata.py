# SPDX-License-Identifier: MIT
"""Names and attributes: find, stat, open, create, git, tar."""

import pathlib
import shutil
import subprocess
import time

import mmapfs
from rounds import Work

META = mmapfs.BUILD / "tests" / "bench" / "bench-meta"
PER_DIRECTORY = 100


def meta(work, directory, count):
    """Seconds, by meta.c."""
    done = subprocess.run([str(META), work, str(directory), str(count)], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return float(done.stdout)


def timed(*command, **options):
    begin = time.perf_counter()
    done = subprocess.run([str(word) for word in command], check=False, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-200:])
    return time.perf_counter() - begin


def drop_names():
    """Dentries and inodes; the page cache stays."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("2\n", encoding="ascii")


def find(place):
    return timed("find", place.tree, "-type", "f", "-size", "+1000k")


def once(action):
    """@action(place) the first time only: files that were read stay in the page cache."""
    seen = set()

    def act(place):
        if place.name not in seen:
            seen.add(place.name)
            action(place)

    return act


class Fresh:
    """A new directory for each run, made through the place itself: some of the filesystems
    remember for a day what was there, or not."""

    def __init__(self, what):
        self.what = what
        self.number = 0
        self.last = {}

    def take(self, place):
        if place.name in self.last:
            shutil.rmtree(place / self.last[place.name], ignore_errors=True)
        self.number += 1
        self.last[place.name] = f"{self.what}-{self.number}"
        self.at(place).mkdir()

    def at(self, place):
        return place / self.last[place.name]


def tree_works(files, create, rounds):
    """On the trees that prepare() has made."""
    def count(place):
        return place.files(files)

    def on_tree(work):
        return lambda place: meta(work, place.tree, count(place))

    rows = (
        ("find, cold", find, lambda _: drop_names()),
        ("find, again at once", find, find),
        ("ls -l of each directory, again after 1.2 s", on_tree("list"),
         lambda place: (find(place), time.sleep(1.2))),
        ("stat, after a listing", on_tree("stat"), None),
        ("stat, cold", on_tree("stat-cold"), lambda _: drop_names()),
        ("open, read 4 KiB, close", on_tree("read"), once(on_tree("read"))),
    )
    yield from (Work("metadata", name, run, before=before, count=count)
                for name, run, before in rows)
    yield create_work("create + close + unlink", "create-unlink", create, rounds)


def create_work(name, work, count, rounds):
    fresh = Fresh("create")

    def run(place):
        return meta(work, fresh.at(place), count)

    return Work("metadata", name, run, before=fresh.take, count=count, rounds=rounds)


# ---- git, tar ----

GIT = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c",
       "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsmonitor=false")


def source_tree(top, files):
    """As in a source checkout: 16 files to a directory, 1 to 40 KiB, text."""
    line = b"static int the_quick_brown_fox(struct dog *lazy);\n"
    for i in range(files):
        path = top / f"part{i // 256:03}" / f"dir{i // 16 % 16:02}" / f"file{i:05}.c"
        if i % 16 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"// %d\n" % i + line * (20 + i * 37 % 800))


def git(directory, *words):
    return timed(*GIT, *words, cwd=directory)


def make_repository(top, files):
    source_tree(top, files)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "all")):
        git(top, *words)


def git_status_works(files):
    """Each place has a copy of its own: inode numbers differ, and the index has them."""
    def status(place):
        return git(place / f"git-{place.name}", "status", "--porcelain")

    return [Work("metadata", "git status", status, before=status, count=files),
            Work("metadata", "git status, cold", status, before=lambda _: drop_names(),
                 count=files)]


def git_clone_work(template, files, rounds):
    fresh = Fresh("clone")

    def clone(place):
        return timed(*GIT, "clone", "-q", "--no-hardlinks", template,
                     fresh.at(place) / "repository")

    return Work("metadata", "git clone", clone, before=fresh.take, rounds=rounds, count=files)


def untar_work(archive, files, rounds):
    fresh = Fresh("untar")

    def untar(place):
        return timed("tar", "-xf", archive, "-C", fresh.at(place))

    return Work("metadata", "untar", untar, before=fresh.take, rounds=rounds, count=files)


def prepare(work, source, names, scale):
    """Before anything is mounted: some of the filesystems do not look again."""
    (source / "tree").mkdir()
    (source / "tree-small").mkdir()
    meta("make", source / "tree", scale["files"])
    meta("make", source / "tree-small", scale["files"] // 2)
    make_repository(work / "template", scale["git"])
    for name in names:
        shutil.copytree(work / "template", source / f"git-{name}", symlinks=True)
    source_tree(work / "untar", scale["untar"])
    timed("tar", "-cf", work / "untar.tar", "-C", work / "untar", ".")
    shutil.rmtree(work / "untar")


def works(work, scale):
    heavy = scale["heavy_rounds"]
    yield from tree_works(scale["files"], scale["create"], heavy)
    yield from git_status_works(scale["git"])
    yield git_clone_work(work / "template", scale["git"], heavy)
    yield untar_work(work / "untar.tar", scale["untar"], heavy)
