"""Choices as people and papermill give them: words, digits, numbers, True and None."""

import math

import pytest

from seatrial.errors import UsageError
from seatrial.given import number, text, whole


@pytest.mark.parametrize(
    ("value", "expected"), [("auto", "auto"), ("", ""), (2, "2"), (1.5, "1.5"), (True, "True"), (None, "None")]
)
def test_text_may_be_what_papermill_took_for_a_number(value, expected):
    """The word that was typed."""
    assert expected == text("question", value)


@pytest.mark.parametrize(
    ("value", "expected"), [(8, 8), ("8", 8), (8.0, 8), (" 1_000 ", 1000), ("-3", -3), (2e3, 2000)]
)
def test_a_whole_number_may_be_text_or_end_in_zero(value, expected):
    """Digits in quotes, and 2e3."""
    read = whole("requests", value)
    assert (expected, int) == (read, type(read))


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), ("0.7", 0.7), (0.5, 0.5), ("1e-3", 0.001)])
def test_a_number_may_be_text(value, expected):
    """Always a float."""
    read = number("temperature", value)
    assert (expected, float) == (read, type(read))


NONE_OF_THEM = [[1, 2], {}, b"x", object, (1,), {1}]


@pytest.mark.parametrize(
    ("read", "takes", "values"),
    [
        (text, "text", [*NONE_OF_THEM, 10**5000]),
        (whole, "a whole number", [*NONE_OF_THEM, None, True, 1.5, math.nan, math.inf, "8k", "", "1.5", "\u0664", 10**5000]),
        (number, "a number", [*NONE_OF_THEM, None, True, "hot", "", math.nan, math.inf, "1e999", "nan", 10**5000]),
    ],
)  # fmt: skip
def test_everything_else_is_an_error_that_names_the_choice_and_what_it_takes(read, takes, values):
    """One line each, however long the value."""
    for value in values:
        with pytest.raises(UsageError, match=f"The parameter speed takes {takes}, not ") as caught:
            read("speed", value)
        assert len(str(caught.value)) < 300
