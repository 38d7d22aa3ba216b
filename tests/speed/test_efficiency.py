"""A prediction is scaled by what was measured here, and then holds at other loads."""

from dataclasses import replace

import pytest

from seatrial.hardware.types import Efficiency, MeasuredLevel
from seatrial.records import Interval
from seatrial.speed import HostSide, Prediction, ServingLoad, Work, predict_speed
from seatrial.speed.efficiency import compared, scaled

PREDICTED = Prediction(
    Interval(50, 100, 200), Interval(0.005, 0.01, 0.02), Interval(0.05, 0.1, 0.2), "By the data sheet."
)
SMALL = Work(
    dense_bytes=100_000_000, expert_bytes=0, experts=0, experts_per_token=0, layers=30, active_parameters=135_000_000
)


def efficiency(*levels):
    """Return what was measured at these levels."""
    return Efficiency("llamacpp", "smollm2", 1, None, "b11549", 128, "2026-11-30T09:00:00+00:00",
                      tuple(MeasuredLevel(*level) for level in levels))  # fmt: skip


def test_times_are_multiplied():
    """Twice the time for each token and half to the first: rate and times follow, in a narrow interval, with their source."""
    found = scaled(PREDICTED, efficiency((1, 2.0, 0.5)), 1, 90)
    assert (pytest.approx(0.02), pytest.approx(0.05)) == (found.tpot_s.expected, found.ttft_s.expected)
    assert pytest.approx(100 * (0.1 + 0.9) / (0.05 + 1.8)) == found.decode_tokens_per_s.expected
    assert pytest.approx(1.2) == found.tpot_s.high / found.tpot_s.expected == found.tpot_s.expected / found.tpot_s.low
    assert found.basis.startswith(
        "Measured here on 2026-11-30 with llamacpp b11549, 1 stream: a decode step takes 2.00 times and prefill 0.50"
    )
    assert found.basis.endswith("By the data sheet.")


@pytest.mark.parametrize(
    ("streams", "tpot", "spread"),
    [(1, 1.0, 1.2), (2, 2.0, 1.2), (4, 4.0, 1.2), (16, 4.0, 1.5)],
)
def test_between_levels_and_beyond(streams, tpot, spread):
    """Between two levels the ratio is interpolated over the logarithm of the streams; beyond, the nearest counts less surely."""
    found = scaled(PREDICTED, efficiency((1, 1.0, 1.0), (4, 4.0, 1.0)), streams, 100)
    assert pytest.approx(0.01 * tpot) == found.tpot_s.expected
    assert pytest.approx(spread) == found.tpot_s.high / found.tpot_s.expected


@pytest.mark.parametrize("prediction", [PREDICTED, Prediction(None, None, None, "No prediction.")])
def test_nothing_to_scale(prediction):
    """Without a level, or without figures, the prediction stays as it is."""
    measured = efficiency() if prediction is PREDICTED else efficiency((1, 1.0, 1.0))
    assert prediction == scaled(prediction, measured, 1, 100)


@pytest.mark.parametrize(("tpot_s", "ttft_s"), [(0.01, 0.1), (0.02, 0.1), (0.01, 0.3), (0.03, 0.05), (5.0, 0.001)])
def test_what_was_measured_is_predicted(tpot_s, ttft_s):
    """Scaled by its own measurement a prediction is the measurement, also if its parts cannot be told apart."""
    parts = replace(PREDICTED, tpot_prefill_s=0.002, ttft_prefill_s=0.09)
    level = compared(parts, 2, tpot_s, ttft_s)
    found = scaled(parts, replace(efficiency(), levels=(level,)), 2, 100)
    if (tpot_s, ttft_s) != (5.0, 0.001):
        assert (pytest.approx(tpot_s), pytest.approx(ttft_s)) == (found.tpot_s.expected, found.ttft_s.expected)
    assert min(level.decode, level.prefill) > 0
    assert compared(Prediction(None, None, None, ""), 1, 1.0, 1.0) is None


REAL = HostSide(1, 1, 8, 9e10, decode_bytes_per_s=3.1e10, prompt_flops=4.7e11)
"""A machine that nobody knows; the kit believes in the figures of ``BELIEVED``."""
BELIEVED = HostSide(1, 1, 4, 5e10)


def expected(side, streams, prompt, answer):
    """Return the times and the rate of a machine at a load."""
    return predict_speed(SMALL, ServingLoad(streams, streams, prompt, answer), host=side, engine="llamacpp")


@pytest.mark.parametrize(
    ("streams", "prompt", "answer"),
    [(1, 128, 64), (2, 64, 128), (3, 256, 64), (4, 512, 16), (8, 128, 256), (6, 300, 40), (2, 1000, 8), (1, 32, 500)],
)
def test_other_loads_are_predicted_within_a_fifth(streams, prompt, answer):
    """Learnt at 1, 2, 4 and 8 streams of 128 and 64 tokens, other loads are within 20 %, although bandwidth and FLOPS were wrong.

    Unscaled the same predictions are wrong by more than that.
    """
    levels = []
    for learnt in (1, 2, 4, 8):
        real, believed = (expected(side, learnt, 128, 64) for side in (REAL, BELIEVED))
        one = compared(believed, learnt, real.tpot_s.expected, real.ttft_s.expected)
        levels.append((learnt, one.decode, one.prefill))
    real, believed = (expected(side, streams, prompt, answer) for side in (REAL, BELIEVED))
    found = scaled(believed, efficiency(*levels), streams, answer)
    for name in ("decode_tokens_per_s", "tpot_s", "ttft_s"):
        truth = getattr(real, name).expected
        assert pytest.approx(truth, rel=0.2) == getattr(found, name).expected
    assert replace(believed, basis="") != replace(found, basis="")
    assert not 1 / 1.2 < real.ttft_s.expected / believed.ttft_s.expected < 1.2
