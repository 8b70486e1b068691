# SPDX-License-Identifier: MIT
"""The policy: what is locked, warm, never cached, by name; new files; reloads; limits."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

import mmapfs
from mmapfs import MIB, NOBODY, PAGE, errno_of, run_as, wait_until

MANUAL = mmapfs.TOP / "docs" / "man" / "mmapfs.8.scd"

pytestmark = pytest.mark.usefixtures("source")


def policy(root):
    """The root's user.mmapfs.policy: its key=value lines, and the sections as a list."""
    lines = mmapfs.getattr(root, "policy").splitlines()
    fields = dict(line.split("=", 1) for line in lines if re.match(r"[a-z_]+=", line))
    fields = {key: int(value) if value.isdigit() else value for key, value in fields.items()}
    fields["list"] = [line for line in lines if line.startswith("[")]
    return fields


def settled(mounted):
    """Wait until nothing is left to be done; what the attribute says then."""
    wait_until(lambda: policy(mounted.point)["state"] == "idle", 60, "the end of the work")
    return policy(mounted.point)


def reload(mounted):
    mmapfs.setattr(mounted.point, "policy", "reload")


def is_locked(path):
    """All of it, in fact: it survives what drops every other page."""
    fields = mmapfs.stat(path)
    return fields["locked"] == fields["pages"] > 0


def is_immune(source_path):
    """Pages stay when somebody asks the kernel to drop them."""
    mmapfs.evict_by_hand(source_path)
    return mmapfs.cachestat(source_path)[0] >= mmapfs.pages(os.stat(source_path).st_size)


@pytest.fixture
def rules(base):
    path = base / "policy"

    def write(*lines):
        path.write_text("".join(line + "\n" for line in lines))
        return path

    return write


@pytest.fixture
def start(mount, source):
    """start(options): the source mounted with them, once all that is there is treated."""

    def mounted(options, **more):
        one = mount(source, f"allow_other,{options}", **more)
        settled(one)
        return one

    return mounted


# ---- starting --------------------------------------------------------------------------


@pytest.mark.parametrize("text, where, why", [
    ("[*.x]\nlock = maybe\n", ":2: ", 'bad value "maybe" of lock: yes or no'),
    ("\n\nwarm = yes\n", ":3: ", '"warm" outside of a section'),
    ("[a\nlock = yes\n", ":1: ", 'no "]" at the end of "[a"'),
    ("[a/**b]\n", ":1: ", '"**" must stand alone between slashes'),
    ("[*]\nnever = cache\nlock = yes\n", ":3: ", "contradicts"),
    ("[*]\n\x00\n", ":2: ", 'neither "[GLOB]" nor "KEY = VALUE"'),
])
def test_a_syntax_error_names_file_line_and_reason(text, where, why, base, source):
    (base / "mnt").mkdir()
    (base / "rules").write_text(text)
    check_failed_start(base, source, where, why)


def test_a_policy_may_not_be_of_any_size(base, source):
    (base / "mnt").mkdir()
    (base / "rules").write_text("#" * MIB + "\n")
    check_failed_start(base, source, ": ", "larger than 1048576 bytes")


def check_failed_start(base, source, where, why):
    result = mmapfs.run_daemon(source, base / "mnt", "-o", f"policy={base}/rules")
    assert result.returncode == 1
    line, = result.stderr.splitlines()
    assert line.startswith(f"mmapfs: {base}/rules{where}") and why in line
    assert not mmapfs.mounts_below(base)


