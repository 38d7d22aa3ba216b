"""Flags: one mapping, one spelling, and the same words again."""

import pytest

from seatrial.flags import Flags
from seatrial.records import from_dict, to_dict


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--a=1", "--b"),
        ("--a", "1", "--b", "--c", "2"),
        ("--a=", "--a=x=y"),
        ("--config", "{key_file}", "--port={port}"),
        ("one", "--a", "1", "2", "3", "--b=2", "4"),
    ],
)
def test_words_become_flags_and_the_same_words_again(words):
    """Joined values, values apart, switches, repeated flags, and words that follow no flag."""
    assert words == Flags.from_words(words).to_argv()


def test_a_flag_is_found_by_its_name():
    """A switch has no value, a repeated flag its last one; what is not set is not there."""
    flags = Flags.of({"--tp": 4, "--quiet": None, "--origin": ["a", "b"]})
    assert {"--tp": "4", "--quiet": None, "--origin": "b"} == dict(flags)
    assert ("--tp=4", "--quiet", "--origin=a", "--origin=b") == flags.to_argv()
    assert "--port" not in flags


def test_a_changed_flag_stays_in_its_place():
    """A new one goes to the end, in the spelling of the others."""
    flags = Flags.of({"--a": 1, "--b": ["2", "3"], "--c": None})
    assert ("--a=1", "--b=4", "--c") == flags.with_value("--b", "4").to_argv()
    assert ("--a=1", "--b=2", "--b=3", "--c", "--d=5") == flags.with_value("--d", "5").to_argv()
    apart = Flags.from_words(["--a", "1", "--c"])
    assert ("--a", "1", "--c", "--d", "5") == apart.with_value("--d", "5").to_argv()


def test_flags_are_chosen_by_name():
    """All but some, or only some; joined with others their order stays."""
    flags = Flags.from_words(["--a", "1", "--b=2", "--c"])
    assert ("--b=2",) == flags.without({"--a", "--c"}).to_argv()
    assert ("--a", "1") == flags.only({"--a", "--z"}).to_argv()
    assert ("--c", "--a", "1") == (flags.only({"--c"}) + flags.only({"--a"})).to_argv()


def test_flags_survive_json():
    """They are part of a plan, which is written and read again."""
    flags = Flags.from_words(["--a", "1", "--b=2", "--c"])
    assert flags == from_dict(Flags, to_dict(flags))
    assert hash(flags) == hash(from_dict(Flags, to_dict(flags)))
