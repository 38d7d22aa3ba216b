"""Pairs of one round: a machine that is busy for a while takes nothing from the comparison."""

import math

from seatrial.launching.tuned import Round, TunedReading
from seatrial.tune.pairs import ASSUMED_SPREAD, DEFAULT, compare, key_of, spread_of

TWO = key_of({"threads": "2"})


def rounds(*pairs):
    """Return rounds of the default and of two threads, by their speeds."""
    return [Round(1, (TunedReading({}, default), TunedReading({"threads": "2"}, two))) for default, two in pairs]


def test_only_measurements_of_one_round_are_compared():
    """The machine halves its pace for one round: the ratio is the same in all, and so is the gain."""
    found = compare(rounds((100, 120), (50, 60), (100, 120)), TWO, DEFAULT)

    assert 3 == found.pairs
    assert math.isclose(math.log(1.2), found.gain)


def test_one_disturbed_round_moves_the_gain_little():
    """A median of pairs: one measurement that something else interrupted does not decide."""
    found = compare(rounds((100, 120), (100, 120), (100, 30), (100, 121), (100, 119)), TWO, DEFAULT)

    assert math.isclose(math.log(1.2), found.gain)


def test_a_measurement_that_failed_is_no_pair():
    """Without an answer of both there is nothing to compare, and nothing is certain."""
    found = compare(rounds((100, None)), TWO, DEFAULT)

    assert 0 == found.pairs
    assert math.isinf(found.error)


def test_few_rounds_do_not_prove_a_quiet_machine():
    """Two rounds that happen to agree leave the assumed scatter in place."""
    assert ASSUMED_SPREAD == spread_of(rounds((100, 120), (100, 120)))


def test_the_scatter_is_that_of_one_round_to_the_next():
    """Pairs that alternate between 0.95 and 1.05 scatter by some percent."""
    seen = spread_of(rounds(*[(100, 95 if number % 2 else 105) for number in range(12)]))

    assert 0.05 < seen < 0.2
