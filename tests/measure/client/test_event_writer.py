"""Events reach the parent as they were, however long an answer is."""

import pytest

from seatrial.measure.client.event_writer import encoded
from seatrial.measure.messages import Finished, decode_event
from seatrial.measure.types import Completion


@pytest.mark.parametrize("chunks", [0, 1, 4096, 4097, 9000])
def test_an_event_in_pieces(chunks):
    """The pieces are one JSON document, also if the answer's text looks like a part of it."""
    gaps = tuple(number / 7 for number in range(chunks))
    event = Finished(
        Completion(
            point=0, scheduled_s=0.0, sent_s=0.1, first_token_s=0.2, first_answer_s=None, last_token_s=9.0, chunks=chunks + 1,
            tokens=chunks, token_source="usage", first_chunk_tokens=None, prompt_tokens=3, cached_tokens=None, gaps_s=gaps,
            error=None, text='"gaps_s":[] and "gaps_s":[', ended_s=9.1,
        )
    )  # fmt: skip
    assert event == decode_event(b"".join(encoded(event)))
