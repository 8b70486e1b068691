# SPDX-License-Identifier: MIT
"""The completions of mmapctl, each in its shell: what is offered is what mmapctl takes."""

import re

import pytest

import mmapctl as tool
import shells

# They only read what mmapctl says of itself: nothing for the sanitizers to see.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(shells.SHELLS))
def shell(request, tmp_path_factory):
    if not shells.is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    home = tmp_path_factory.mktemp(request.param)
    with shells.Shell(request.param, home, tool.MMAPCTL.parent) as running:
        for name in ("file1", "file 2", "other"):
            (running.here / name).touch()
        (running.here / "files").mkdir()
        yield running


def words(pattern, *arguments, code=0):
    """What the first group of the pattern is, in each line of an answer."""
    done = tool.run(*arguments, code=code)
    found = re.findall(pattern, done.stdout + done.stderr, re.MULTILINE)
    assert found, (pattern, done.stdout, done.stderr)
    return set(found)


def verbs():
    return words(r"^  ([a-z]+) ", "--help")


def options(verb):
    return words(r"^  (?:-.,|   ) (--[a-z-]+)", verb, "--help")


def columns(verb):
    return words(r"^  [* ] ([A-Z-]+) ", verb, "--help")


def beginning(prefix, names):
    return {name for name in names if name.startswith(prefix)}


def test_first_come_verbs_and_files(shell):
    assert len(verbs()) >= 15
    assert verbs() | {"file1", "other"} <= shell.offers("mmapctl ")
    assert shell.offers("mmapctl wa") == {"warm", "watch"}
    assert shell.offers("mmapctl fil") == {"file1", "file 2", "files"}


def test_every_verb_has_its_options(shell):
    for verb in verbs():
        assert shell.offers(f"mmapctl {verb} --") == options(verb), verb
    assert shell.offers("mmapctl warm x --prog") == {"--progress-fd"}


def test_without_a_verb_it_is_stat(shell):
    assert shell.offers("mmapctl --") == options("stat") | {"--version"}
    assert shell.offers("mmapctl other --") == options("stat")
    assert shell.offers("mmapctl --sort ") == columns("stat")


@pytest.mark.parametrize("option", ["--sort ", "--sort=", "--output ", "--output=", "-o "])
def test_columns_are_those_of_the_verb(shell, option):
    assert shell.offers(f"mmapctl stat {option}") == columns("stat")
    assert shell.offers(f"mmapctl diff {option}ONLY") == {"ONLY-A", "ONLY-B"}


@pytest.mark.parametrize("option", ["--output ", "--output="])
def test_a_column_may_follow_others(shell, option):
    for before in ("SIZE,", "+", "+SIZE,PATH,"):
        wanted = {before + name for name in beginning("RES", columns("stat"))}
        assert len(wanted) == 2
        assert shell.offers(f"mmapctl stat {option}{before}RES") == wanted


@pytest.mark.parametrize("line", ["mmapctl stat --sort ", "mmapctl stat --sort=",
                                  "mmapctl --sort "])
def test_the_column_of_sort_may_be_turned_round(shell, line):
    wanted = {"-" + name for name in beginning("RES", columns("stat"))}
    assert len(wanted) == 2
    assert shell.offers(f"{line}-RES") == wanted


def test_a_list_of_columns_is_offered_whole(shell):
    assert "SIZE,PATH" in shell.offers("mmapctl evict -o SIZE,")


def test_advise_takes_a_word_and_then_files(shell):
    known = set(" ".join(words(r"words: (.*)$", "advise", "", code=1)).split())
    assert {"willneed", "dontneed", "remove"} <= known
    assert shell.offers("mmapctl advise ") == known
    assert shell.offers("mmapctl advise --destructive rem") == {"remove"}
    assert shell.offers("mmapctl advise cold ") == {"file1", "file 2", "files", "other"}


def test_operands_and_files_of_options_are_files(shell):
    for line in ("mmapctl stat ", "mmapctl warm --json ", "mmapctl stat --files-from "):
        assert {"file1", "file 2", "files", "other"} <= shell.offers(line), line
    assert "files" in shell.offers("mmapctl restore --root ")
