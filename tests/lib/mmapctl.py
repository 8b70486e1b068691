# SPDX-License-Identifier: MIT
"""Run mmapctl, and take its JSON apart."""

import contextlib
import json
import signal
import subprocess
import time

import mmapfs

MMAPCTL = mmapfs.BUILD / "tools" / "mmapctl"


def run(*arguments, code=0, **options):
    """The finished process; its exit code must be the expected one, or one of a tuple."""
    done = subprocess.run([str(MMAPCTL), *map(str, arguments)], capture_output=True,
                          text=True, timeout=120, check=False, **options)
    codes = code if isinstance(code, tuple) else (code,)
    assert done.returncode in codes, (done.returncode, done.stdout, done.stderr)
    return done


def report(*arguments, code=0, **options):
    """The whole JSON of a run."""
    return json.loads(run(*arguments, "--json", code=code, **options).stdout)


def action(*arguments, code=0, **options):
    """The "action" of the only file of a run."""
    files = report(*arguments, code=code, **options)["files"]
    assert len(files) == 1, files
    return files[0]["action"]


def max_rss_and_time(*arguments):
    """Bytes and seconds. By GNU time: what wait4 says of our own child has this process's
    memory in it."""
    begin = time.monotonic()
    done = subprocess.run(["/usr/bin/time", "-f", "%M", str(MMAPCTL), *map(str, arguments)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          check=True)
    return int(done.stderr.split()[-1]) * 1024, time.monotonic() - begin


def is_lean():
    """Sanitizers need more memory than what is allowed to the program."""
    return max_rss_and_time("--version")[0] <= 8 * mmapfs.MIB


@contextlib.contextmanager
def running(*arguments, **options):
    """A process that goes on; it is ended with the scope, if it has not by itself."""
    process = subprocess.Popen([str(MMAPCTL), *map(str, arguments)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def finish(process, number=signal.SIGINT):
    """Send a signal; (exit code, stdout, stderr)."""
    process.send_signal(number)
    out, err = process.communicate(timeout=mmapfs.DEADLINE)
    return process.returncode, out, err
