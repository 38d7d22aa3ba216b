"""Takes measurements in rounds: candidates one right after the other, within a budget of seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seatrial.launching.tuned import Round, TunedReading
from seatrial.tune.pairs import Key, key_of

_FORGETS = 0.8  # share of a long measurement that the next estimate still counts


class Bench(Protocol):
    """Measures settings, once, for some seconds."""

    def measure(self, settings: Mapping[str, str], streams: int, left_s: float = math.inf) -> TunedReading:
        """Return tokens per second, or why there are none; give up after ``left_s`` seconds, the start included."""

    def renew(self) -> None:
        """Start every server anew before the next measurement: one may have had luck with where its memory lies."""


@dataclass(slots=True)
class Budget:
    """Seconds that may be spent."""

    clock: Callable[[], float]
    ends: float  # by that clock

    @property
    def left(self) -> float:
        """Seconds left, below 0 when overdrawn."""
        return self.ends - self.clock()

    def share(self, part: float) -> Budget:
        """Return a part of the seconds left."""
        return Budget(self.clock, self.ends - (1 - part) * max(self.left, 0.0))


@dataclass(slots=True)
class Track:
    """Rounds of one number of streams, those of an earlier run first."""

    bench: Bench
    streams: int
    earlier: list[Round] = field(default_factory=list)  # used instead of being taken again
    ends: float = math.inf  # by the budget's clock; a measurement that is not complete then is given up
    keep: Callable[[Round], None] = lambda _: None  # called with every new round
    rounds: list[Round] = field(default_factory=list)
    cost_s: float = 0.0  # expected seconds of one measurement, start included: the longest of the last few
    cut: bool = False  # the time was too short for a round

    def take(self, keys: Sequence[Key], budget: Budget) -> bool:
        """Measure each once, alternately from the front and from the back; return False if the time is too short."""
        for at, old in enumerate(self.earlier):
            if {key_of(reading.settings) for reading in old.readings} == set(keys):
                self.rounds.append(self.earlier.pop(at))
                return True
        readings: list[TunedReading] = []
        if budget.left >= self.cost_s * len(keys):
            for key in keys if len(self.rounds) % 2 == 0 else reversed(keys):
                begun = budget.clock()
                if begun >= self.ends:
                    break
                reading = self.bench.measure(dict(key), self.streams, self.ends - begun)
                ended = budget.clock()
                if reading.tokens_per_s is None and ended >= self.ends:
                    break  # given up for want of time
                self.cost_s = max(self.cost_s * _FORGETS, ended - begun)
                readings.append(reading)
        if len(readings) > 1:
            self.rounds.append(Round(self.streams, tuple(readings)))
            self.keep(self.rounds[-1])
        self.cut = self.cut or len(readings) < len(keys)
        return len(readings) == len(keys)

    def failed(self, key: Key) -> bool:
        """Return True if these settings were measured and never answered."""
        seen = [one for taken in self.rounds for one in taken.readings if key_of(one.settings) == key]
        return bool(seen) and not any(one.tokens_per_s for one in seen)
