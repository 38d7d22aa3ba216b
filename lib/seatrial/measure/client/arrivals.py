"""Says when the requests of an open loop leave: at random, at constant gaps, or ever faster."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from seatrial.measure.workload import Arrivals

_FEWEST = 40  # arrivals before a level may be broken off
_ANSWERS = 4  # times the fastest answer that must have passed


def arrival_times(arrivals: Arrivals, rate: float, number: int, seed: int) -> list[float]:
    """Return the seconds from a level's begin to each of its requests.

    Args:
        arrivals: Form of the load.
        rate: Requests per second; of a ramp at its end.
        number: Requests.
        seed: Of random arrivals: the same seed gives the same pattern at every rate.

    """
    if arrivals == "poisson":
        source = random.Random(f"arrivals {seed}")  # noqa: S311 -- load, not secrets
        return list(accumulate(source.expovariate(rate) for _ in range(number)))
    if arrivals == "constant":
        return [index / rate for index in range(number)]
    # The rate rises evenly from 0, so the requests until then grow with the square of the time.
    length_s = 2 * number / rate
    return [length_s * math.sqrt((index + 0.5) / number) for index in range(number)]


class Outrun:
    """Watch over an open loop: it notices that requests arrive more than twice as fast as answers end.

    Such a level would go on for long after its last arrival. The search for the knee breaks it off.
    """

    def __init__(self, begin_ns: int) -> None:
        self._begin = begin_ns
        self._ended: list[int] = []  # clock of each end
        self._fastest = 0  # answer so far, nanoseconds; 0 before the first

    def ended(self, scheduled_ns: int, now_ns: int) -> None:
        """Note that a request is over."""
        self._ended.append(now_ns)
        took = now_ns - scheduled_ns
        self._fastest = min(self._fastest or took, took)

    def hopeless(self, times: Sequence[float], sent: int, now_ns: int) -> bool:
        """Return True if in the latter half of the time until now fewer than half as many requests ended as arrived.

        Args:
            times: Of all arrivals, in seconds from the begin.
            sent: Arrivals so far.
            now_ns: The clock.

        """
        passed = now_ns - self._begin
        # Until a few answers could have come, none is missing.
        if sent < _FEWEST or not self._fastest or passed < _ANSWERS * self._fastest:
            return False
        half = passed / 2
        arrived = sent - bisect_left(times, half / 1e9, hi=sent)
        over = len(self._ended) - bisect_left(self._ended, self._begin + half)
        return over < arrived / 2