@pytest.mark.parametrize("option, why", [
    ("policy=none", "/none': No such file or directory"),
    ("policy=/etc", "cannot read the policy '/etc': Is a directory"),
    ("policy=fifo", "/fifo': it is no regular file"),
    ("policy=loop", "/loop': Too many levels of symbolic links"),
    ("policy=", "bad value in option 'policy='"),
    ("policy=mnt/rules", "cannot be on the mount that it is for"),
    ("lock=a//b", 'option lock: bad pattern "a//b": it has two slashes in a row'),
    ("warm=[a", 'option warm: bad pattern "[a": "[" without "]"'),
    ("policy_rescan=soon", "bad value in option 'policy_rescan=soon'"),
])
def test_an_option_that_cannot_be_says_so(option, why, base, source):
    (base / "mnt").mkdir()
    (base / "mnt" / "rules").write_text("")
    os.mkfifo(base / "fifo")
    (base / "loop").symlink_to("loop")
    result = mmapfs.run_daemon(source, base / "mnt", "-o", option, cwd=base)
    assert result.returncode == 1
    line, = result.stderr.splitlines()
    assert line.startswith("mmapfs: ") and why in line
    assert not mmapfs.mounts_below(base)


def test_without_a_policy_there_is_none(source, mount):
    mounted = mount(source)
    assert mmapfs.getattr(mounted.point, "policy") == "state=none\n"
    assert errno_of(reload, mounted) == "EOPNOTSUPP"


def test_a_relative_file_is_found_again_from_the_background(base, source, rules):
    rules("[*.x]", "lock = yes")
    point = base / "mnt"
    point.mkdir()
    result = mmapfs.run_daemon("source", "mnt", "-o", "policy=policy", cwd=base)
    assert result.returncode == 0, result.stderr
    rules("[*.y]", "warm = yes")
    mmapfs.setattr(point, "policy", "reload")
    assert policy(point)["list"] == ["[*.y] warm=yes"]
    assert policy(point)["file"] == str(base / "policy")
    subprocess.run(["umount", point], check=True)


def test_the_example_of_the_manual_is_a_policy(start, base):
    text = MANUAL.read_text().split("# POLICY FILE")[1].split("```")[1]
    (base / "example").write_text(text)
    fields = policy(start(f"policy={base}/example").point)
    assert fields["sections"] == text.count("\n[") > 2


# ---- locks -----------------------------------------------------------------------------


def test_what_matches_is_locked_when_the_mount_begins(start, source, rules, data_path):
    (source / "d" / "e").mkdir(parents=True)
    for name in ("a.x", "a.y", "d/b.x", "d/e/c.z", "d/c.z"):
        mmapfs.fill(source / name, MIB + 100)
    (source / "empty.x").write_bytes(b"")
    path = rules("[*.x]", "lock = yes", "[d/**/c.z]", "lock = yes", "[/d/c.z]", "lock = no")
    mounted = start(f"data_path={data_path},policy={path}")
    assert policy(mounted.point)["locked_files"] == 3
    assert policy(mounted.point)["locked_bytes"] == 3 * 257 * PAGE
    for name, locked in (("a.x", True), ("a.y", False), ("d/b.x", True), ("d/e/c.z", True),
                         ("d/c.z", False)):
        assert is_locked(mounted / name) == locked, name
        if locked:
            assert is_immune(source / name), name
    assert mmapfs.number(mounted.point, "locked") == 3 * 257
    mounted.unmount()
    assert not is_immune(source / "a.x")


def test_the_options_lock_and_warm_can_be_repeated(start, source):
    for name in ("a.x", "b.y", "c.z"):
        mmapfs.fill(source / name, MIB)
    mounted = start("lock=*.x,lock=*.y,warm=*.z")
    fields = policy(mounted.point)
    assert fields["list"] == ["[*.x] lock=yes", "[*.y] lock=yes", "[*.z] warm=yes"]
    assert fields["locked_files"] == 2
    assert fields["warmed_files"] == 1
    assert is_locked(mounted / "a.x") and is_locked(mounted / "b.y")
    assert not is_locked(mounted / "c.z")


