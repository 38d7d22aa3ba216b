"""Real servers of the simulator: started, measured, and given up in time."""

import pytest

from seatrial.server import list_servers
from seatrial.tune import ServerBench, TuneLoad

LOAD = TuneLoad(prompt_tokens=16, answer_tokens=16, seconds=0.5)


@pytest.mark.parametrize(("left_s", "why"), [(0.0, "while the server started"), (60.0, "")], ids=["start", "enough"])
def test_a_start_counts_against_the_time(plan_for, left_s, why):
    """A server that is not up in time is given up without a trace; with enough time it is measured."""
    with ServerBench(plan_for, LOAD) as bench:
        reading = bench.measure({}, 1, left_s)
        assert bool(why) == (reading.tokens_per_s is None)
        assert why in reading.why
        assert bool(why) == (list_servers() == [])

    assert [] == list_servers()


def test_a_measurement_is_given_up_when_the_time_is_over(plan_for):
    """Answers that take more than an hour do not go on after the end."""
    with ServerBench(plan_for, TuneLoad(prompt_tokens=16, answer_tokens=4096)) as bench:
        reading = bench.measure({"tpot-s": "1"}, 1, left_s=8.0)

    assert "The budget ended" in reading.why
