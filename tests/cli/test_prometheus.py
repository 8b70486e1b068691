# SPDX-License-Identifier: MIT
"""mmapctl metrics: the counters of a mount from any path on it, and the manual's recipe."""

import errno
import os
import pathlib
import re
import subprocess

import pytest

import exposition
import mmapctl as tool
import mmapfs

MANUAL = mmapfs.TOP / "docs" / "man" / "mmapctl.1.scd"


@pytest.fixture
def mounted(source, mount):
    (source / "d" / "e").mkdir(parents=True)
    mmapfs.fill(source / "d" / "f", mmapfs.PAGE)
    (source / "link").symlink_to("d/f")
    return mount(source)


def metrics(*arguments, **options):
    return exposition.Metrics(tool.run("metrics", *arguments, **options).stdout)


def mountpoints(found):
    return {dict(labels).get("mountpoint") for _, labels in found.samples}


# ---- what is printed -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "d", "d/e", "d/f", "link", "d/e/.."])
def test_any_path_of_the_mount_will_do(mounted, path):
    assert mountpoints(metrics(mounted.point / path)) == {str(mounted.point)}


def test_a_relative_path_will_do(mounted):
    assert mountpoints(metrics("e", cwd=mounted.point / "d")) == {str(mounted.point)}
    assert mountpoints(metrics(".", cwd=mounted.point)) == {str(mounted.point)}


def test_it_is_the_attribute_with_one_more_label(mounted):
    mmapfs.getattr(mounted.point, "metrics")  # Python asks twice, first with too little room
    printed = tool.run("metrics", mounted.point).stdout
    attribute = mmapfs.getattr(mounted.point, "metrics")
    label = f'mountpoint="{mounted.point}"'
    without = printed.replace("{" + label + "}", "").replace(label + ",", "")

    def shape(text):
        """The reading itself counts: all but the values."""
        return [line if line.startswith("#") else line.rsplit(" ", 1)[0]
                for line in text.splitlines()]
    assert shape(without) == shape(attribute)
    # A label on every sample, and only there.
    assert printed.count(label) == sum(not line.startswith("#")
                                       for line in printed.splitlines())


def test_counters_are_those_of_the_mount(mounted):
    before = metrics(mounted.point)
    for i in range(13):
        assert mmapfs.errno_of(os.stat, mounted / f"no{i}") == "ENOENT"
    after = metrics(mounted.point)
    where = {"mountpoint": str(mounted.point)}
    assert (after.value("errors_total", errno="ENOENT", **where) -
            (before.value("errors_total", errno="ENOENT", **where) or 0)) == 13


def test_any_name_of_a_mountpoint_is_escaped(base, source):
    point = base / 'a"b\\c\nd\xe4'
    point.mkdir()
    mounted = mmapfs.Mount(source, point, base / "log", "allow_other")
    # mountinfo writes such names in a way of its own.
    mounted._is_up = lambda: point.is_mount()  # pylint: disable=protected-access
    mounted.start()
    try:
        assert mountpoints(metrics(point)) == {str(point)}
    finally:
        subprocess.run(["umount", str(point)], check=True)
        assert mounted.process.wait(mmapfs.DEADLINE) == 0


def test_two_mounts_have_no_series_in_common(source, base, mount):
    other = base / "other"
    other.mkdir()
    first, second = mount(source), mount(other)
    texts = [tool.run("metrics", one.point).stdout for one in (first, second)]
    samples = [set(exposition.Metrics(text).samples) for text in texts]
    assert not samples[0] & samples[1]


def test_a_mount_within_a_mount_is_the_one_that_is_meant(source, base, mount):
    (source / "inner").mkdir()
    outer = mount(source)
    inner = base / "more"
    inner.mkdir()
    nested = mmapfs.Mount(inner, outer.point / "inner", base / "nested.log")
    nested.start()
    try:
        assert mountpoints(metrics(outer.point / "inner")) == {str(outer.point / "inner")}
        assert mountpoints(metrics(outer.point)) == {str(outer.point)}
    finally:
        assert nested.stop() == []


def test_an_ordinary_user_may_read_it(mounted):
    def read():
        return subprocess.run([str(tool.MMAPCTL), "metrics", str(mounted.point)],
                              capture_output=True, text=True, check=True).stdout
    assert mountpoints(exposition.Metrics(mmapfs.run_as(mmapfs.NOBODY, read)))