def test_commas_and_backslashes_in_an_option_are_escaped(start, source):
    for name in ("a,b", "a*b", "aXb"):
        mmapfs.fill(source / name, MIB)
    mounted = start("lock=a\\,?,lock=a\\\\*b")
    assert policy(mounted.point)["list"] == ["[a,?] lock=yes", "[a\\*b] lock=yes"]
    assert [is_locked(mounted / name) for name in ("a,b", "a*b", "aXb")] == [True, True, False]


def test_a_new_file_is_locked_once_it_is_written(start, source, data_path):
    mounted = start(f"lock=*.x,data_path={data_path}")
    shutil.copyfile(mmapfs.fill(source / "f", 3 * MIB), mounted / "new.x")
    wait_until(lambda: is_locked(mounted / "new.x"), what="the lock")
    assert is_immune(source / "new.x")
    with open(mounted / "new.x", "ab") as file:
        file.write(b"x" * MIB)
    wait_until(lambda: is_locked(mounted / "new.x"), what="the lock of what was appended")
    assert mmapfs.number(mounted / "new.x", "locked") == 4 * 256
    os.truncate(mounted / "new.x", 2 * MIB)
    reload(mounted)
    assert settled(mounted)["locked_bytes"] == 2 * MIB


def test_a_name_that_comes_to_match_is_locked_and_one_that_no_longer_does_is_not(
        start, source, rules):
    (source / "d").mkdir()
    for name in ("a", "b", "c.x"):
        mmapfs.fill(source / name, MIB)
    mounted = start(f"policy={rules('[*.x]', 'lock = yes', '[d/*]', 'lock = yes')}")
    os.rename(mounted / "a", mounted / "a.x")
    wait_until(lambda: is_locked(mounted / "a.x"), what="the lock")
    os.rename(mounted / "a.x", mounted / "d" / "a")
    assert is_locked(mounted / "d" / "a")
    os.rename(mounted / "d" / "a", mounted / "a")
    wait_until(lambda: mmapfs.number(mounted / "a", "locked") == 0, what="the unlock")
    mmapfs.renameat2(mounted / "b", mounted / "c.x", mmapfs.RENAME_EXCHANGE)
    wait_until(lambda: is_locked(mounted / "c.x"), what="the lock")
    wait_until(lambda: mmapfs.number(mounted / "b", "locked") == 0, what="the unlock")
    assert settled(mounted)["locked_files"] == 1


def test_a_moved_directory_takes_its_files_in_and_out_of_a_path(start, source, rules):
    (source / "staging" / "v2" / "deep").mkdir(parents=True)
    (source / "live").mkdir()
    for name in ("one", "deep/two"):
        mmapfs.fill(source / "staging" / "v2" / name, MIB)
    mounted = start(f"policy={rules('[live/**]', 'lock = yes', 'warm = yes')}")
    assert policy(mounted.point)["locked_files"] == 0
    os.rename(mounted / "staging" / "v2", mounted / "live" / "v2")
    fields = settled(mounted)
    assert fields["locked_files"] == fields["warmed_files"] == 2
    assert is_locked(mounted / "live" / "v2" / "deep" / "two")
    os.rename(mounted / "live", mounted / "dead")
    assert settled(mounted)["locked_files"] == 0
    assert mmapfs.number(mounted.point, "locked") == 0


def test_a_deleted_file_is_let_go(start, source):
    for name in ("a.x", "b.x", "c.x", "other"):
        mmapfs.fill(source / name, 4 * MIB)
    mounted = start("lock=*.x")
    assert policy(mounted.point)["locked_files"] == 3
    status = pathlib.Path(f"/proc/{mounted.process.pid}/status")
    assert int(re.search(r"VmLck:\s+(\d+)", status.read_text())[1]) == 12 * 1024
    os.unlink(mounted / "a.x")
    os.rename(mounted / "other", mounted / "b.x")
    wait_until(lambda: policy(mounted.point)["locked_bytes"] == 8 * MIB, what="the release")
    assert settled(mounted)["locked_files"] == 2
    assert is_locked(mounted / "b.x") and is_locked(mounted / "c.x")
    assert int(re.search(r"VmLck:\s+(\d+)", status.read_text())[1]) == 8 * 1024


