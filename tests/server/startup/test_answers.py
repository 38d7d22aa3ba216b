"""Errors an engine answers while it starts: which are waited for, and for how long."""

import pytest

from seatrial.server.loopback import HttpReply
from seatrial.server.startup.answers import CLIENT_S, SERVER_S, Refusals, most_informative

LIMIT_S = 300.0


def refused(status, lasted_s, still_s):
    """Whether an answer that has been the same for so long ends a start in which nothing moved for so long."""
    return Refusals(status, since=1000.0).final(1000.0 + lasted_s, still_s, LIMIT_S)


@pytest.mark.parametrize("status", [0, 200, 408, 425, 429, 502, 503, 504])
def test_what_passes_is_waited_for(status):
    """No answer, an empty one, busy, loading: only a stall ends that."""
    assert not refused(status, 1e6, 1e6)


@pytest.mark.parametrize(("status", "given_s"), [(400, CLIENT_S), (404, CLIENT_S), (422, CLIENT_S), (500, SERVER_S)])
def test_an_error_is_given_some_seconds_in_which_nothing_moves(status, given_s):
    """Both must have lasted: the answer, and the quiet around it."""
    assert refused(status, given_s, given_s)
    assert not refused(status, given_s - 1, given_s)
    assert not refused(status, given_s, given_s - 1)


def test_a_client_error_lasts_no_longer_than_a_stall():
    """An engine that logs something new at each refusal moves for ever; the question stays the same."""
    assert refused(400, LIMIT_S, 0.0)
    assert not refused(500, LIMIT_S, 0.0)


def test_another_answer_begins_anew():
    """What changes may become good."""
    told = Refusals(404, since=0.0)
    told.note(404, 5.0)
    assert 0.0 == told.since
    told.note(400, 9.0)
    assert (400, 9.0) == (told.status, told.since)


@pytest.mark.parametrize(
    ("chat", "completion", "status"),
    [(404, 500, 500), (400, 404, 400), (404, 404, 404), (503, 404, 503), (404, 503, 503), (400, 200, 200), (0, 404, 0)],
)
def test_of_two_answers_the_telling_one_is_told(chat, completion, status):
    """A path that is not served says less than one that is; one that passes is never overlooked."""
    replies = [("/v1/chat/completions", HttpReply(chat, b"")), ("/v1/completions", HttpReply(completion, b""))]
    assert status == most_informative(replies)[1].status