# ---- what is refused -------------------------------------------------------------------


def refused(*arguments, code=2, **options):
    done = tool.run("metrics", *arguments, code=code, **options)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_what_is_no_mount_is_named(source):
    mmapfs.fill(source / "f", mmapfs.PAGE)
    for path in (source, source / "f", "/", "/proc/self/status"):
        message = refused(path)
        assert f"cannot read the metrics of '{path}'" in message
        assert "it is not on a mounted mmapfs" in message
    assert os.strerror(errno.ENOENT) in refused(source / "no")
    assert os.strerror(errno.ENOTDIR) in refused(source / "f" / "x")


def test_wrong_usage_is_one_line(mounted):
    assert "one MOUNT" in refused(code=1)
    assert "one MOUNT" in refused(mounted.point, mounted.point, code=1)
    assert "--json" in refused("--json", mounted.point, code=1)


def test_help_has_an_example():
    assert "Example: mmapctl metrics" in tool.run("metrics", "--help").stdout


@pytest.mark.parametrize("part", ["d", "d/f"])
def test_a_part_bound_elsewhere_has_no_root(base, mounted, part):
    bound = base / "bound"
    if (mounted / part).is_dir():
        bound.mkdir()
    else:
        bound.touch()
    subprocess.run(["mount", "--bind", str(mounted / part), str(bound)], check=True)
    try:
        assert "only a part is visible" in refused(bound)
    finally:
        subprocess.run(["umount", str(bound)], check=True)


def test_a_root_that_may_not_be_read_is_said_so(mounted):
    mounted.point.chmod(0o711)
    def read():
        done = subprocess.run([str(tool.MMAPCTL), "metrics", str(mounted.point / "d")],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    code, out, err = mmapfs.run_as(mmapfs.NOBODY, read)
    assert (code, out) == (2, "")
    assert "the right to read the root" in err


def test_a_dead_daemon_is_an_error(mounted):
    mounted.kill()
    assert os.strerror(errno.ENOTCONN) in refused(mounted.point)


def test_output_that_cannot_be_written_is_an_error(mounted):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([str(tool.MMAPCTL), "metrics", str(mounted.point)], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "cannot write the output: " + os.strerror(errno.ENOSPC) in done.stderr


# ---- the recipe of the manual ----------------------------------------------------------


@pytest.fixture
def recipe():
    """The shell lines as they are printed, the only block of the section."""
    section = re.search(r"^## metrics\n(.*?)^## ", MANUAL.read_text(), re.S | re.M).group(1)
    lines, = re.findall(r"^```\n(.*?)^```$", section, re.S | re.M)
    return lines


def follow(recipe, point, where):
    """Run it with our directory and mount in the place of its own."""
    for its, ours in (("/var/lib/prometheus/node-exporter", where), ("/mnt/data", point)):
        assert recipe.count(its) == 1
        recipe = recipe.replace(its, str(ours))
    path = f"{tool.MMAPCTL.parent}:{os.environ['PATH']}"
    return subprocess.run(["sh", "-c", recipe], env={"PATH": path}, capture_output=True,
                          text=True, check=False)


def test_the_recipe_makes_a_file_for_the_collector(mounted, recipe, base):
    where = base / "textfile"
    where.mkdir()
    for _ in range(2):
        done = follow(recipe, mounted.point, where)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert os.listdir(where) == ["mmapfs.prom"]
    found = exposition.Metrics((where / "mmapfs.prom").read_text())
    assert mountpoints(found) == {str(mounted.point)}
    # The exporter runs as a user of its own.
    assert (where / "mmapfs.prom").stat().st_mode & 0o444 == 0o444


def test_the_recipe_takes_the_file_away_with_the_mount(mounted, recipe, base):
    where = base / "textfile"
    where.mkdir()
    follow(recipe, mounted.point, where)
    mounted.unmount()
    done = follow(recipe, mounted.point, where)
    assert done.returncode == 1
    assert "it is not on a mounted mmapfs" in done.stderr
    assert not (where / "mmapfs.prom").exists()
    assert follow(recipe, mounted.point, pathlib.Path("/nowhere")).returncode == 1
