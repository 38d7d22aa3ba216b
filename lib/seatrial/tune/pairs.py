"""Compares two settings by paired measurements, with the noise of this machine.

Only measurements of the same round are compared: they were taken one right after the other, so a
machine that was busy was busy for both. Logarithms of ratios, medians, and the spread from one
round to the next; one disturbed round moves none of them far.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from seatrial.launching.tuned import Round

Key = tuple[tuple[str, str], ...]  # settings sorted by name, so that they can be looked up
DEFAULT: Key = ()

ASSUMED_SPREAD = 0.05  # spread of one ratio until enough differences were seen to know it ...
_ENOUGH = 4  # ... which is so many
_LEAST_SPREAD = 0.002  # tokens are counted over a second or two: no spread is believed to be smaller
_MEDIAN_TO_SIGMA = 1.4826  # from the median of absolute values to a standard deviation
_MEDIAN_ERROR = 1.2533  # standard error of a median over that of a mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measured gain of one setting over another."""

    pairs: int  # rounds in which both answered
    gain: float  # logarithm of the ratio of tokens per second, median of the pairs; 0.0 without pairs
    error: float  # standard error of the gain; infinite without pairs

    @property
    def low(self) -> float:
        """Least gain at about 95 %."""
        return self.gain - 2 * self.error

    @property
    def high(self) -> float:
        """Greatest gain at about 95 %."""
        return self.gain + 2 * self.error


def key_of(settings: Mapping[str, str]) -> Key:
    """Return the settings as a key."""
    return tuple(sorted(settings.items()))


def compare(rounds: Sequence[Round], one: Key, other: Key, spread: float | None = None) -> Comparison:
    """Return how much faster ``one`` is than ``other``; ``spread`` is that of one pair, by default of these rounds."""
    ratios = _log_ratios([speeds(taken) for taken in rounds], one, other)
    if not ratios:
        return Comparison(0, 0.0, math.inf)
    sigma = spread_of(rounds) if spread is None else spread
    if len(ratios) == 1:
        sigma *= 2  # nothing else speaks for a single pair
    return Comparison(len(ratios), median(ratios), _MEDIAN_ERROR * sigma / math.sqrt(len(ratios)))


def _log_ratios(found: Iterable[Mapping[Key, float]], one: Key, other: Key) -> list[float]:
    return [math.log(speed[one] / speed[other]) for speed in found if one in speed and other in speed]


def spread_of(rounds: Sequence[Round]) -> float:
    """Return the standard deviation of one pair, from the pairs of all candidates with the default."""
    found = [speeds(taken) for taken in rounds]
    steps: list[float] = []
    for candidate in set().union(*found) - {DEFAULT}:
        steps += (abs(later - former) for former, later in pairwise(_log_ratios(found, candidate, DEFAULT)))
    if not steps:
        return ASSUMED_SPREAD
    sigma = _MEDIAN_TO_SIGMA * median(steps) / math.sqrt(2)
    return max(sigma, _LEAST_SPREAD if len(steps) >= _ENOUGH else ASSUMED_SPREAD)


def speeds(taken: Round) -> dict[Key, float]:
    """Return the tokens per second of those that answered, by settings."""
    return {key_of(one.settings): one.tokens_per_s for one in taken.readings if one.tokens_per_s}


def best_speed(rounds: Iterable[Round], key: Key) -> float | None:
    """Return the most tokens per second ever seen with these settings, None if they never answered."""
    return max((speed for taken in rounds if (speed := speeds(taken).get(key))), default=None)
