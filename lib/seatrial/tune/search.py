"""Finds the fastest settings for one number of streams within a budget, and adopts none that is only luckier.

One setting after the other is raced: all its values against the best so far, in rounds, those that fall
behind leaving early. What comes out is then measured against the default anew, on fresh rounds, and
adopted only where it wins by more than the scatter: the luck that made it first does not count twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seatrial.launching.tuned import Level, Round, TunedReading
from seatrial.tune.pairs import DEFAULT, Comparison, Key, best_speed, compare, key_of, speeds, spread_of

_RACE_ROUNDS = 3
"""Rounds in which the values of one setting are raced, at most."""
_CONFIRM_ROUNDS = 9
"""Fresh rounds that confirm a winner, at most ..."""
_CONFIRM_LEAST = 3
"""... and at least, however clear it looks."""
_RENEWED = 3
"""Rounds after which a confirmation starts both servers anew."""
_LEAST_PAIRS = 2
"""Rounds before a candidate may fall out of a race."""
_RACE_SHARE = 0.5
"""Share of a level's time for the races; the rest is for confirming what won them."""
_FORGETS = 0.8
"""How much of a long measurement is still reckoned with at the next."""
_LEAST_GAIN = math.log(1.01)
"""A gain worth a departure from the default."""


class Bench(Protocol):
    """Measures settings, once, for some seconds."""

    def measure(self, settings: Mapping[str, str], streams: int) -> TunedReading:
        """Tokens per second, or why there are none."""

    def renew(self) -> None:
        """Start every server anew before the next measurement: one may have had luck with where its memory lies."""


@dataclass(slots=True)
class Budget:
    """Seconds that may be spent, by a clock.

    Attributes:
        clock: Gives seconds.
        ends: When by that clock there are none left.

    """

    clock: Callable[[], float]
    ends: float

    @property
    def left(self) -> float:
        """Seconds left, below 0 when overdrawn."""
        return self.ends - self.clock()

    def share(self, part: float) -> Budget:
        """A part of what is left."""
        now = self.clock()
        return Budget(self.clock, now + max(self.ends - now, 0.0) * part)


@dataclass(slots=True)
class Track:
    """Takes the rounds of one number of streams, those of an earlier run first.

    Attributes:
        bench: What measures.
        streams: Requests at once.
        earlier: Rounds of an earlier run that are given back instead of being taken again.
        ends: When by the budget's clock no measurement is begun any more, not even in the middle of a round.
        keep: Called with every new round.
        rounds: All so far.
        cost_s: Seconds to reckon for one measurement: the longest of the last few; 0.0 before the first.
        start_s: Seconds to reckon beside that for settings that were not measured yet: a server has to start.
        cut: Whether a round was not taken for want of time.

    """

    bench: Bench
    streams: int
    earlier: list[Round] = field(default_factory=list)
    ends: float = math.inf
    keep: Callable[[Round], None] = lambda _: None
    rounds: list[Round] = field(default_factory=list)
    cost_s: float = 0.0
    start_s: float = 0.0
    cut: bool = False

    def take(self, keys: Sequence[Key], budget: Budget) -> bool:
        """Measure each once, in turn from the front and from the back; False where the time would not do."""
        for at, old in enumerate(self.earlier):
            if {key_of(reading.settings) for reading in old.readings} == set(keys):
                self.rounds.append(self.earlier.pop(at))
                return True
        unseen = [key for key in keys if not any(key in speeds(taken) for taken in self.rounds)]
        if budget.left < self.cost_s * len(keys) + self.start_s * len(unseen):
            self.cut = True
            return False
        order = keys if len(self.rounds) % 2 == 0 else keys[::-1]
        readings = []
        for key in order:
            begun = budget.clock()
            if begun >= self.ends:
                self.cut = True
                return False
            readings.append(self.bench.measure(dict(key), self.streams))
            self.cost_s = max(self.cost_s * _FORGETS, readings[-1].took_s)
            if key in unseen:
                self.start_s = max(self.start_s * _FORGETS, budget.clock() - begun - readings[-1].took_s)
        self.rounds.append(Round(self.streams, tuple(readings)))
        self.keep(self.rounds[-1])
        return True

    def failed(self, key: Key) -> bool:
        """Whether these settings were measured and never answered."""
        seen = [one for taken in self.rounds for one in taken.readings if key_of(one.settings) == key]
        return bool(seen) and not any(one.tokens_per_s for one in seen)

    def compare(self, one: Key, other: Key) -> Comparison:
        """How much faster one is than the other, over all rounds."""
        return compare(self.rounds, one, other)


