"""Which of two settings is faster, and whether the difference is more than noise.

Only measurements of the same round are compared: they were taken one right after the other, so a
machine that was busy was busy for both. Logarithms of ratios, medians, and the scatter from one
round to the next; one disturbed round moves none of them far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from seatrial.launching.tuned import Round

Key = tuple[tuple[str, str], ...]
"""Settings as something that can be looked up, by name."""
DEFAULT: Key = ()

ASSUMED_SPREAD = 0.05
"""Scatter of one ratio, until enough were seen to know it."""
_ENOUGH = 4
"""Differences between rounds from which the scatter is known."""
_LEAST_SPREAD = 0.002
"""No scatter is believed to be smaller: tokens are counted over a second or two."""
_TO_SIGMA = 1.4826  # from the median of absolute values to a standard deviation
_OF_MEDIAN = 1.2533  # how much further than a mean a median scatters


@dataclass(frozen=True, slots=True)
class Comparison:
    """One setting against another.

    Attributes:
        pairs: Rounds in which both answered.
        gain: Logarithm of the ratio of tokens per second, median of the pairs; 0.0 without any.
        error: Its standard error; infinite without pairs.

    """

    pairs: int
    gain: float
    error: float

    @property
    def low(self) -> float:
        """The least the gain is at about 95 %."""
        return self.gain - 2 * self.error

    @property
    def high(self) -> float:
        """The most it is."""
        return self.gain + 2 * self.error


def key_of(settings: Mapping[str, str]) -> Key:
    """Settings as a key."""
    return tuple(sorted(settings.items()))


def compare(rounds: Sequence[Round], one: Key, other: Key, spread: float | None = None) -> Comparison:
    """How much faster ``one`` is than ``other``.

    Args:
        rounds: All rounds of a number of streams.
        one: Settings.
        other: Settings.
        spread: Scatter of one pair, where it is known from more rounds than these.

    """
    found = _log_ratios(rounds, one, other)
    if not found:
        return Comparison(0, 0.0, math.inf)
    scatter = spread_of(rounds) if spread is None else spread
    return Comparison(len(found), median(found), _OF_MEDIAN * scatter / math.sqrt(len(found)))


def _log_ratios(rounds: Iterable[Round], one: Key, other: Key) -> list[float]:
    """One a round in which both answered."""
    ratios = []
    for taken in rounds:
        speed = speeds(taken)
        if one in speed and other in speed:
            ratios.append(math.log(speed[one] / speed[other]))
    return ratios


def spread_of(rounds: Sequence[Round]) -> float:
    """Scatter of one pair: what all candidates of these rounds tell together."""
    steps: list[float] = []
    for candidate in sorted({key for taken in rounds for key in speeds(taken)} - {DEFAULT}):
        steps += (abs(later - former) for former, later in pairwise(_log_ratios(rounds, candidate, DEFAULT)))
    if not steps:
        return ASSUMED_SPREAD
    scatter = _TO_SIGMA * median(steps) / math.sqrt(2)
    return max(scatter, _LEAST_SPREAD if len(steps) >= _ENOUGH else ASSUMED_SPREAD)


def speeds(taken: Round) -> dict[Key, float]:
    """Tokens per second of those that answered."""
    return {key_of(one.settings): one.tokens_per_s for one in taken.readings if one.tokens_per_s}


def best_speed(rounds: Iterable[Round], key: Key) -> float | None:
    """The most tokens per second ever seen with these settings."""
    return max((speed for taken in rounds if (speed := speeds(taken).get(key))), default=None)
