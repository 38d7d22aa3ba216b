"""What server and machine count during a level is added to its figures, or is unknown with its reason."""

import pytest
from tests.measure.test_summary import completion, summary

from seatrial.measure.counted import energy_j, grown, why_no_energy, with_counted, with_drafts
from seatrial.measure.types import Sample
from seatrial.server.metrics import ServerMetrics


def samples(name, values, every_s=1.0):
    """Return samples of a reading, a second apart."""
    return [Sample(number * every_s, 0, **{name: value}) for number, value in enumerate(values)]


def counted(steps, drafted, accepted, generated=None):
    """Return what a server that drafts has counted."""
    return ServerMetrics(
        draft_steps=steps, drafted_tokens=drafted, accepted_tokens=accepted, generated_tokens=generated
    )


def drafts_of(before, after, completions=()):
    """Return the drafts of a point."""
    point = with_drafts(summary([completion()]), completions, before, after)
    return point.acceptance_length, point.drafted_tokens, point.accepted_tokens


def test_acceptance_is_of_the_point_only():
    """What was drafted before does not count; a step yields one token more than it accepts."""
    assert (2.5, 60, 30) == drafts_of(counted(10, 30, 20), counted(30, 90, 50))


def test_acceptance_without_a_count_of_steps():
    """Of 60 generated tokens 40 were accepted drafts, so that the model made 20 steps: three tokens a step."""
    assert (3.0, 80, 40) == drafts_of(counted(None, 0, 0, 100), counted(None, 80, 40, 160))


def test_acceptance_by_steps_and_generated_tokens():
    """SGLang counts no accepted tokens: 60 tokens in 20 steps are three tokens a step."""
    begun = ServerMetrics(draft_steps=10, generated_tokens=100)
    assert (3.0, None, None) == drafts_of(begun, ServerMetrics(draft_steps=30, generated_tokens=160))
    assert (None, None, None) == drafts_of(begun, ServerMetrics(draft_steps=10, generated_tokens=160))
    assert (None, None, None) == drafts_of(begun, ServerMetrics(draft_steps=5, generated_tokens=20))
    assert (None, None, None) == drafts_of(begun, ServerMetrics(draft_steps=300, generated_tokens=160))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, counted(1, 1, 1)),
        (counted(1, 1, 1), None),
        (ServerMetrics(), counted(1, 1, 1)),
        (counted(5, 15, 5), counted(5, 15, 5)),
        (counted(5, 15, 5), counted(1, 3, 2)),
        (counted(1, 3, 0), counted(2, 4, 9)),
        (counted(None, 1, 1), counted(None, 9, 2)),
        (counted(None, 0, 0, 500), counted(None, 9, 2, 3)),
    ],
)
def test_acceptance_is_unknown_if_nothing_was_counted(before, after):
    """No page, nothing drafted, a server that began anew, more accepted than drafted: None, never 0."""
    assert (None, None, None) == drafts_of(before, after)


def test_the_answers_own_counts_come_first():
    """Counts in each answer are of this load; those of the server's page may be of others, too."""
    ours = [completion(draft_steps=10, drafted_tokens=20, accepted_tokens=5)] * 2
    assert (1.5, 40, 10) == drafts_of(counted(0, 0, 0), counted(9, 9, 9), ours)
    assert (2.0, 9, 9) == drafts_of(counted(0, 0, 0), counted(9, 9, 9), [*ours, completion()])


@pytest.mark.parametrize(
    ("values", "total"),
    [([3, 5, 9], 6), ([0, None, 0], 0), ([4], None), ([], None), ([None, None], None), ([5, 9, 2, 8], None)],
)
def test_grown(values, total):
    """A count that only grows is read twice at least; one that went back belongs to a server that began anew."""
    assert total == grown(samples("preemptions", values), "preemptions")


def test_energy_is_power_over_time():
    """Two GPUs of 100 and 200 W over three of four seconds: their mean counts for the fourth, too."""
    read = samples("gpu_power_w", [(100.0, 200.0)] * 4)
    assert pytest.approx(1200.0) == energy_j(read, 4.0)
    ten_tokens = [completion(tokens=10)]
    point = with_counted(summary(ten_tokens), ten_tokens, samples("gpu_power_w", [(50.0,)] * 11), None, None)
    assert pytest.approx(50.0) == point.energy_per_token_j


@pytest.mark.parametrize(
    ("read", "why"),
    [
        ([], "no power of a GPU was read"),
        ([()] * 9, "no power of a GPU was read"),
        ([(None, 100.0)] * 9, "a GPU did not tell its power"),
        ([(100.0,)], "the power was read too seldom"),
        ([(100.0,), (), (), (), (), (100.0,)], "the power was read too seldom"),
    ],
)
def test_energy_is_unknown(read, why):
    """A reading that is missing is no zero: the energy is unknown, and why is said."""
    power = samples("gpu_power_w", read)
    assert (None, why) == (energy_j(power, 10.0), why_no_energy(power))


def test_nothing_is_counted_of_a_server_that_tells_nothing():
    """Without a page and without GPUs every count is unknown."""
    point = with_counted(summary([completion()]), [completion()], [Sample(0.0, 0), Sample(1.0, 0)], None, None)
    assert (None,) * 4 == (point.acceptance_length, point.preemptions, point.energy_per_token_j, point.cached_tokens)
