# SPDX-License-Identifier: MIT
"""Programs that are compiled and executed on the mount, each also on a plain directory of the
same disk, with the same results."""

import os
import signal
import subprocess

import pytest

import apps
import mmapfs
from mmapfs import errno_of, run_as

ALICE, BOB = 12001, 12002

WHO = """#include <stdio.h>
#include <unistd.h>
int main(void)
{
	printf("%d %d %d %d", (int)getuid(), (int)geteuid(), (int)getgid(), (int)getegid());
	return 7;
}
"""
NAP = """#include <unistd.h>
int main(void)
{
	if (write(1, "up", 2) != 2)
		return 1;
	for (;;)
		pause();
}
"""
PLUGIN = "int answer(void) { return 42; }\n"

CASES = []


def case(function):
    CASES.append(pytest.param(function, id=function.__name__))
    return function


def compile_c(d, name, text, *flags):
    (d / f"{name}.c").write_text(text)
    apps.run("gcc", "-O1", "-o", d / name, d / f"{name}.c", *flags)
    return d / name


def output_of(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False,
                          timeout=apps.DEADLINE)
    return done.returncode, done.stdout


@pytest.mark.parametrize("act", CASES)
def test_is_as_on_the_source(act, base, source, mounted):
    (base / "native").mkdir()
    (source / "d").mkdir()
    assert act(mounted.point / "d") == act(base / "native")


@case
def a_program_that_was_just_linked(d):
    return output_of(compile_c(d, "who", WHO))


@case
def a_script_and_one_whose_interpreter_is_here_too(d):
    (d / "one").write_text('#!/bin/sh\necho "$1" "$#"\n')
    apps.run("cp", "/bin/dash", d / "shell")
    (d / "two").write_text(f'#!{d / "shell"}\necho "$1" "$#"\n')
    (d / "none").write_text("#!/nonexistent\n")
    for name in ("one", "two", "none"):
        os.chmod(d / name, 0o755)
    return (output_of(d / "one", "a b"), output_of(d / "two", "a b"),
            errno_of(lambda: output_of(d / "none")))


@case
def what_may_not_be_executed(d):
    (d / "data").write_bytes(b"no program")
    (d / "closed").write_text("#!/bin/sh\n")
    os.chmod(d / "closed", 0o700)
    os.mkdir(d / "sub")
    return [errno_of(lambda name=name: run_as(BOB, lambda: output_of(d / name)))
            for name in ("data", "closed", "sub", "none")]


@case
def a_set_id_program(d):
    """A set-user-ID, a set-group-ID one, and one whose bits fell when it was changed."""
    who = compile_c(d, "who", WHO)
    found = []
    for name, mode in (("u", 0o4755), ("g", 0o2755), ("both", 0o6755), ("dropped", 0o6777)):
        apps.run("cp", who, d / name)
        os.chown(d / name, BOB, BOB)
        os.chmod(d / name, mode)

        def change(path=d / name):
            with open(path, "r+b") as file:
                file.write(b"\x7f")
        if name == "dropped":
            run_as(ALICE, change)
        found.append(run_as(ALICE, lambda path=d / name: output_of(path)))
    return found


@case
def a_running_program_cannot_be_written(d):
    """ETXTBSY one way and the other."""
    nap = compile_c(d, "nap", NAP)
    process = subprocess.Popen([nap], stdout=subprocess.PIPE)
    assert process.stdout.read(2) == b"up"
    found = [errno_of(os.open, nap, os.O_WRONLY), errno_of(os.truncate, nap, 0)]
    process.kill()
    process.wait(apps.DEADLINE)
    process.stdout.close()
    fd = os.open(nap, os.O_RDWR)
    found.append(errno_of(lambda: output_of(nap)))
    os.close(fd)
    return found


@case
def a_running_program_can_be_replaced_and_removed(d):
    nap = compile_c(d, "nap", NAP)
    process = subprocess.Popen([nap], stdout=subprocess.PIPE)
    assert process.stdout.read(2) == b"up"
    compile_c(d, "new", WHO)
    os.rename(d / "new", nap)
    found = [output_of(nap)]
    os.unlink(nap)
    found += [process.poll(), errno_of(lambda: output_of(nap))]
    process.terminate()
    process.stdout.close()
    return [*found, process.wait(apps.DEADLINE) == -signal.SIGTERM]


@case
def a_shared_library_and_a_program_linked_to_it(d):
    compile_c(d, "libanswer.so", PLUGIN, "-shared", "-fPIC")
    user = compile_c(d, "user", "int answer(void);\nint main(void) { return answer(); }\n",
                     f"-L{d}", "-lanswer", f"-Wl,-rpath,{d}")
    os.chmod(d / "libanswer.so", 0o755)
    return output_of(user)


@case
def a_program_by_a_descriptor(d):
    """fexecve(3), with a name and without one."""
    who = compile_c(d, "who", WHO)
    fd = os.open(who, os.O_RDONLY | os.O_CLOEXEC)
    os.unlink(who)
    done = subprocess.run(["who"], executable=f"/proc/{os.getpid()}/fd/{fd}",
                          capture_output=True, check=False, timeout=apps.DEADLINE)
    os.close(fd)
    return done.returncode, done.stdout


@case
def file_capabilities_count(d):
    """A program with cap_setuid, run by somebody without any."""
    change = compile_c(d, "change", """#include <unistd.h>
int main(void) { return setuid(12002) == 0 ? (int)(getuid() == 12002) : 9; }
""")
    os.chmod(change, 0o755)
    before = run_as(ALICE, lambda: output_of(change))
    os.setxattr(change, "security.capability",
                bytes.fromhex("0100000280000000000000000000000000000000"))
    return before, run_as(ALICE, lambda: output_of(change))


def test_a_mount_with_nosuid_ignores_the_bits(source, mount, data_path):
    compile_c(source, "who", WHO)
    os.chown(source / "who", BOB, BOB)
    os.chmod(source / "who", 0o6755)
    mounted = mount(source, f"allow_other,nosuid,dev,data_path={data_path}")
    found = run_as(ALICE, lambda: output_of(mounted / "who"))
    assert found == (7, b"%d %d %d %d" % ((ALICE,) * 4))


def test_a_mount_with_noexec_executes_nothing(source, mount, data_path):
    compile_c(source, "who", WHO)
    mounted = mount(source, f"allow_other,noexec,data_path={data_path}")
    assert errno_of(lambda: output_of(mounted / "who")) == "EACCES"
    assert mmapfs.getattr(mounted / "who", "pages")