def test_a_file_with_several_names_is_locked_while_one_of_them_matches(start, source):
    mmapfs.fill(source / "a.x", MIB)
    os.link(source / "a.x", source / "a.y")
    mounted = start("lock=*.x")
    for _ in range(3):
        assert is_locked(mounted / "a.y") and is_locked(mounted / "a.x")
        reload(mounted)
        settled(mounted)
    os.unlink(mounted / "a.x")
    reload(mounted)
    assert settled(mounted)["locked_files"] == 0
    os.link(mounted / "a.y", mounted / "b.x")
    wait_until(lambda: is_locked(mounted / "a.y"), what="the lock")


def test_what_was_said_by_hand_holds_until_the_next_reload(start, source):
    for name in ("a.x", "b.y"):
        mmapfs.fill(source / name, MIB)
    mounted = start("lock=*.x,policy_rescan=1")
    mmapfs.setattr(mounted / "a.x", "lock", "off")
    mmapfs.setattr(mounted / "b.y", "lock", "on")
    walks = policy(mounted.point)["walks"]
    wait_until(lambda: policy(mounted.point)["walks"] > walks + 1, what="two walks")
    assert mmapfs.number(mounted / "a.x", "locked") == 0
    assert is_locked(mounted / "b.y")
    reload(mounted)
    settled(mounted)
    assert is_locked(mounted / "a.x") and is_locked(mounted / "b.y")


def test_what_is_locked_ends_at_the_limit_and_is_told(start, source, rules):
    for index in range(6):
        mmapfs.fill(source / f"{index}.x", MIB)
    mmapfs.fill(source / "large.x", 8 * MIB)
    mounted = start(f"lock_limit=4M,policy={rules('[*.x]', 'lock = yes')}")
    fields = policy(mounted.point)
    assert (fields["locked_files"], fields["locked_bytes"]) == (4, 4 * MIB)
    assert (fields["lock_refused_files"], fields["lock_refused_bytes"]) == (3, 10 * MIB)
    assert mmapfs.number(mounted.point, "locked") == 4 * 256
    line, = [line for line in mounted.text().splitlines() if "are to be locked" in line]
    assert line.startswith("mmapfs: policy: 3 files, 10485760 bytes, are to be locked and are "
                           "not: 4194304 bytes in 4 files are; the limits are 4194304 bytes")
    metrics = mmapfs.getattr(mounted.point, "metrics").splitlines()
    assert 'mmapfs_policy_files{state="locked"} 4' in metrics
    assert 'mmapfs_policy_files{state="lock_refused"} 3' in metrics
    assert "mmapfs_policy_lock_refused_bytes 10485760" in metrics
    # Room that becomes free is used.
    locked = [name for name in os.listdir(source) if is_locked(mounted / name)]
    os.rename(mounted / locked[0], mounted / "out")
    wait_until(lambda: policy(mounted.point)["lock_refused_files"] == 2, what="the next lock")
    fields = settled(mounted)
    assert (fields["locked_files"], fields["locked_bytes"]) == (4, 4 * MIB)
    # Once for each policy.
    assert mounted.text().count("are to be locked") == 1
    reload(mounted)
    settled(mounted)
    assert mounted.text().count("are to be locked") == 2


def test_the_limit_of_descriptors_holds(source, mount):
    for index in range(300):
        (source / f"{index}.x").write_bytes(b"x" * PAGE)
    mounted = mount(source, "allow_other,lock=*.x", nofile=256)
    fields = settled(mounted)
    assert fields["locked_files"] + fields["lock_refused_files"] == 300
    assert 100 < fields["locked_files"] <= 128
    assert "and 128 files (RLIMIT_NOFILE)" in mounted.text()
    # The other half is for those who use the mount.
    opened = [open(mounted / f"{index}.x", "r+b") for index in range(60)]
    assert len(opened) == 60
    for file in opened:
        file.close()


