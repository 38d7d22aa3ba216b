"""Bisection: the answer is the same wherever it is searched first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from seatrial.plan.bisection import largest

NUMBERS = some.integers(-5, 300)


@given(most=some.integers(0, 250), answer=some.integers(0, 250), near=some.lists(NUMBERS, max_size=4))
def test_a_hint_never_changes_the_answer(most, answer, near):
    """Numbers to look at first, good or bad, change how many looks are needed and nothing else."""
    assert min(answer, most) == largest(most, lambda number: number <= answer, near)


def test_a_good_hint_spares_looks():
    """The answer and the number after it settle it: one look at each, and one at 1."""
    seen = []

    def holds(number):
        seen.append(number)
        return number <= 700

    assert (700, [1, 700, 701]) == (largest(4_096, holds, (700, 701)), seen)
