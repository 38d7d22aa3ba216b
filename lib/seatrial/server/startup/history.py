"""Forecasts how long a start still takes, from earlier starts on this machine; unknown stays unknown."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from seatrial import paths
from seatrial.errors import SeatrialError, UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.records import Interval, from_dict, to_dict
from seatrial.server.state import PhaseTime, StartConditions
from seatrial.units import counted
from seatrial.writing import open_own, write_text

FOLDER, FILE = "startups", "startups.jsonl"
KEPT = 200
_COMPARED = 5
CUT_BYTES, MOST_BYTES = 1 << 18, 1 << 20
WEIGHTS = "loading weights"  # the only phase whose time is proportional to the bytes of the checkpoint
_COUNTED_ONCE = (WEIGHTS, "downloading")  # counted from first part to last once; graphs are counted in several passes
# One earlier start gives no spread: first starts compile and read from disk, later ones find both done.
ALONE_LOW, ALONE_HIGH = 0.5, 2.0
_SINGLE_SECONDS_S, _FIVE_SECONDS_S = 10, 90  # up to which a forecast is given so exactly
_HOUR_MIN = 60
_LOCK_S, _LOCK_POLL_S = 5.0, 0.05

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class Start:
    """One start that succeeded."""

    subject: StartConditions
    phases: tuple[PhaseTime, ...]  # in order
    at: str  # UTC, ISO 8601


@dataclass(frozen=True, slots=True)
class Past:
    """Earlier starts a new one is compared with."""

    starts: tuple[tuple[PhaseTime, ...], ...]  # phases of each, scaled to the new one if the checkpoint was another
    basis: str  # their origin, in words


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Forecast of how long a start still takes."""

    seconds: Interval | None  # the time, None if unknown
    basis: str  # basis of the forecast, or why the time is unknown
    phase_only: bool = False  # true if it is only the time to the end of the present count, because the rest is unknown

    def to_text(self) -> str:
        """Return it as a clause: ``about 4 min left (2 to 6 min; from 3 earlier starts here)``."""
        if self.seconds is None:
            return f"time left {self.basis}"
        low, middle, high = (rough(value) for value in (self.seconds.low, self.seconds.expected, self.seconds.high))
        shortest = low.partition(" ")[0] if low.partition(" ")[2] == high.partition(" ")[2] else low
        spread = "" if low == high else f"{shortest} to {high}; "
        of = " of what it counts now" if self.phase_only else ""
        return f"about {middle} left{of} ({spread}{self.basis})"


def rough(seconds: float) -> str:
    """Return a duration rounded as a forecast should be: ``7 s``, ``45 s``, ``12 min``, ``1 h 10 min``."""
    if seconds < _SINGLE_SECONDS_S:
        return f"{max(seconds, 1):.0f} s"
    if seconds < _FIVE_SECONDS_S:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < _HOUR_MIN else f"{minutes // _HOUR_MIN} h {minutes % _HOUR_MIN} min"


def add_start(start: Start) -> None:
    """Add a start that succeeded to the history; warn if it cannot be written."""
    try:
        with _locked() as path:
            if path.exists() and path.stat().st_size > CUT_BYTES:
                write_text(path, "".join(map(_line, _read(path)[-KEPT:])), mode=0o600)
            _append(path, _line(start))
    except (SeatrialError, OSError) as error:
        log.warning("The time of this start could not be recorded: %s", error)


def earlier_starts() -> list[Start]:
    """Return every recorded start on this machine, the oldest first, without unreadable lines."""
    return _read(history_file())


def history_file() -> Path:
    """Return the file of the history: in a private folder of its own, whatever folder the state lies in."""
    return paths.state_dir() / FOLDER / FILE


