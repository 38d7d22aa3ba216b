"""Says when the requests of an open loop leave: at random, at constant gaps, or ever faster."""

from __future__ import annotations

import math
import random
from itertools import accumulate

from seatrial.measure.workload import Arrivals


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
