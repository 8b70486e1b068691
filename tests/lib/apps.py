# SPDX-License-Identifier: MIT
"""Run applications for tests/apps: every one of them has a deadline, and none outlives it."""

import contextlib
import multiprocessing
import os
import pathlib
import re
import signal
import subprocess
import threading

import mmapfs

DEADLINE = 240.0  # also of a compiler, on a machine with a lot to do

_fork = multiprocessing.get_context("fork")


def run(*command, deadline=DEADLINE, **options):
    """The output of a command that must succeed; with all it started it ends in time."""
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        **options)
    try:
        output, _ = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"{command[0]} hung: {output[-2000:]}") from None
    assert process.returncode == 0, f"{command} {process.returncode}: {output[-2000:]}"
    return output


# ---- writers that are killed -----------------------------------------------------------


def counter():
    """A number that a child sets and its parent reads, also of one that was killed."""
    return _fork.RawValue("q", 0)


def start(work, *arguments):
    """work(*arguments) in a child that will not outlive this process."""
    child = _fork.Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


def kill(child):
    """kill -9, wherever it is."""
    child.kill()
    child.join(DEADLINE)
    assert child.exitcode == -signal.SIGKILL, f"it had ended before: {child.exitcode}"


def finish(child):
    """Wait until it has done its work."""
    child.join(DEADLINE)
    if child.is_alive():
        child.kill()
        child.join()
        raise AssertionError("a child hung")
    assert child.exitcode == 0


def reaches(progress, value):
    """Wait until a child has come that far."""
    mmapfs.wait_until(lambda: progress.value >= value, DEADLINE, f"progress {value}")


# ---- nothing hangs ---------------------------------------------------------------------


@contextlib.contextmanager
def bounded(mounted, deadline=2 * DEADLINE):
    """Kill the daemon when the time is over: whoever waits for it gets an errno then, and
    the mount's verdict tells."""
    timer = threading.Timer(deadline, mounted.process.kill)
    timer.start()
    try:
        yield mounted
    finally:
        timer.cancel()


def copy_of_this_project(target):
    """What a build needs of it, without what git or an editor keeps beside it."""
    parts = re.findall(r"^subdir\('(\w+)'\)", (mmapfs.TOP / "meson.build").read_text(), re.M)
    names = [*parts, *(path.name for path in mmapfs.TOP.iterdir() if path.is_file())]
    pathlib.Path(target).mkdir()
    run("cp", "-r", *(mmapfs.TOP / name for name in names), target)