# ---- warm ------------------------------------------------------------------------------


def test_what_matches_is_read_in_when_the_mount_begins(start, source, data_path):
    (source / "d").mkdir()
    for name in ("a.x", "d/b.x", "c.y"):
        mmapfs.fill(source / name, 2 * MIB)
        mmapfs.evict_by_hand(source / name)
    mounted = start(f"warm=*.x,data_path={data_path}")
    fields = policy(mounted.point)
    assert fields["warmed_files"] == 2
    assert fields["warmed_bytes"] == 4 * MIB
    assert fields["walks"] == 1

    def is_warm():
        # Something on this machine evicts what nobody maps: look at once.
        before = policy(mounted.point)["warmed_files"]
        mmapfs.evict_by_hand(source / "a.x")
        reload(mounted)
        wait_until(lambda: policy(mounted.point)["warmed_files"] == before + 2, what="warm")
        return mmapfs.resident_by_hand(source / "a.x") == 512

    wait_until(is_warm, what="a warm file")


def test_a_new_file_is_warmed_and_a_changed_one_is_not(start, source):
    mmapfs.fill(source / "old.x", 4 * MIB)
    mmapfs.fill(source / "aside", MIB)
    mounted = start("warm=*.x,policy_rescan=1")
    assert policy(mounted.point)["warmed_files"] == 1
    time.sleep(1.1)  # the slack of the clocks: what is younger counts as new
    walks = policy(mounted.point)["walks"]
    wait_until(lambda: policy(mounted.point)["walks"] > walks + 1, what="two walks")
    mmapfs.evict_by_hand(source / "old.x")
    with open(mounted / "old.x", "r+b") as file:
        file.write(b"changed")
    # Made, made behind the mount's back, moved there.
    shutil.copyfile(source / "aside", mounted / "new.x")
    shutil.copyfile(source / "aside", source / "behind.x")
    os.rename(mounted / "aside", mounted / "moved.x")
    wait_until(lambda: policy(mounted.point)["warmed_files"] >= 4, what="three files")
    walks = policy(mounted.point)["walks"]
    wait_until(lambda: policy(mounted.point)["walks"] > walks + 1, what="two walks")
    assert mmapfs.cachestat(source / "old.x")[0] < 512


def test_warming_stops_at_the_budget(start, source):
    for index in range(8):
        mmapfs.fill(source / f"{index}.x", 4 * MIB)
        mmapfs.evict_by_hand(source / f"{index}.x")
    mounted = start("warm=*.x,budget=16M")
    fields = policy(mounted.point)
    assert fields["warmed_files"] + fields["warm_no_room_files"] == 8
    assert 2 <= fields["warmed_files"] <= 4
    assert fields["warmed_bytes"] <= 16 * MIB
    assert fields["warm_no_room_bytes"] == fields["warm_no_room_files"] * 4 * MIB
    assert mounted.text().count("are to be warm and are not") == 1


# ---- never, advice ---------------------------------------------------------------------


def test_what_is_never_cached_goes_with_its_last_close(start, source, rules, data_path):
    mmapfs.fill(source / "a.log", 4 * MIB)
    mounted = start(f"data_path={data_path},policy={rules('[*.log]', 'never = cache')}")
    with open(mounted / "a.log", "rb") as one:
        with open(mounted / "a.log", "rb") as other:
            other.read()
        one.read()
        assert policy(mounted.point)["dropped_files"] == 0
    wait_until(lambda: policy(mounted.point)["dropped_files"] == 1, what="the drop")
    assert mmapfs.cachestat(source / "a.log")[0] == 0
    # What somebody still has mapped goes when nobody has.
    with mmapfs.hold(source / "a.log"):
        (mounted / "a.log").read_bytes()
        wait_until(lambda: policy(mounted.point)["state"] == "busy", what="a try")
        assert policy(mounted.point)["dropped_files"] == 1
    wait_until(lambda: policy(mounted.point)["dropped_files"] == 2, what="the drop")
    assert mmapfs.cachestat(source / "a.log")[0] == 0
    # What is not written yet goes when it is.
    (mounted / "b.log").write_bytes(b"x" * MIB)
    wait_until(lambda: policy(mounted.point)["dropped_files"] == 3, what="the drop")
    assert mmapfs.cachestat(source / "b.log")[0] == 0
    assert (source / "b.log").read_bytes() == b"x" * MIB


