"""Tests of sizes, durations and rates as people read them."""

import pytest

from seatrial import units


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (512, "512 B"),
        (98_362_432, "93.8 MiB"),
        (159_609_485_896, "148.6 GiB"),
        (1 << 41, "2.0 TiB"),
    ],
)
def test_sizes_use_the_largest_fitting_binary_unit(size, text):
    """Sizes read naturally from bytes to tebibytes."""
    assert text == units.format_bytes(size)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0.0032, "3.2 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1.25, "1.25 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
    ],
)
def test_durations_read_naturally(seconds, text):
    """Milliseconds, seconds and minutes each have their range."""
    assert text == units.format_seconds(seconds)


@pytest.mark.parametrize(
    ("rate", "text"), [(None, "unknown"), (0.514, "0.51 tok/s"), (12.84, "12.8 tok/s"), (12_345.6, "12,346 tok/s")]
)
def test_rates_keep_three_digits(rate, text):
    """A rate shows the digits that carry meaning."""
    assert text == units.format_rate(rate)


def test_gib_and_bytes_are_inverse():
    """What goes in comes out."""
    assert 24 == units.to_gib(units.from_gib(24))


@pytest.mark.parametrize(("count", "text"), [(0, "0 GPUs"), (1, "1 GPU"), (1024, "1,024 GPUs")])
def test_things_are_counted_in_words(count, text):
    """One is singular, everything else plural."""
    assert text == units.counted(count, "GPU")
