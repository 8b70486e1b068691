# SPDX-License-Identifier: MIT
"""mmapctl advise: words that act, words that stay, words that destroy."""

import pytest

import mmapctl as tool
import mmapfs
from mmapfs import MIB, PAGE


def test_populate_read_reads_in(source):
    mmapfs.fill(source / "f", MIB)
    mmapfs.evict_by_hand(source / "f")
    found = tool.action("advise", "populate-read", source / "f")
    assert found["effect"] == "done"
    assert found["before"] == 0 and found["after"] == MIB // PAGE


def test_pageout_of_a_mount_is_done(source, mounted):
    mmapfs.fill(source / "f", MIB)
    found = tool.action("advise", "MADV_PAGEOUT", mounted / "f")
    assert found["advice"] == "pageout" and found["effect"] == "done"


def test_a_state_word_on_a_plain_file_ends_with_the_command(source):
    mmapfs.fill(source / "f", MIB)
    done = tool.run("advise", "random", source / "f", code=4)
    assert "ended with this command" in done.stderr
    assert "ended" in done.stdout


def test_a_state_word_on_a_mount_stays(source, mounted):
    mmapfs.fill(source / "f", MIB)
    found = tool.action("advise", "random", mounted / "f")
    assert found["effect"] == "in-force"
    assert mmapfs.getattr(mounted / "f", "advise") == "random"


@pytest.mark.parametrize("word", ["remove", "free", "wipeonfork", "MADV_REMOVE"])
def test_destructive_words_need_their_option(place, word):
    shown, source = place
    data = mmapfs.fill(source / "f", MIB).read_bytes()
    done = tool.run("advise", word, shown / "f", code=1)
    assert "--destructive" in done.stderr
    assert (source / "f").read_bytes() == data


def test_remove_with_the_option_punches_a_hole(source):
    mmapfs.fill(source / "f", MIB)
    tool.run("advise", "remove", "--destructive", "--range", "0+512K", source / "f")
    assert (source / "f").read_bytes()[:MIB // 2] == bytes(MIB // 2)
    assert (source / "f").read_bytes()[MIB // 2:] != bytes(MIB // 2)
    assert (source / "f").stat().st_size == MIB


def test_a_mount_never_destroys(source, mounted):
    data = mmapfs.fill(source / "f", MIB).read_bytes()
    done = tool.run("advise", "remove", "--destructive", mounted / "f", code=2)
    assert "not permitted" in done.stderr
    assert (source / "f").read_bytes() == data


def test_an_unknown_word_lists_the_known_ones(source):
    done = tool.run("advise", "remov", source / "f", code=1)
    assert "'remov'" in done.stderr and "populate-read" in done.stderr


def test_no_word_and_no_path_are_usage_errors():
    assert "needs a word" in tool.run("advise", code=1).stderr
    tool.run("advise", "willneed", code=1)


def test_what_the_kernel_refuses_is_named(source):
    mmapfs.fill(source / "f", MIB)
    done = tool.run("advise", "free", "--destructive", source / "f", code=2)
    assert "Invalid argument" in done.stderr


def test_populate_write_makes_pages_dirty(source):
    data = mmapfs.fill(source / "f", MIB).read_bytes()
    tool.run("advise", "populate-write", source / "f")
    assert (source / "f").read_bytes() == data
