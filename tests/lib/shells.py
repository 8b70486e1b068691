# SPDX-License-Identifier: MIT
"""Shells that say what they complete: bash and zsh at a terminal of their own, with the key
that types all that is offered, fish by `complete -C`."""

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
import tty

import mmapfs

COMPLETIONS = mmapfs.TOP / "tools" / "completions"

# Each is read at the beginning, and tells to the descriptor $TELL that it is ready, then what
# became of each line. In the first two control-A types what is offered in place of the word,
# control-G tells the line, and control-U clears it.
BASH = r"""
PS1= HISTFILE=
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
bind '"\C-a": insert-completions'
bind -x '"\C-g": printf "%s\n" "$READLINE_LINE" >&$TELL'
bind '"\C-u": kill-whole-line'
. "$COMPLETIONS/mmapctl"
echo ready >&$TELL
"""
ZSH = r"""
PS1= HISTFILE=
unsetopt beep prompt_sp prompt_cr
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -D
all() { _main_complete; compstate[insert]=all compstate[list]= }
tell() { print -r -- "$BUFFER" >&$TELL }
zle -C all complete-word all
zle -N tell
bindkey '^A' all '^G' tell '^U' kill-whole-line
echo ready >&$TELL
"""
FISH = r"""
set fish_complete_path $COMPLETIONS
echo ready >&$TELL
cat | while read -l line
    set -l words (complete -C $line | string replace -r '\t.*' '' | string escape -n)
    printf '%s\n' "$words" >&$TELL
end
"""

# Of each shell: what a completion of mmapctl is called where it looks for it, what it is to
# read, from a file of which name, and its command.
SHELLS = {
    "bash": ("mmapctl", BASH, "bashrc", ("bash", "--rcfile", "../bashrc", "-i")),
    "fish": ("mmapctl.fish", FISH, "fishrc", ("fish", "--no-config", "../fishrc")),
    "zsh": ("_mmapctl", ZSH, ".zshrc", ("zsh", "-d", "-i")),
}


def is_installed(name):
    return shutil.which(name) is not None


class Shell:
    """A shell in the directory home/here, with the directory of programs first in its PATH,
    and our completion. To be used with `with`."""

    def __init__(self, name, home, programs):
        called, text, commands, self.command = SHELLS[name]
        self.name, self.here, self.shown = name, home / "here", b""
        self.here.mkdir()
        (home / "completions").mkdir()
        (home / "completions" / called).symlink_to(COMPLETIONS / name)
        (home / commands).write_text(text)
        self.environment = {
            "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(home), "ZDOTDIR": str(home),
            "COMPLETIONS": str(home / "completions"), "INPUTRC": "/dev/null",
            "LC_ALL": "C.UTF-8", "TERM": "dumb"}

    def __enter__(self):
        self.answers, tell = os.pipe()
        self.terminal, end = pty.openpty()
        # Before the shell makes it so: what is typed may come earlier.
        tty.setraw(end)
        self.process = subprocess.Popen(
            self.command, cwd=self.here, stdin=end, stdout=end, stderr=end, pass_fds=[tell],
            env={**self.environment, "TELL": str(tell)}, start_new_session=True)
        os.close(tell)
        os.close(end)
        try:
            assert self.answer() == "ready"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end()
        os.close(self.answers)
        os.close(self.terminal)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answer(self):
        """The next line that it tells; meanwhile its terminal must not fill up. A shell that
        was silent once is ended: what it told later would be of another question."""
        told, end = b"", time.monotonic() + mmapfs.DEADLINE
        while not told.endswith(b"\n"):
            left = max(end - time.monotonic(), 0)
            ready = select.select([self.answers, self.terminal], [], [], left)[0]
            if self.answers in ready:
                more = os.read(self.answers, 65536)
                assert more, f"{self.name} has ended; it shows {self.shown!r}"
                told += more
            elif self.terminal in ready:
                self.shown += os.read(self.terminal, 4096)
            else:
                self.end()
                raise AssertionError(f"{self.name} is silent; it shows {self.shown!r}")
        return told.decode().rstrip("\n")

    def offers(self, line):
        """The set of what the last word of the line may become, without what a shell sets
        behind it. Where nothing is offered the word stays as it is."""
        keys = "\n" if self.name == "fish" else "\x01\x07\x15"
        os.write(self.terminal, (line + keys).encode())
        told = self.answer()
        if self.name != "fish":
            told = told[line.rindex(" ") + 1:]
        return {re.sub(r"^--[a-z]+=(?=.)", "", word).rstrip("=,/")
                for word in shlex.split(told)}
