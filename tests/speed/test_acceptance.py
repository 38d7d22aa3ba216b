"""Tokens a step yields with drafts: measured numbers, lines between them, and no growth without a measurement."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial.speed.acceptance import Acceptance, acceptances, accepted_tokens, find_acceptances

MEASURED = Acceptance("pro", "mtp", "code", "on", ((1, 1.8), (3, 2.4), (5, 2.2)), "verified", "here", "a test", None)


@pytest.mark.parametrize(
    ("drafts", "expected"), [(0, 1.0), (1, 1.8), (2, 2.1), (3, 2.4), (4, 2.3), (5, 2.2), (6, 2.2), (100, 2.2)]
)
def test_between_measured_numbers_lies_a_line(drafts, expected):
    """One token without drafts, a line between two measurements, the last one beyond them."""
    assert pytest.approx(expected) == MEASURED.tokens(drafts)


@pytest.mark.parametrize(
    ("method", "thinking", "drafts", "expected"),
    [("mtp", "on", 3, 2.49), ("mtp", "off", 3, 2.97), ("dspark", "on", 5, 3.61), ("dspark", "on", 8, 3.47)],
)
def test_code_is_accepted_as_measured(method, thinking, drafts, expected):
    """2.49 at three MTP drafts and 3.61 at five of DSpark with thinking on; DSpark falls beyond six."""
    rows = [row for row in find_acceptances(method, workload="code", model="pro") if row.thinking == thinking]
    assert [expected] == [row.tokens(drafts) for row in rows]


@pytest.mark.parametrize(
    ("drafts", "method", "model", "expected"),
    [(1, "mtp", None, 1.82), (3, "mtp", "pro", 3.04), (5, "dspark", "pro", 4.678), (7, "dspark", "pro", 4.678)],
)
def test_random_text_is_accepted_as_published(drafts, method, model, expected):
    """What the published benchmark had, which the calibration counts with."""
    assert expected == accepted_tokens(drafts, method, model=model)


def test_each_model_has_its_own_numbers():
    """DSpark on random text: fewer tokens for Flash than for Pro; a model without a row takes the first."""
    flash, pro = (accepted_tokens(5, "dspark", model=model) for model in ("flash", "pro"))
    assert flash < pro
    assert accepted_tokens(5, "dspark", model="other") in {flash, pro}


def test_rows_of_the_own_model_stand_without_those_of_others():
    """Flash has a figure on random text, so Pro's is not told with it; on code there is only Pro's."""
    assert ["flash"] == [row.model for row in find_acceptances("dspark", workload="random", model="flash")]
    assert ["pro"] == [row.model for row in find_acceptances("dspark", workload="code", model="flash")]
    assert [None] == [row.model for row in find_acceptances("mtp", workload="random", model="flash")]


def test_llamacpp_has_rows_of_its_own():
    """Shares of three drafts become tokens a step; the servers on GPUs do not see these rows."""
    rows = {row.workload: row.tokens(3) for row in find_acceptances("dspark", engine="llamacpp")}
    assert {"prose": pytest.approx(1 + 3 * 0.536), "code": pytest.approx(1 + 3 * 0.569)} == rows
    assert all(row.engine is None for row in find_acceptances("dspark"))


def test_an_unknown_method_is_no_number():
    """Nothing is assumed for a way of drafting that nobody measured."""
    with pytest.raises(KeyError, match="no row for ngram and random text"):
        accepted_tokens(3, "ngram")


@given(row=some.sampled_from(acceptances()), drafts=some.integers(0, 1000))
def test_no_step_yields_more_than_it_drafted(row, drafts):
    """At least its own token, at most one more than it drafted, and never more than was measured."""
    assert 1 <= row.tokens(drafts) <= min(1 + drafts, max(tokens for _, tokens in row.lengths))


def test_every_row_has_its_source():
    """Origin, what was measured and where it stands."""
    assert all(row.source and row.measured_with and row.lengths for row in acceptances())
