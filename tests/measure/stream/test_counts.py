"""Token counts that cannot be right are left out, with their reason; all others stand."""

import pytest
from tests.measure.conftest import SMALL
from tests.measure.raw_server import DONE, HEAD, answer_of, event, in_pieces, raw_server, token, usage

from seatrial.measure import find_problems, measure_server
from seatrial.measure.stream.answer import Answer
from seatrial.measure.stream.counts import believed_cached, believed_first, doubt_output, doubt_prompt


def answered(chunks, *, text=" word", **counts):
    """Return an answer of so many chunks, and the usage that came after them."""
    answer = Answer(1 << 20)
    answer.feed(1, token(text) * chunks + event(choices=[], usage=counts) + DONE)
    return answer


@pytest.mark.parametrize(
    ("tokens", "chunks", "asked", "doubtful"),
    [
        (8, 8, 8, False),
        (9, 8, 8, False),  # with the mark of the end
        (7, 8, 8, False),  # a last chunk for a text held back
        (5, 5, 64, False),
        (64, 16, 64, False),
        (2, 1, 64, False),
        (4096, 900, 4096, False),
        (12, 12, 8, False),  # a few more than were asked for, and they came
        (0, 8, 8, True),
        (0, 1, 8, True),
        (-3, 8, 8, True),
        (1, 8, 8, True),
        (5, 8, 8, True),
        (16, 8, 8, True),
        (800, 8, 8, True),
        (10**30, 8, 8, True),
        (4500, 900, 4096, True),
    ],
)
def test_output_tokens(tokens, chunks, asked, doubtful):
    """A chunk with text holds a token at least, and an answer hardly more of them than were asked for."""
    doubt = doubt_output(answered(chunks, completion_tokens=tokens), asked)
    assert (doubtful, doubtful) == (bool(doubt), "completion_tokens is " in doubt)


@pytest.mark.parametrize(
    ("tokens", "doubtful"),
    [(100, False), (60, False), (130, False), (5000, False), (0, True), (-1, True), (20, True), (10**6, True)],
)
def test_prompt_tokens(tokens, doubtful):
    """A prompt of a hundred words has neither no token nor a million."""
    doubt = doubt_prompt(answered(1, prompt_tokens=tokens), "word " * 100)
    assert (doubtful, doubtful) == (bool(doubt), "for a prompt of 100 words" in doubt)


def test_no_usage_is_no_doubt():
    """Counts that did not come are unknown, not doubtful."""
    assert [("", ""), ("", "")] == [
        (doubt_output(answer, 8), doubt_prompt(answer, "word")) for answer in (Answer(8), answered(8))
    ]


@pytest.mark.parametrize(
    ("first", "tokens", "believed"), [(1, 8, 1), (4, 11, 4), (8, 8, None), (0, 8, None), (-1, 8, None)]
)
def test_tokens_of_the_first_chunk(first, tokens, believed):
    """The count beside the first of eight chunks leaves a token for each other: some servers send the last count with each."""
    answer = answered(8, completion_tokens=tokens)
    answer.first_chunk_tokens = first
    assert believed == believed_first(answer, tokens)


@pytest.mark.parametrize(("cached", "believed"), [(0, 0), (20, 20), (21, None), (-1, None), (10**30, None)])
def test_cached_tokens(cached, believed):
    """No more of a prompt is cached than it has."""
    answer = answered(1, prompt_tokens=20, prompt_tokens_details={"cached_tokens": cached})
    assert believed == believed_cached(answer, 20)


def each_with(counts):
    """Return eight pieces of text, each with a usage of its own."""
    return [token(usage={"prompt_tokens": 20, "completion_tokens": count}) for count in counts]


@pytest.mark.parametrize(
    ("pieces", "tokens", "source", "first"),
    [
        (each_with(range(1, 9)), 8, "usage", 1),  # so far
        (each_with([1] * 8), 8, "chunks", 1),  # of each chunk
        (each_with([8] * 8), 8, "usage", None),  # of all, from the beginning on
        (each_with(range(8, 0, -1)), 8, "chunks", None),
        (each_with([0] * 8), 8, "chunks", None),
        ([token()] * 8, 8, "chunks", None),  # none at all
        ([*[token()] * 8, usage(8), event(choices=[], usage={})], 8, "usage", None),
        ([*[token()] * 8, usage(8), event(choices=[], usage=None)], 8, "usage", None),
        ([*[token()] * 8, usage(8), usage(0)], 8, "chunks", None),
    ],
)
def test_usage_in_each_chunk(pieces, tokens, source, first):
    """Usage beside each piece may count so far, or the piece, or the whole: what cannot be right is not taken."""
    one = answer_of(in_pieces(HEAD, *pieces, token("", "stop") + DONE))
    assert (None, tokens, source, first) == (one.error, one.tokens, one.token_source, one.first_chunk_tokens)


@pytest.mark.parametrize(
    ("beside", "last", "doubt"),
    [
        ([4, 8, 12], None, ""),  # so far
        ([None, 8, 12], None, ""),
        ([12, 12, 12], None, "those beside each chunk add up to 36"),  # of each, or of all: nobody can tell
        ([4, 4, 4], None, "completion_tokens is 4 at the end, but those beside each chunk add up to 12"),
        ([3, 4, 4], None, "those beside each chunk add up to 11"),
        ([4, 4, 3], None, "completion_tokens fell from 4 to 3"),
        ([4, 4, 4], 12, ""),  # of each, and of all at the end
        ([4, 4, 3], 11, ""),
        ([4, 8, 12], 12, ""),
        ([4, 8, 12], 4, "completion_tokens fell from 12 to 4"),
        ([60, 60, 60], None, ""),  # more would not be what was asked for
    ],
)
def test_counts_beside_chunks_of_several_tokens(beside, last, doubt):
    """Counts so far grow with each chunk; those that do not may be of each chunk, and are believed if that cannot be."""
    answer = Answer(64)
    for count in beside:
        answer.feed(1, token(" one two three four", usage=None if count is None else {"completion_tokens": count}))
    if last is not None:
        answer.feed(1, usage(last))
    said = doubt_output(answer, 64)
    assert (bool(doubt), True) == (bool(said), doubt in said)


def test_a_usage_that_cannot_be_right_is_said():
    """The result says which count was left out and what counts instead; a prompt of 0 tokens is no reason to fail."""
    answer = in_pieces(HEAD, *[token()] * 8, token("", "stop") + usage(0, 0) + DONE)
    with raw_server(answer) as url:
        measurement = measure_server(url, SMALL)
    said = next(text for text in measurement.points[0].self_check.warnings if "usage" in text)
    assert "in 6 of 6 answers (completion_tokens is 0 for 8 chunks with text; prompt_tokens is 0" in said
    assert said.endswith("output tokens are counted by chunks.")
    assert [(8, "chunks", None)] * 6 == [
        (one.tokens, one.token_source, one.prompt_tokens) for one in measurement.completions
    ]
    assert 6 == measurement.points[0].requests.succeeded
    assert [] == [problem for problem in find_problems(measurement) if "none of" in problem]
