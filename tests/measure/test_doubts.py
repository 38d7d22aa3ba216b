"""Times that are not the server's are told from those of a late client, and from steps of several tokens."""

from itertools import accumulate, pairwise

import pytest
from tests.measure.test_summary import completion, summary

from seatrial.measure.doubts import held_back, reads, remarks
from seatrial.measure.figures import tpot_s

TTFT_S, TPOT_S = 0.05, 0.01


def seen(times, **changes):
    """Return a request whose chunks came at these times."""
    times = sorted(times)
    gaps = tuple(round(after - before, 9) for before, after in pairwise(times))
    return completion(sent=0.0, first=times[0], gaps=gaps, **changes)


def sent(tokens=64):
    """Return when the server sends each token."""
    return [TTFT_S + number * TPOT_S for number in range(tokens)]


def after(size, tokens=64):
    """Return when the tokens leave a gateway that waits for so many of them, and at the end for none."""
    times = sent(tokens)
    return [times[min(number // size * size + size, tokens) - 1] for number in range(tokens)]


def every(seconds, tokens=64):
    """Return when the tokens leave a gateway that passes them on so often."""
    end = sent(tokens)[-1]
    return [min(-(-round(at * 1e6) // round(seconds * 1e6)) * seconds, end) for at in sent(tokens)]


def steps(*sizes, step_s=0.03):
    """Return when the tokens of verify steps leave a server: each as an event of its own, a step's together."""
    return [at for number, size in enumerate(sizes) for at in [TTFT_S + number * step_s] * size]


HELD = {
    "16 KiB": after(70),
    "4 KiB": after(17),
    "12 events": after(12),
    "all": after(1000),
    "all of a short answer": after(1000, 8),
    "half a second": every(0.5),
    "a tenth of a second": every(0.1),
    "two seconds": every(2.0),
    "only the beginning": [*[sent()[19]] * 20, *sent()[20:]],
    "long answers": every(0.5, 2000),
}
OWN = {
    "each at its time": sent(),
    "one token": sent(1),
    "steps of a drafter": steps(1, *[3, 1, 4, 2, 4, 1, 3] * 3),
    "steps that all hold": steps(1, *[5] * 12),
    "a long step now and then": steps(1, *[16, 1, 1, 1, 2, 1] * 4),
    "two together now and then": [at if number % 5 != 2 else at + TPOT_S for number, at in enumerate(sent())],
    "the end together": [*sent()[:50], *[sent()[63]] * 14],
    "faster than reads": [TTFT_S + number // 32 * 0.001 for number in range(640)],
    "at once": [0.001] * 16,
    "three tokens together": [TTFT_S] * 3,
}


@pytest.mark.parametrize("times", HELD.values(), ids=HELD)
def test_held_back(times):
    """A gateway's holds are named, the level is not valid, and nobody blames the client's event loop."""
    point = summary([seen(times)] * 8, loop_lag_p99_s=0.001)
    assert not point.self_check.valid
    assert point.self_check.why.startswith("Several tokens came in one read although each event holds one: ")
    assert "TTFT and TPOT are not the server's" in point.self_check.why
    assert "event loop" not in point.self_check.why


@pytest.mark.parametrize("times", OWN.values(), ids=OWN)
def test_the_servers_own(times):
    """Steps of several tokens, a stream faster than the client reads and single waits are the server's own times."""
    assert "" == held_back([seen(times)] * 8, 0.0)
    assert () == remarks([seen(times)] * 8, 0.0)


def test_one_answer_of_many_is_chance():
    """A level is in doubt if a quarter of its answers came so, not for one of eight."""
    own, held = seen(sent()), seen(HELD["half a second"])
    assert ["", True, True] == [
        held_back([own] * 7 + [held], 0.0),
        *(bool(held_back([own] * 3 * n + [held] * n, 0.0)) for n in (1, 5)),
    ]


def test_a_late_client_is_no_gateway():
    """Tokens that a late client reads together are its own doing: its lateness is the error bar, no gateway is blamed."""
    times = [at for at in accumulate([0.12] * 6) for _ in range(12)]
    check = summary([seen(times)] * 20, loop_lag_p99_s=0.11).self_check
    assert (True, "", 0.11) == (check.valid, check.why, check.ttft_error_s)
    assert "TTFT by up to 110 ms" in check.warnings[0]


def test_a_late_client_that_reads_all_at_once():
    """An answer that a late client reads at once has no TPOT; the client's lag is then the error of TTFT."""
    point = summary([seen([0.2] * 16)] * 20, loop_lag_p99_s=0.15)
    assert (None, True, 0.15) == (point.tpot_s, point.self_check.valid, point.self_check.ttft_error_s)


@pytest.mark.parametrize("size", [2, 5, 8])
def test_a_short_hold_is_remarked(size):
    """Few tokens in each read, the first included, may be a hold or a step: the level is valid, and a remark says both."""
    load = [seen(after(size))] * 8
    assert summary(load).self_check.valid
    (said,) = remarks(load, 0.001)
    assert f"The first read brought several tokens ({size} at most) although each event holds one" in said
    assert () == remarks(load, 0.04)


def test_several_tokens_in_an_event_are_no_hold():
    """Events of four tokens each, one a read, are the server's own; held back, the reason says what an event holds."""
    own = seen(sent(), tokens=256, first_chunk_tokens=4)
    assert "" == held_back([own] * 8, 0.0)
    held = seen(HELD["half a second"], tokens=256)
    assert held_back([held] * 8, 0.0).startswith("several tokens came in one read although each event holds 4.0: ")


@pytest.mark.parametrize(("gaps", "number"), [((), 1), ((0.0,), 1), ((0.1, 0.0, 0.1), 3), ((0.0, 0.0, 0.1), 2)])
def test_reads(gaps, number):
    """Events of one read share its clock."""
    assert number == reads(completion(gaps=gaps))


def test_an_answer_in_one_read_has_no_tpot():
    """Without a second read there is no time between tokens: unknown, not 0."""
    assert tpot_s(completion(gaps=(0.0, 0.0))) is None


def test_doubtful_usage_is_remarked():
    """How many answers have a count that cannot be right is said, with the first reason and what counts instead."""
    doubt = "completion_tokens is 0 for 4 chunks with text"
    odd = completion(usage_doubt=doubt, token_source="tokenize")
    assert (
        f"The server's usage cannot be right in 1 of 2 answers ({doubt}): output tokens are counted by tokenize.",
    ) == remarks([completion(), odd], 0.0)
    prompt = completion(usage_doubt="prompt_tokens is 0 for a prompt of 9 words")
    (said,) = remarks([prompt], 0.0)
    assert said.endswith(": that count is left out.")


def test_odd_streams_are_remarked():
    """How many streams had something that was left out or guessed is said, with the first."""
    odd = completion(stream_doubt="tokens of several choices came")
    (said,) = remarks([completion(), odd], 0.0)
    assert said.startswith("The streams of 1 of 2 answers are odd")
    assert "(tokens of several choices came)" in said


def test_failed_answers_are_not_judged():
    """What is said of times and counts is of answers that succeeded."""
    failed = seen(HELD["all"], error="disconnected: x", usage_doubt="completion_tokens is 0 for 64 chunks with text")
    assert () == remarks([failed], 0.0)
    assert summary([failed]).self_check.valid