def search(track: Track, grid: Mapping[str, Sequence[str]], budget: Budget, start: Key = DEFAULT) -> Level:
    """The settings for one number of streams.

    Args:
        track: Takes the rounds.
        grid: Values to try by setting, the most promising setting first.
        budget: Time for it.
        start: What was best for another number of streams; raced against the default first.

    """
    track.ends = budget.ends
    racing = budget.share(_RACE_SHARE)
    chain = [DEFAULT]
    if start != DEFAULT:
        chain.append(_race(track, DEFAULT, [start], racing))
    for name, values in grid.items():
        challengers = [key_of({**dict(chain[-1]), name: value}) for value in values]
        chain.append(_race(track, chain[-1], [key for key in challengers if key != chain[-1]], racing))
    for winner in dict.fromkeys(reversed(chain)):
        if winner == DEFAULT:
            break
        found = _confirm(track, winner, budget)
        if found is not None:
            return _level(track, winner, found)
    return _level(track, DEFAULT, None)


def _race(track: Track, best: Key, challengers: Sequence[Key], budget: Budget) -> Key:
    """The fastest of ``best`` and its challengers, as far as some rounds can tell."""
    running = list(challengers)
    for _ in range(_RACE_ROUNDS):
        if not running or not track.take(tuple(dict.fromkeys([DEFAULT, best, *running])), budget):
            break
        running = [key for key in running if not track.failed(key) and _may_win(track.compare(key, best))]
        if any(_has_won(track, key, [best, *running]) for key in running):
            break
    ahead = [(track.compare(key, best), key) for key in running]
    won = [(found.gain, key) for found, key in ahead if found.gain > max(found.error, _LEAST_GAIN / 2)]
    return max(won)[1] if won else best


def _may_win(found: Comparison) -> bool:
    """Whether it is not clearly behind; one round alone shows nothing."""
    return found.pairs < _LEAST_PAIRS or found.high > 0


def _has_won(track: Track, key: Key, others: Sequence[Key]) -> bool:
    """Whether it is clearly ahead of every other: more rounds would change nothing."""
    found = [track.compare(key, other) for other in others if other != key]
    return all(one.pairs >= _LEAST_PAIRS and one.low > 0 for one in found)


def _confirm(track: Track, winner: Key, budget: Budget) -> Comparison | None:
    """The gain of ``winner`` over the default on fresh rounds; None where it is not beyond the noise."""
    fresh = len(track.rounds)
    found = None
    for number in range(1, _CONFIRM_ROUNDS + 1):
        if number % _RENEWED == 1:
            track.bench.renew()
        if not track.take((DEFAULT, winner), budget) or track.failed(winner):
            break
        if number < _CONFIRM_LEAST:
            continue
        found = compare(track.rounds[fresh:], winner, DEFAULT, spread_of(track.rounds))
        if abs(found.gain) > 4 * found.error:  # already certain
            break
    return found if found is not None and found.low > 0 and found.gain >= _LEAST_GAIN else None


def _level(track: Track, key: Key, found: Comparison | None) -> Level:
    known = any(len(speeds(taken)) > 1 for taken in track.rounds)
    return Level(
        streams=track.streams,
        settings=dict(key),
        gain=math.exp(found.gain) if found else 1.0,
        gain_low=math.exp(found.low) if found else 1.0,
        spread=spread_of(track.rounds) if known else None,
        pairs=found.pairs if found else 0,
        tokens_per_s=best_speed(track.rounds, key),
        default_tokens_per_s=best_speed(track.rounds, DEFAULT),
    )


def _candidates(rounds: Sequence[Round]) -> Iterator[tuple[Key, Comparison]]:
    """Everything that was measured against the default, the fastest first."""
    keys = {key for taken in rounds for key in speeds(taken)} - {DEFAULT}
    found = [(compare(rounds, key, DEFAULT), key) for key in keys]
    for comparison, key in sorted(found, key=lambda one: (-one[0].gain, one[1])):
        yield key, comparison