def test_advice_follows_the_name_and_gives_way_to_the_hand(start, source, rules, data_path):
    for name in ("a.x", "b.x", "c.y"):
        mmapfs.fill(source / name, MIB)
    path = rules("[*.x]", "advice = random")
    mounted = start(f"data_path={data_path},policy={path}")
    with open(mounted / "a.x", "rb") as file:
        file.read(10)
        assert mmapfs.getattr(mounted / "a.x", "advise") == "random"
        assert mmapfs.stat(mounted / "a.x")["advice"] == "random"
        assert mmapfs.getattr(mounted / "c.y", "advise") == "normal"
        mmapfs.setattr(mounted / "b.x", "advise", "normal")
        rules("[*]", "advice = sequential")
        reload(mounted)
        settled(mounted)
        assert mmapfs.getattr(mounted / "a.x", "advise") == "sequential"
        assert mmapfs.getattr(mounted / "b.x", "advise") == "normal"
        if data_path == "mapped":
            smaps = pathlib.Path(f"/proc/{mounted.process.pid}/smaps").read_text()
            flags = smaps.split("a.x")[1].split("VmFlags:")[1].splitlines()[0]
            assert " sr" in flags and " rr" not in flags


# ---- reload ----------------------------------------------------------------------------


def by_attribute(mounted):
    reload(mounted)


def by_signal(mounted):
    before = policy(mounted.point)
    mounted.process.send_signal(signal.SIGHUP)
    wait_until(lambda: sum(policy(mounted.point)[key] - before[key]
                           for key in ("reloads", "reload_errors")) == 1, what="the reload")


@pytest.mark.parametrize("again", [by_attribute, by_signal])
def test_a_reload_changes_what_is_treated_how(again, start, source, rules):
    for name in ("a.x", "b.y", "c.z"):
        mmapfs.fill(source / name, MIB)
    mounted = start(f"policy={rules('[*.x]', 'lock = yes', '[*.y]', 'lock = yes')}")
    rules("[*.y]", "lock = yes", "[*.z]", "lock = yes", "priority = 70")
    again(mounted)
    fields = settled(mounted)
    assert fields["reloads"] == 1
    assert fields["list"] == ["[*.y] lock=yes", "[*.z] lock=yes priority=70"]
    assert fields["locked_files"] == 2
    assert [is_locked(mounted / name) for name in ("a.x", "b.y", "c.z")] == [False, True, True]
    assert "policy read again: 2 sections" in mounted.text()


@pytest.mark.parametrize("again", [by_attribute, by_signal])
def test_a_reload_with_an_error_keeps_the_old_policy_and_says_so(again, start, source, rules):
    mmapfs.fill(source / "a.x", MIB)
    path = rules("[*.x]", "lock = yes")
    mounted = start(f"policy={path}")
    rules("[*.x]", "lock = yes", "", "prio = 5")
    why = f'{path}:4: unknown key "prio": advice, lock, warm, priority or never'
    if again is by_attribute:
        assert errno_of(reload, mounted) == "EINVAL"
    else:
        by_signal(mounted)
    fields = settled(mounted)
    assert (fields["reloads"], fields["reload_errors"]) == (0, 1)
    assert fields["reload_error"] == why
    assert f"mmapfs: {why}; the old policy stays\n" in mounted.text()
    assert fields["list"] == ["[*.x] lock=yes"]
    assert is_locked(mounted / "a.x")
    path.unlink()
    assert errno_of(reload, mounted) == "ENOENT"
    why = f"cannot read the policy '{path}': No such file or directory"
    assert policy(mounted.point)["reload_error"] == why
    assert f"mmapfs: {why}; the old policy stays\n" in mounted.text()
    rules("[*.x]", "warm = yes")
    reload(mounted)
    fields = settled(mounted)
    assert "reload_error" not in fields
    assert fields["locked_files"] == 0 and not is_locked(mounted / "a.x")


