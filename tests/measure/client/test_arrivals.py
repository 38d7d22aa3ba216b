"""Requests of an open loop leave when their form says."""

import pytest

from seatrial.measure.client.arrivals import arrival_times


def test_constant_gaps():
    """The first at once, then one after each gap."""
    assert [0.0, 0.5, 1.0, 1.5] == arrival_times("constant", 2.0, 4, 0)


def test_random_arrivals_come_at_the_rate():
    """Many random arrivals take as long as their rate says; one seed is one pattern, faster at a higher rate."""
    times = arrival_times("poisson", 4.0, 4000, 1)
    assert pytest.approx(1000.0, rel=0.05) == times[-1]
    assert [at / 2 for at in times] == pytest.approx(arrival_times("poisson", 8.0, 4000, 1))
    assert times != arrival_times("poisson", 4.0, 4000, 2)


def test_a_ramp_rises_evenly():
    """A quarter of the requests in the first half of the time; the last ones come at the rate asked for."""
    times = arrival_times("ramp", 10.0, 1000, 0)
    assert pytest.approx(200.0, rel=0.01) == times[-1]
    assert 250 == sum(at < 100 for at in times)
    assert pytest.approx(10.0, rel=0.02) == 50 / (times[-1] - times[-51])
    assert sorted(times) == times
