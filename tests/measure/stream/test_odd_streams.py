"""Odd streams are read by what carries tokens, or fail with a name: the right text, times and counts of two thousand."""

import re

import pytest
from tests.measure.stream.odd import beside, carriers, choices, counts, endings, frames

from seatrial.measure.stream.answer import Answer, StreamError

STREAMS = [
    *carriers.carriers(),
    *frames.frames(),
    *endings.reasons(),
    *endings.errors(),
    *counts.usages(),
    *choices.choices(),
    *choices.dialects(),
]
MOST_CUT = 100_000  # bytes of a stream that is cut into small pieces


def follow(reads):
    """Return the answer in these reads, whose clocks count them, and its error."""
    answer = Answer(64)
    try:
        for stamp, read in enumerate(reads, start=1):
            if answer.done:
                break
            answer.feed(stamp, read)
        answer.close(len(reads) + 1)
    except StreamError as error:
        return answer, str(error)
    return answer, ""


def check(odd, answer, error):
    """Assert that what was read is right, but for the times."""
    assert re.match(odd.error or r"\Z", error, re.DOTALL), error
    assert odd.text == answer.text
    assert len(odd.stamps) == len(answer.stamps)
    assert odd.odd in answer.odd
    assert bool(odd.odd) == bool(answer.odd), answer.odd
    assert odd.counts == {name: getattr(answer.usage, name) for name in odd.counts}
    assert answer.text.encode().decode() == answer.text


def check_times(odd):
    """Assert that each token has the time of its read, if each event comes in a read of its own."""
    answer, error = follow(odd.reads)
    check(odd, answer, error)
    assert list(odd.stamps) == answer.stamps
    assert odd.answer == answer.first_answer


def check_pieces(odd):
    """Assert that the same is read all at once, and cut anywhere."""
    whole = b"".join(odd.reads)
    check(odd, *follow([whole]))
    if len(whole) < MOST_CUT:
        check(odd, *follow([whole[at : at + 7] for at in range(0, len(whole), 7)]))


@pytest.mark.parametrize("odd", STREAMS, ids=lambda odd: odd.name)
def test_an_odd_stream(odd):
    """Each has the text, the times and the counts that are right, or the error that names what is odd."""
    check_times(odd)
    check_pieces(odd)


@pytest.mark.parametrize("place", [*beside.BESIDE, *beside.ERRORS])
def test_an_odd_value_beside_the_tokens(place):
    """Whatever stands in a field that carries no token, nothing is lost."""
    for odd in beside.beside(place):
        check_times(odd)
        check_pieces(odd)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_pieces(size):
    """Streams framed in odd ways are read the same if they come byte by byte."""
    for odd in frames.frames():
        whole = b"".join(odd.reads)
        if len(whole) < MOST_CUT // 20:
            check(odd, *follow([whole[at : at + size] for at in range(0, len(whole), size)]))
