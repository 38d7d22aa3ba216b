"""``seatrial tune`` from the command line, on the simulator: a real server under real load, labelled as simulated."""

import json

import pytest

from seatrial.cli.main import main
from seatrial.server import list_servers

WHAT = ("tune", "--engine", "simulated", "--model", "smollm2", "--streams", "2")
SHORT = ("--budget-s", "60", "--answer-tokens", "16", "--prompt-tokens", "16")


def test_a_short_tuning_is_kept_shown_and_forgotten(capsys):
    """One document on stdout, progress on stderr; shown later with what it is, and gone when forgotten."""
    assert 0 == main([*WHAT, *SHORT, "--server-options", "slots=1", "--json"])
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["simulated"]
    assert "measured" == document["origin"]
    assert "simulated" == document["subject"]["engine"]
    assert [2] == [level["streams"] for level in document["levels"]]
    assert [{}, {"slots": "1"}] == [reading["settings"] for reading in document["rounds"][0]["readings"]]
    assert all(reading["tokens_per_s"] > 0 for reading in document["rounds"][0]["readings"])
    assert "2 at once, round 1: default" in told.err
    assert [] == list_servers()

    assert 0 == main([*WHAT, "--show"])
    shown = capsys.readouterr().out
    assert "(simulated)" in shown
    assert "slots 1" in shown
    assert 0 == main([*WHAT, "--forget"])
    assert "Forgotten." in capsys.readouterr().out
    assert 2 == main([*WHAT, "--show"])
    assert "Run: seatrial tune" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--server-options", "slots"), "no setting and value"),
        (("--server-options", "slot=1"), "slots"),
        (("--streams", "0"), "whole number"),
        (("--streams", "1,2,3,4,5,6,7,8,9"), "more than 8"),
        (("--budget-s", "0"), "number above 0"),
        (("--show", "--forget"), "not allowed"),
        (("--engine", "llamacp"), "llamacpp"),
    ],
    ids=["no value", "no such setting", "no stream", "many levels", "no time", "both", "no such engine"],
)
def test_bad_usage_is_told_before_anything_starts(capsys, words, said):
    """Exit code 2 with what was wrong."""
    assert 2 == main([*WHAT, *SHORT, *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("what", ["--show", "--forget"])
@pytest.mark.parametrize(
    "option", ["--budget-s=5", "--server-options=threads=1", "--prompt-tokens=64", "--answer-tokens=32"]
)
def test_options_of_the_search_do_not_stand_beside_what_does_not_search(what, option, capsys):
    """Nobody believes that they changed anything."""
    assert 2 == main(["tune", what, option])
    assert f"{option.partition('=')[0]} would change nothing" in capsys.readouterr().err
