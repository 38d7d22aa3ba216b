"""Text from outside in a message: how much of it is repeated."""

import pytest

from seatrial.printable import LINE, shortened


@pytest.mark.parametrize("length", [0, 1, LINE - 1, LINE])
def test_what_fits_on_a_line_stays_as_it_is(length):
    """Up to the limit nothing is cut."""
    assert "x" * length == shortened("x" * length)


@pytest.mark.parametrize(("text", "most", "expected"), [("x" * 81, LINE, "x" * 77 + "..."), ("abcdefgh", 6, "abc...")])
def test_what_is_longer_ends_in_three_dots(text, most, expected):
    """The dots count as part of the limit."""
    assert expected == shortened(text, most)


@pytest.mark.parametrize("start", ["/srv/", "org/", "./"])
def test_a_long_path_keeps_its_end(start):
    """The name of a file stands at the end of its path."""
    text = f"{start}{'x' * 300}/engine.log"
    assert (LINE, True, True) == (
        len(shortened(text)),
        shortened(text).startswith(start),
        shortened(text).endswith("/engine.log"),
    )