def test_who_may_reload_and_with_which_words(start, source):
    source.chmod(0o777)
    mounted = start("lock=*.x")
    for value in ("", "again", "reload now", "reload" * 30):
        assert errno_of(mmapfs.setattr, mounted.point, "policy", value) == "EINVAL"
    assert errno_of(run_as, NOBODY, lambda: reload(mounted)) == "EPERM"
    assert run_as(NOBODY, lambda: policy(mounted.point)["state"]) == "idle"
    (source / "d").mkdir()
    assert errno_of(mmapfs.getattr, mounted / "d", "policy") == "ENODATA"
    assert errno_of(mmapfs.setattr, mounted / "d", "policy", "reload") == "EOPNOTSUPP"
    reload(mounted)


def test_a_policy_can_be_reloaded_under_load(start, source, rules, data_path):
    for index in range(40):
        mmapfs.fill(source / f"{index}.x", 128 * 1024, seed=index)
    wanted = {index: (source / f"{index}.x").read_bytes() for index in range(40)}
    path = rules("[*.x]", "lock = yes")
    mounted = start(f"data_path={data_path},policy={path}")
    stop, wrong, done = threading.Event(), [], [0] * 4

    def work(number):
        try:
            while not stop.is_set():
                index = (number + done[number]) % 40
                if (mounted / f"{index}.x").read_bytes() != wanted[index]:
                    wrong.append(f"{index}.x")
                new = mounted / f"new{number}.x"
                new.write_bytes(wanted[index])
                os.rename(new, mounted / f"new{number}.y")
                if (mounted / f"new{number}.y").read_bytes() != wanted[index]:
                    wrong.append(f"new{number}")
                os.unlink(mounted / f"new{number}.y")
                done[number] += 1
        except OSError as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    bodies = [("[*.x]", "lock = yes"), ("[*.y]", "warm = yes", "[*]", "never = cache"),
              ("[**]", "warm = yes", "[/1?.x]", "lock = yes"), ("lock = yes",)]
    for count in range(60):
        rules(*bodies[count % 4])
        assert errno_of(reload, mounted) == ("EINVAL" if count % 4 == 3 else None)
    rules(*bodies[0])
    reload(mounted)
    wait_until(lambda: min(done) > 20 or wrong, what="some load")
    stop.set()
    for thread in threads:
        thread.join(mmapfs.DEADLINE)
        assert not thread.is_alive()
    assert not wrong
    fields = settled(mounted)
    assert (fields["reloads"], fields["reload_errors"]) == (46, 15)
    wait_until(lambda: policy(mounted.point)["locked_files"] == 40, what="only what is there")
    assert all(is_locked(mounted / f"{index}.x") for index in range(40))
    assert settled(mounted)["locked_bytes"] == 40 * 128 * 1024


# ---- much at once ----------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_new_files_are_all_treated(start, source):
    mounted = start("lock=*.x,warm=*.y")
    for index in range(5000):
        (mounted / f"{index}.x").write_bytes(b"x" * 100)
        (mounted / f"{index}.y").write_bytes(b"y" * 100)
    wait_until(lambda: policy(mounted.point)["locked_files"] +
               policy(mounted.point)["lock_refused_files"] == 5000, 60, "all locks")
    fields = settled(mounted)
    assert fields["failed_files"] == 0
    assert fields["locked_bytes"] == fields["locked_files"] * PAGE
    assert fields["warmed_files"] >= 5000
    assert is_locked(mounted / "0.x")
    shutil.rmtree(mounted / "none", ignore_errors=True)
    for index in range(5000):
        os.unlink(mounted / f"{index}.x")
    wait_until(lambda: policy(mounted.point)["locked_files"] == 0, what="the release")


