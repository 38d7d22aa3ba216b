"""Of several runs the last complete one is the result; else the one that brought most."""

from dataclasses import replace

import pytest
from tests.measure.test_summary import MEASUREMENT, completion, summary

from seatrial.measure.runs import is_complete, result_of

POINT = summary([completion()])
FAILED = summary([completion(error="unreachable: x")])
PART = replace(POINT, partial=True)


def run(*points, answers=0, name="m"):
    """Return a run of two levels with these points."""
    return replace(MEASUREMENT, points=points, completions=(completion(),) * answers, model=name)


FULL, LATER = run(POINT, POINT, name="first"), run(POINT, POINT, name="second")


@pytest.mark.parametrize(
    ("runs", "result"),
    [
        ([], None),
        ([FULL], FULL),
        ([FULL, LATER], LATER),
        ([FULL, run(POINT, PART)], FULL),
        ([FULL, run()], FULL),
        ([run(PART), run(POINT), run(PART)], run(POINT)),
        ([run(PART, answers=5), run(PART, answers=3)], run(PART, answers=5)),
        ([run(POINT, name="a"), run(POINT, name="b")], run(POINT, name="b")),
        ([run(POINT, FAILED), run()], run(POINT, FAILED)),
        ([run()], run()),
    ],
)
def test_the_result(runs, result):
    """A second start that is stopped never takes the place of what was finished."""
    assert result == result_of(runs)


@pytest.mark.parametrize(
    ("points", "complete"),
    [((POINT, POINT), True), ((POINT,), False), ((POINT, PART), False), ((POINT, FAILED), False), ((), False)],
)
def test_complete(points, complete):
    """Every level to its end, with an answer at each."""
    assert complete == is_complete(run(*points))