def find_past(subject: StartConditions | None, starts: Sequence[Start]) -> Past | None:
    """Return the earlier starts to compare with: of the same checkpoint, else of others with the same engine.

    Args:
        subject: Conditions of the new start; None if unknown.
        starts: Earlier starts, the oldest first.

    """
    if subject is None:
        return None
    similar = [one for one in starts if (one.subject.engine, one.subject.machine) == (subject.engine, subject.machine)]
    same = [one for one in similar if one.subject.checkpoint == subject.checkpoint]
    current = [one for one in same if one.subject.version == subject.version]
    if current or same:
        chosen = (current or same)[-_COMPARED:]
        of = "" if current else f" with {subject.engine} {chosen[-1].subject.version or 'of another version'}"
        return Past(tuple(one.phases for one in chosen), f"from {counted(len(chosen), 'earlier start')} here{of}")
    sized = [one for one in similar if one.subject.weights_bytes] if subject.weights_bytes else []
    if not sized:
        return None
    chosen = sized[-_COMPARED:]
    scaled = tuple(_scaled(one, subject.weights_bytes or 0) for one in chosen)
    return Past(scaled, f"from {counted(len(chosen), 'start')} of other checkpoints here, weights scaled by bytes")


def time_left(past: Past | None, phase: str, spent_s: float, pace: Interval | None, order: Sequence[str]) -> TimeLeft:
    """Forecast how long a start still takes: the rest of this phase, and the later ones as in earlier starts.

    Args:
        past: Earlier starts, None if there are none.
        phase: The present phase.
        spent_s: Seconds in this phase so far.
        pace: Seconds to the end of this phase by its own count, None if nothing is counted.
        order: Names of the engine's phases, in order.

    """
    if past is None:
        unknown = "not known yet: first start of this engine on this machine"
        return (
            TimeLeft(None, unknown)
            if pace is None
            else TimeLeft(pace, "at its pace so far; the rest is not known yet", phase_only=True)
        )
    later = [sum(time.seconds for time in _after(start, phase, order)) for start in past.starts]
    lengths = [next((time.seconds for time in start if time.name == phase), 0.0) for start in past.starts]
    if pace is not None and phase in _COUNTED_ONCE:
        rest = Interval(min(later) + pace.low, median(later) + pace.expected, max(later) + pace.high)
        return TimeLeft(rest, f"this phase at its pace so far, the others {past.basis}")
    if spent_s > max(lengths) > 0:
        return TimeLeft(None, f"not known: {phase} takes longer than ever before ({past.basis})")
    totals = [max(0.0, length - spent_s) + after for length, after in zip(lengths, later, strict=True)]
    if len(totals) == 1:
        (only,) = totals
        return TimeLeft(Interval(only * ALONE_LOW, only, only * ALONE_HIGH), f"{past.basis}; the spread is assumed")
    return TimeLeft(Interval(min(totals), median(totals), max(totals)), past.basis)


def _after(start: Sequence[PhaseTime], phase: str, order: Sequence[str]) -> Sequence[PhaseTime]:
    names = [time.name for time in start]
    if phase in names:
        return start[names.index(phase) + 1 :]
    if phase not in order:
        return start
    # It had no such phase then: take the phases that follow it.
    later = set(order[order.index(phase) :])
    return [time for time in start if time.name in later or time.name not in order]


def _scaled(start: Start, weights_bytes: int) -> tuple[PhaseTime, ...]:
    factor = weights_bytes / (start.subject.weights_bytes or weights_bytes)
    return tuple(
        replace(time, seconds=time.seconds * factor) if time.name == WEIGHTS else time for time in start.phases
    )


def _read(path: Path) -> list[Start]:
    starts = []
    with contextlib.suppress(OSError), path.open("rb") as file:
        for line in filter(None, file.read(MOST_BYTES).splitlines()):
            with contextlib.suppress(JsonError, UsageError):
                starts.append(from_dict(Start, parse_json(line)))
    return starts


def _line(start: Start) -> str:
    return f"{json.dumps(to_dict(start))}\n"


def _append(path: Path, line: str) -> None:
    with open_own(path, append=True) as file:
        # Begin a new line: a full disk or a crash may have cut the last one short.
        file.write(f"\n{line}".encode())


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    """Lock the history against other writers; yields its file."""
    path = history_file()
    lock = os.open(paths.private_dir(path.parent) / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:  # a writer that is suspended, say
                    raise
                time.sleep(_LOCK_POLL_S)
            else:
                break
        yield path
    finally:
        os.close(lock)
