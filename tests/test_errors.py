"""Tests of the error tree: exit codes, nearest names, survival of process boundaries."""

import pickle

import pytest

from seatrial import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.SeatrialError, 1),
        (errors.UsageError, 2),
        (errors.ModelFileError, 2),
        (errors.NetworkError, 1),
        (errors.DoesNotFitError, 3),
        (errors.RefusedError, 3),
        (errors.EngineError, 4),
        (errors.EngineMissingError, 4),
        (errors.MeasurementError, 5),
    ],
)
def test_each_error_has_the_exit_code_of_the_contract(kind, code):
    """The command line's exit codes are a promise to scripts."""
    assert code == kind("what").exit_code


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    """The drawing names every class and its exit code."""
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    drawn = {
        words[0]: int(words[1])
        for line in errors.__doc__.splitlines()
        if (words := line.replace("├── ", "").replace("└── ", "").replace("│", "").split())
        and words[0].endswith("Error")
        and len(words) > 1
        and words[1].isdigit()
    }
    assert {kind.__name__: kind.exit_code for kind in kinds} == drawn


def test_a_message_says_what_and_then_what_to_do():
    """The remedy has its own line."""
    assert "The port is taken.\nChoose another." == str(
        errors.UsageError("The port is taken.", remedy="Choose another.")
    )


def test_an_unknown_name_lists_the_nearest_ones():
    """A typing error is answered with what was probably meant, whatever its case."""
    error = errors.UnknownNameError("hardware", "H100X9", ["h100x8", "h200x8", "cpu"])
    assert "h100x8" == error.nearest[0]


def test_an_unknown_name_without_near_ones_lists_what_is_known():
    """Somebody who has no idea learns the names."""
    assert "Known: alpha, beta." in str(errors.UnknownNameError("engine", "zzzz", ["alpha", "beta"]))


def test_a_huge_name_is_not_echoed():
    """A quarter of a megabyte of input does not fill the terminal."""
    assert len(str(errors.UnknownNameError("model", "x" * 262_144, ["flash"]))) < 300


def test_an_error_survives_a_process_boundary():
    """Cause and evidence come through pickle, as a worker's error does."""
    error = errors.EngineError("It died.", remedy="Look.", cause="oom", evidence=("line",))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- made a line above
    assert ("It died.", "Look.", "oom", ("line",)) == (copy.what, copy.remedy, copy.cause, copy.evidence)


def test_a_message_has_a_length_a_person_reads():
    """Text of millions of letters, from a server or a file, does not fill the terminal, nor does a list of long names."""
    for error in (
        errors.UsageError("E" * 5_000_000, remedy="R" * 5_000_000),
        errors.UsageError("\x1b" * 5_000_000),
        errors.UnknownNameError("model", "m" * 5_000_000, ["n" * 5_000_000] * 12),
    ):
        assert len(str(error)) < 20_000
