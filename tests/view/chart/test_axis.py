"""Axes have round ticks and hold their data."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.view.chart.axis import decade_axis, linear_axis, log_axis, shorten, text_width, wrap

SIZES = st.floats(min_value=-1e18, max_value=1e18, allow_nan=False)


@given(st.lists(SIZES, min_size=1, max_size=20))
def test_a_linear_axis_holds_all_values_between_few_round_ticks(values):
    """From 0 or below to the largest value or above, with at most ten ticks that rise."""
    axis = linear_axis(values)
    slack = 1e-9 * max(map(abs, (axis.low, axis.high)))
    assert axis.low <= min(*values, 0.0) + slack
    assert axis.high >= max(*values, 0.0) - slack
    assert 2 <= len(axis.ticks) <= 10
    assert sorted(set(axis.ticks)) == list(axis.ticks)
    assert all(0 <= axis.at(value) <= 1 for value in values)


@given(st.lists(st.floats(min_value=1e-9, max_value=1e15), min_size=1, max_size=30))
def test_a_log_axis_holds_all_values(values):
    """Any range of positive values has an axis, its ticks inside."""
    axis = log_axis(values)
    assert axis.low <= min(values) * (1 + 1e-9)
    assert axis.high >= max(values) * (1 - 1e-9)
    assert all(axis.low * (1 - 1e-9) <= tick <= axis.high * (1 + 1e-9) for tick in axis.ticks)


def test_few_loads_are_the_ticks_themselves():
    """1, 2, 4, 8 streams are marked as such."""
    assert (1, 2, 4, 8) == log_axis([1, 2, 4, 8, 8, 1]).ticks


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 212], ["0", "50", "100", "150", "200", "250"]),
        ([0, 0.9], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([0, 5000], ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
        ([0, 12], ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]),
        ([0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_tick_labels_have_as_many_digits_as_they_need(values, labels):
    """Neighbouring ticks differ, and none has digits to spare."""
    axis = linear_axis(values)
    assert labels == [axis.tick_label(tick) for tick in axis.ticks]


def test_a_time_axis_ends_with_the_data():
    """No empty stretch after the last sample."""
    assert 39.75 == linear_axis([0.0, 39.75], zero=False, snug=True).high


def test_decades_do_not_crowd():
    """Nine decades are marked by at most eight ticks."""
    assert len(decade_axis(1e-3, 1e6).ticks) <= 8


def test_long_texts_are_wrapped_and_then_cut():
    """Every line fits, the last one says that more would follow."""
    lines = wrap("one finding and then another " * 20, 300, 17, bold=True, lines=2)
    assert 2 == len(lines)
    assert all(text_width(line, 17, bold=True) <= 300 for line in lines)
    assert lines[-1].endswith("…")


def test_a_word_wider_than_the_picture_is_cut():
    """No text runs out of the picture."""
    assert text_width(shorten("m" * 500, 200, 13), 13) <= 200


def test_an_axis_never_leaves_its_ends():
    """Values beyond the ends are drawn at them."""
    assert (0.0, 1.0) == (linear_axis([0, 10]).at(-math.pi), linear_axis([0, 10]).at(1e9))