@pytest.mark.slow
def test_ten_thousand_files_made_behind_the_mount_are_all_found(start, source):
    mounted = start("lock=*.x,policy_rescan=1")
    for index in range(10000):
        (source / f"{index}.x").write_bytes(b"x")
    subprocess.run(["find", mounted.point, "-size", "0"], check=True)
    wait_until(lambda: policy(mounted.point)["locked_files"] +
               policy(mounted.point)["lock_refused_files"] == 10000, 60, "all locks")
    fields = settled(mounted)
    assert fields["failed_files"] == 0
    assert fields["locked_files"] > 1000


def test_changes_behind_the_mount_are_found_by_the_next_walk(start, source):
    for name in ("a.x", "b.x", "c"):
        mmapfs.fill(source / name, MIB)
    mounted = start("lock=*.x,policy_rescan=1")
    mmapfs.fill(source / "new.x", MIB)
    os.unlink(source / "a.x")
    os.rename(source / "b.x", source / "b")
    with open(source / "c", "ab") as file:
        file.write(b"x" * MIB)
    os.rename(source / "c", source / "c.x")
    wait_until(lambda: policy(mounted.point)["locked_bytes"] == 3 * MIB and
               policy(mounted.point)["locked_files"] == 2, what="the changes")
    assert is_locked(mounted / "c.x") and is_locked(mounted / "new.x")
    assert mmapfs.number(mounted / "b", "locked") == 0


@pytest.mark.parametrize("option", ["lock", "warm"])
def test_an_unmount_does_not_wait_for_the_policy(option, source, mount):
    mmapfs.fill(source / "large.x", 512 * MIB)
    mmapfs.evict_by_hand(source / "large.x")
    mounted = mount(source, f"allow_other,{option}=*.x,lock_limit=1G")
    mounted.unmount()


# ---- other mounts ----------------------------------------------------------------------


def test_a_read_only_mount_has_a_policy_too(start, source, rules):
    mmapfs.fill(source / "a.x", MIB)
    mounted = start(f"ro,policy={rules('[*.x]', 'lock = yes')}")
    assert is_locked(mounted / "a.x")
    rules("[*.x]", "warm = yes")
    assert errno_of(reload, mounted) == "EROFS"
    by_signal(mounted)
    assert settled(mounted)["locked_files"] == 0


def test_a_user_s_policy_is_bounded_by_the_user_s_own_limit(base, source, mount):
    if not shutil.which("fusermount3") or \
            not os.stat(shutil.which("fusermount3")).st_mode & 0o4000:
        pytest.skip("no fusermount3 that is setuid root")
    mode = os.stat("/dev/fuse").st_mode
    os.chmod("/dev/fuse", 0o666)
    os.chown(base, NOBODY, NOBODY)
    os.chown(source, NOBODY, NOBODY)
    for index in range(20):
        mmapfs.fill(source / f"{index}.x", MIB)
        os.chown(source / f"{index}.x", NOBODY, NOBODY)
    try:
        mounted = mount(source, "lock=*.x,warm=*", uid=NOBODY)

        def fields():
            return run_as(NOBODY, lambda: policy(mounted.point))

        wait_until(lambda: fields()["state"] == "idle", what="the end of the work")
        found = fields()
        assert found["locked_files"] + found["lock_refused_files"] == 20
        assert 0 < found["locked_files"] < 20
        assert found["warmed_files"] == 20
        assert "20 files" not in mounted.text() and "are to be locked" in mounted.text()
        run_as(NOBODY, lambda: reload(mounted))
    finally:
        os.chmod("/dev/fuse", mode & 0o7777)
