"""Measurements of ``seatrial tune`` as a table: each setting, its speed at each load, its share of the fastest."""

from __future__ import annotations

import math
from collections.abc import Iterable

from seatrial.launching.tuned import Round, Tuned
from seatrial.tune.pairs import DEFAULT, Key, best_speed, compare, key_of, speeds
from seatrial.units import format_seconds
from seatrial.view.tables.table import Table

_NOTHING = "-"


def table_tuned(tuned: Tuned) -> Table:
    """Return a row for each combination: the default, then the fastest, then those that never answered."""
    by_streams = {
        level.streams: [taken for taken in tuned.rounds if taken.streams == level.streams] for level in tuned.levels
    }
    kept = {level.streams: key_of(level.settings) for level in tuned.levels}
    tried = {key_of(one.settings) for rounds in by_streams.values() for taken in rounds for one in taken.readings}
    shares = {streams: _shares(rounds) for streams, rounds in by_streams.items()}

    def place(key: Key) -> tuple[bool, float]:
        return key != DEFAULT, -max((share.get(key, 0.0) for share in shares.values()), default=0.0)

    rows = []
    for key in sorted(tried, key=place):
        cells = [_cell(rounds, shares[streams], key, kept[streams]) for streams, rounds in by_streams.items()]
        rows.append((describe(dict(key), tuned.default), *cells))
    what = " (simulated)" if tuned.simulated else ""
    return Table(
        title=f"{_finding(tuned)}: {tuned.checkpoint} on {tuned.subject.engine} ({tuned.subject.program}){what}",
        columns=("Settings", *(f"{streams} at once>" for streams in by_streams)),
        rows=tuple(rows),
        note=_note(tuned),
    )


def describe(settings: dict[str, str], default: dict[str, str] | None = None) -> str:
    """Return ``threads 2, spin 1000``; the default by the values it stands for."""
    if settings:
        return ", ".join(f"{name} {value}" for name, value in settings.items())
    values = ", ".join(f"{name} {value}" for name, value in (default or {}).items())
    return f"default ({values})" if values else "default"


def round_line(rounds: list[Round], left_s: float) -> str:
    """Return the last round in one line, for the terminal while tuning goes on."""
    last = rounds[-1]
    compared = []
    for reading in last.readings:
        key = key_of(reading.settings)
        if reading.tokens_per_s is None:
            compared.append(f"{describe(reading.settings)}: {reading.why}")
        elif key != DEFAULT:
            found = compare(rounds, key, DEFAULT)
            compared.append(f"{describe(reading.settings)} x{math.exp(found.gain):.2f}")
    default = speeds(last).get(DEFAULT)
    pace = f"default {default:,.1f} tok/s" if default else "default gave nothing"
    return f"{last.streams} at once, round {len(rounds)}: {', '.join([pace, *compared])} ({format_seconds(max(left_s, 0))} left)"


def _shares(rounds: list[Round]) -> dict[Key, float]:
    keys = {key for taken in rounds for key in speeds(taken)}
    gains = {key: 0.0 if key == DEFAULT else compare(rounds, key, DEFAULT).gain for key in keys}
    most = max(gains.values(), default=0.0)
    return {key: math.exp(gain - most) for key, gain in gains.items()}


def _cell(rounds: list[Round], shares: dict[Key, float], key: Key, kept: Key) -> str:
    speed = best_speed(rounds, key)
    if speed is None:
        return "no answer" if _whys(rounds, key) else _NOTHING
    return f"{speed:,.1f} tok/s, {shares[key]:.0%}{' *' if key == kept else ''}"


def _whys(rounds: Iterable[Round], key: Key) -> list[str]:
    return [one.why for taken in rounds for one in taken.readings if key_of(one.settings) == key and one.why]


def _failures(tuned: Tuned) -> str:
    """Return why settings never gave an answer, those with the same reason together."""
    answered = {key for taken in tuned.rounds for key in speeds(taken)}
    tried = {key_of(one.settings) for taken in tuned.rounds for one in taken.readings} - answered
    by_why: dict[str, list[str]] = {}
    for key in sorted(tried):
        by_why.setdefault(_whys(tuned.rounds, key)[0], []).append(describe(dict(key), tuned.default))
    return " ".join(f"No answer with {'; '.join(names)}: {why}" for why, names in by_why.items())


def _finding(tuned: Tuned) -> str:
    gains = [f"{level.gain - 1:.0%} at {level.streams}" for level in tuned.levels if level.settings]
    return f"Faster than the defaults by {', '.join(gains)}" if gains else "Nothing is faster than the defaults"


def _note(tuned: Tuned) -> str:
    spreads = ", ".join(f"{level.spread:.0%} at {level.streams}" for level in tuned.levels if level.spread is not None)
    parts = [
        "* kept for this machine.",
        "tok/s: the best of its measurements; share: of the fastest, median of pairs with the default.",
        _failures(tuned),
        f"One pair scatters by {spreads}." if spreads else "",
        f"Measured {tuned.measured_at[:10]} in {format_seconds(tuned.spent_s)}.",
        f"Load: prompts of {tuned.prompt_tokens} tokens, answers of {tuned.answer_tokens}.",
        "" if tuned.complete else "Not finished: run it again to go on.",
    ]
    return " ".join(part for part in parts if part)
