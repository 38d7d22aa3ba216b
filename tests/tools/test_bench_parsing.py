"""The benchmark of parsing measures what it says."""

import pytest

from bench_parsing import CHUNKS, EVENTS, IN_A_READ, fastest, follow
from seatrial.measure.stream.chunks import decode_chunk


@pytest.mark.parametrize("engine", CHUNKS)
def test_an_engine_s_chunk_is_plain(engine):
    """Each engine's chunk is read by the typed decoder, alone and several in a read."""
    assert " word" == decode_chunk(CHUNKS[engine]).choices[0].delta.content
    event = b"data: " + CHUNKS[engine] + b"\n\n"
    follow(event, EVENTS)
    follow(event * IN_A_READ, EVENTS // IN_A_READ)


def test_a_read_that_brings_less_is_no_figure():
    """A chunk whose token is not read is an error, not a fast event."""
    with pytest.raises(RuntimeError, match="1 tokens were read of 2,000"):
        follow(b"data: " + CHUNKS["vLLM"] + b"\n\n", 1)


def test_actions_take_turns():
    """Each action has its own fastest run."""
    order = []
    assert 2 == len(fastest(lambda: order.append("a"), lambda: order.append("b")))
    assert ["a", "b"] * (len(order) // 2) == order
