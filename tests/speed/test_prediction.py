"""Predicted speeds: physics first, then how near they come to published runs."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial.speed import HostSide, Load, Ranks, Work, predict_speed
from seatrial.speed.calibrate import fit_constants, left_out_errors, published_rows
from seatrial.speed.roofline import constants

FLASH = Work(
    dense_bytes=11_000_000_000,
    expert_bytes=147_000_000_000,
    experts=256,
    experts_per_token=6,
    layers=43,
    active_parameters=13_270_101_591,
)
SMALL = Work(98_000_000, 0, 0, 0, 30, 134_515_008)
FOUR_H200S = Ranks(4, 1, 1, "h200", 4.8e12, 1.978e15)
INSIDE = math.log(2.5) / 2
"""Largest log error of a value inside an interval whose ends differ by a factor of 2.5."""


def test_expected_experts_follow_the_formula():
    """One token touches k of E experts; many touch nearly all."""
    assert FLASH.expert_share(1) == pytest.approx(6 / 256)
    assert FLASH.expert_share(2) == pytest.approx(1 - (1 - 6 / 256) ** 2)
    assert FLASH.expert_share(10_000) == pytest.approx(1.0)
    assert SMALL.expert_share(1) == pytest.approx(1.0)


@given(first=some.integers(1, 256), second=some.integers(1, 256))
def test_more_streams_are_slower_each_and_faster_together(first, second):
    """TPOT never falls and output per second never falls as streams are added, up to the running limit."""
    low, high = sorted((first, second))
    few = predict_speed(FLASH, Load(low, 256, 1024, 256), ranks=FOUR_H200S)
    many = predict_speed(FLASH, Load(high, 256, 1024, 256), ranks=FOUR_H200S)
    assert few.tpot_s.expected <= many.tpot_s.expected
    assert few.decode_tokens_per_s.expected * 0.8 <= many.decode_tokens_per_s.expected


def test_beyond_the_running_limit_requests_wait():
    """Where fewer run than are sent, the first token comes later and the rate stays."""
    limited = predict_speed(FLASH, Load(64, 16, 8192, 1024), ranks=FOUR_H200S)
    within = predict_speed(FLASH, Load(16, 16, 8192, 1024), ranks=FOUR_H200S)
    assert limited.decode_tokens_per_s == within.decode_tokens_per_s
    assert limited.ttft_s.expected > within.ttft_s.expected
    assert "48 of 64 requests wait" in limited.basis


def test_a_gpu_whose_bandwidth_is_not_known_has_no_prediction():
    """Unknown stays unknown, and the basis says so."""
    prediction = predict_speed(FLASH, Load(1, 1, 128, 64), ranks=Ranks(1, 1, 1, "x", None, 1e15))
    assert prediction.tpot_s is None
    assert "not known" in prediction.basis


def test_host_memory_is_slower_than_a_gpu():
    """Experts in host memory cost time, and the basis says what was assumed."""
    gpu = Ranks(1, 1, 1, "rtx4090", 1.008e12, 1.65e14)
    inside = predict_speed(FLASH, Load(1, 1, 128, 64), ranks=gpu, host=HostSide(0, 0, 8, None))
    outside = predict_speed(FLASH, Load(1, 1, 128, 64), ranks=gpu, host=HostSide(0, 1, 8, None))
    assert inside.tpot_s.expected < outside.tpot_s.expected
    assert "assumed" in outside.basis


def test_known_bandwidth_narrows_the_interval():
    """An assumed bandwidth gives a wider interval than a known one."""
    assumed = predict_speed(SMALL, Load(1, 1, 128, 64), host=HostSide(1, 1, 4, None)).tpot_s
    known = predict_speed(SMALL, Load(1, 1, 128, 64), host=HostSide(1, 1, 4, 5e10)).tpot_s
    assert known.high / known.low < assumed.high / assumed.low


def test_published_runs_lie_inside_the_intervals():
    """With the stored constants nine of ten published TPOTs and rates lie within a factor of 2.5 in all."""
    errors = [row.errors(constants()) for row in published_rows()]
    for part in (0, 2):
        inside = [abs(error[part]) <= INSIDE + 1e-3 for error in errors]
        assert 0.9 <= sum(inside) / len(inside)
        assert statistics.median(abs(error[part]) for error in errors) <= 0.15


def test_hardware_left_out_of_the_fit_is_still_predicted():
    """Fitted without a kind of GPU, the model's TPOT and rate on it stay near what was published."""
    found = [error for name in ("h100", "h200", "b200", "gb200", "gb300") for error in left_out_errors(name)]
    tpot = [abs(error[0]) for error in found]
    rate = [abs(error[2]) for error in found]
    assert statistics.median(tpot) <= 0.17
    assert statistics.median(rate) <= 0.15
    assert 0.9 <= sum(error <= INSIDE for error in [*tpot, *rate]) / (2 * len(found))


def test_the_fit_repeats_itself():
    """The same rows give the same constants."""
    rows = published_rows()[:10]
    assert fit_constants(rows, rounds=50) == fit_constants(rows, rounds=50)
