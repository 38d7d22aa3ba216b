"""Races the settings for one number of streams within a budget, and confirms the winner against the default.

All values are measured briefly beside the default. A value leaves by a statistical test, as in irace
(https://doi.org/10.1016/j.orp.2016.09.002), the others are measured longer; docs/tuning.md has the rules.
The winner is confirmed on fresh rounds: the luck that made it first in the race does not count twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from seatrial.launching.tuned import Level
from seatrial.tune.pairs import DEFAULT, Comparison, Key, best_speed, compare, key_of, speeds, spread_of
from seatrial.tune.rounds import Budget, Track

_BESIDE = 4  # candidates in one round beside the default and the leader
_HEAT_ROUNDS = 2  # rounds in a row, while the servers of the heat are up
_MOST_HEATS = 8
_CONFIRM_LEAST, _CONFIRM_MOST = 3, 30  # pairs
_RENEWED = 3  # pairs after which both servers start anew
_CERTAIN = 4  # standard errors at which more pairs would change nothing
_RACE_SHARE = 0.65  # of the time of a number of streams; the rest is for confirming
_HEATS_SHARE = 0.5  # of the time of a race; what is still close then is decided by what was measured
_LEAST_GAIN = math.log(1.01)  # worth a departure from the default


def race_and_confirm(track: Track, grid: Mapping[str, Sequence[str]], budget: Budget, start: Key = DEFAULT) -> Level:
    """Return the fastest settings for one number of streams, the default unless others are certainly faster.

    Args:
        track: Takes the rounds.
        grid: Values to try by setting, the most promising setting first.
        budget: Time for race and confirmation.
        start: Best settings of another number of streams; raced against the default first.

    """
    track.ends = budget.ends
    winner = _race(track, grid, budget.share(_RACE_SHARE), start)
    found = None if winner == DEFAULT else _confirm(track, winner, budget)
    kept = winner if found else DEFAULT
    return Level(
        streams=track.streams,
        settings=dict(kept),
        gain=math.exp(found.gain) if found else 1.0,
        gain_low=math.exp(found.low) if found else 1.0,
        spread=spread_of(track.rounds) if any(len(speeds(taken)) > 1 for taken in track.rounds) else None,
        pairs=found.pairs if found else 0,
        tokens_per_s=best_speed(track.rounds, kept),
        default_tokens_per_s=best_speed(track.rounds, DEFAULT),
    )


def _race(track: Track, grid: Mapping[str, Sequence[str]], budget: Budget, start: Key) -> Key:
    """Return the fastest settings: the fastest values of all settings together, then what is faster still."""
    best = DEFAULT
    if start != DEFAULT and _heats(track, DEFAULT, {start: ""}, budget)[1]:
        best = start
    running = [(name, value) for name, values in grid.items() for value in values]
    while True:
        changes = {key_of({**dict(best), name: value}): (name, value) for name, value in running}
        changes.pop(best, None)
        standing, winners = _heats(track, best, {key: name for key, (name, _) in changes.items()}, budget)
        if not winners:
            return best
        chosen = dict(changes[key] for key in reversed(winners))  # the fastest value of each setting
        best, together = winners[0], key_of({**dict(best), **chosen})
        taken = {changes[best][0]}
        if together != best and _heats(track, best, {together: ""}, budget)[1]:
            best, taken = together, set(chosen)
        running = [changes[key] for key in standing if changes[key][0] not in taken]


def _heats(track: Track, best: Key, challengers: Mapping[Key, str], budget: Budget) -> tuple[list[Key], list[Key]]:
    """Race challengers, each with the setting it changes; return those not slower than ``best``, and those faster."""
    soon = budget.share(_HEATS_SHARE)
    running, found = list(challengers), {key: Comparison(0, 0.0, math.inf) for key in challengers}
    for _ in range(_MOST_HEATS):
        in_time = all(
            _heat(track, best, running[first : first + _BESIDE], budget) for first in range(0, len(running), _BESIDE)
        )
        found = {key: compare(track.rounds, key, best) for key in found if not track.failed(key)}
        found = {key: one for key, one in found.items() if one.high > 0}
        leader = max(found, key=lambda key: found[key].gain, default=best)
        if not in_time or leader == best or soon.left <= 0 or _is_settled(track, leader, found, challengers):
            break
        running = _contending(track, best, found)
    ahead = [key for key, one in found.items() if one.gain > max(one.error, _LEAST_GAIN / 2)]
    return list(found), sorted(ahead, key=lambda key: -found[key].gain)


def _heat(track: Track, best: Key, challengers: Sequence[Key], budget: Budget) -> bool:
    for _ in range(_HEAT_ROUNDS):
        challengers = _contending(track, best, challengers)
        if challengers and not track.take(tuple(dict.fromkeys([DEFAULT, best, *challengers])), budget):
            return False
    return True


def _contending(track: Track, best: Key, challengers: Iterable[Key]) -> list[Key]:
    """Return the challengers that are certainly slower neither than ``best`` nor than the leader."""
    found = {key: compare(track.rounds, key, best) for key in challengers if not track.failed(key)}
    to_beat = max([0.0, *(one.low for one in found.values())])
    return [key for key, one in found.items() if one.high >= to_beat]


def _is_settled(track: Track, leader: Key, found: Mapping[Key, Comparison], challengers: Mapping[Key, str]) -> bool:
    """Return True if nobody can be ahead worthwhile, or if the leader is and no other value of its setting leads it."""
    if all(one.high < _LEAST_GAIN / 2 for one in found.values()):
        return True
    rivals = [key for key in found if key != leader and challengers[key] == challengers[leader]]
    return found[leader].low > 0 and all(compare(track.rounds, key, leader).high < _LEAST_GAIN for key in rivals)


def _confirm(track: Track, winner: Key, budget: Budget) -> Comparison | None:
    """Return the gain of the winner over the default on fresh rounds, None if the noise may explain it."""
    fresh = len(track.rounds)
    found = None
    for number in range(_CONFIRM_MOST):
        if number % _RENEWED == 0:
            track.bench.renew()
        if not track.take((DEFAULT, winner), budget) or track.failed(winner):
            break
        if number + 1 < _CONFIRM_LEAST:
            continue
        found = compare(track.rounds[fresh:], winner, DEFAULT, spread_of(track.rounds))
        if abs(found.gain) > _CERTAIN * found.error or found.high < _LEAST_GAIN:
            break
    return found if found is not None and found.low > 0 and found.gain >= _LEAST_GAIN else None
