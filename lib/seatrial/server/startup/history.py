"""How long a start still takes, learnt from earlier starts on this machine; unknown stays unknown."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from seatrial import paths
from seatrial.errors import SeatrialError, UsageError
from seatrial.records import Interval, from_dict, to_dict, write_text
from seatrial.server.state import PhaseTime, StartConditions
from seatrial.units import counted

FOLDER, FILE = "startups", "startups.jsonl"
KEPT = 200
_COMPARED = 5
CUT_BYTES, MOST_BYTES = 1 << 18, 1 << 20
WEIGHTS = "loading weights"
"""The phase whose time goes with the bytes of the checkpoint; the others' do not."""
_COUNTED_ONCE = (WEIGHTS, "downloading")
"""Phases in which an engine counts from the first part to the last once; graphs it counts in several passes."""
# One earlier start says little of the spread: first starts compile and read from disk, later ones find both done.
ALONE_LOW, ALONE_HIGH = 0.5, 2.0

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class Start:
    """One start that succeeded.

    Attributes:
        subject: What was started, where.
        phases: How long each phase took, in order.
        at: UTC, ISO 8601.

    """

    subject: StartConditions
    phases: tuple[PhaseTime, ...]
    at: str


@dataclass(frozen=True, slots=True)
class Past:
    """Earlier starts a new one is compared with.

    Attributes:
        starts: Phases of each, scaled to the new one where the checkpoint was another.
        basis: Where they come from, as a person would say it.

    """

    starts: tuple[tuple[PhaseTime, ...], ...]
    basis: str


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long it still takes.

    Attributes:
        seconds: The time, None where it is not known.
        basis: What it rests on, or why it is not known.
        phase_only: Whether it is the time to the end of what is counted now, because what follows is not known.

    """

    seconds: Interval | None
    basis: str
    phase_only: bool = False

    def to_text(self) -> str:
        """As a clause: ``about 4 min left (2 to 6 min; from 3 earlier starts here)``."""
        if self.seconds is None:
            return f"time left {self.basis}"
        low, middle, high = (rough(value) for value in (self.seconds.low, self.seconds.expected, self.seconds.high))
        shortest = low.partition(" ")[0] if low.partition(" ")[2] == high.partition(" ")[2] else low
        spread = "" if low == high else f"{shortest} to {high}; "
        of = " of what it counts now" if self.phase_only else ""
        return f"about {middle} left{of} ({spread}{self.basis})"


def rough(seconds: float) -> str:
    """A duration as exactly as a forecast may be read: ``7 s``, ``45 s``, ``12 min``, ``1 h 10 min``."""
    if seconds < 10:  # noqa: PLR2004 -- single seconds, then steps of five, then minutes
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90:  # noqa: PLR2004
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def add_start(start: Start) -> None:
    """Keep a start that succeeded; a history that cannot be written is said and otherwise does no harm."""
    try:
        with _locked() as path:
            if path.exists() and path.stat().st_size > CUT_BYTES:
                write_text(path, "".join(map(_line, _read(path)[-KEPT:])), mode=0o600)
            _append(path, _line(start))
    except (SeatrialError, OSError) as error:
        log.warning("How long this start took is not kept: %s", error)


def earlier_starts() -> list[Start]:
    """Every start kept on this machine, the oldest first; lines that make no sense are left out."""
    return _read(history_file())


def history_file() -> Path:
    """Where they are kept: in a private folder of its own, whatever folder the state lies in."""
    return paths.state_dir() / FOLDER / FILE


def find_past(subject: StartConditions | None, starts: Sequence[Start]) -> Past | None:
    """What a start is best compared with: the same checkpoint, else another one with the same engine here.

    Args:
        subject: What starts, where; None where that is not known.
        starts: Earlier ones, the oldest first.

    """
    if subject is None:
        return None
    alike = [one for one in starts if (one.subject.engine, one.subject.machine) == (subject.engine, subject.machine)]
    same = [one for one in alike if one.subject.checkpoint == subject.checkpoint]
    current = [one for one in same if one.subject.version == subject.version]
    if current or same:
        chosen = (current or same)[-_COMPARED:]
        of = "" if current else f" with {subject.engine} {chosen[-1].subject.version or 'of another version'}"
        return Past(tuple(one.phases for one in chosen), f"from {counted(len(chosen), 'earlier start')} here{of}")
    sized = [one for one in alike if one.subject.weights_bytes] if subject.weights_bytes else []
    if not sized:
        return None
    chosen = sized[-_COMPARED:]
    scaled = tuple(_scaled(one, subject.weights_bytes or 0) for one in chosen)
    return Past(scaled, f"from {counted(len(chosen), 'start')} of other checkpoints here, weights scaled by bytes")


def time_left(past: Past | None, phase: str, spent_s: float, pace: Interval | None, order: Sequence[str]) -> TimeLeft:
    """How long it still takes: the rest of this phase, and the later ones as they were before.

    Args:
        past: Earlier starts, None where there are none.
        phase: Where it is.
        spent_s: Seconds in this phase so far.
        pace: Seconds to the end of this phase by its own counting, None where nothing is counted.
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
    here = [next((time.seconds for time in start if time.name == phase), 0.0) for start in past.starts]
    if pace is not None and phase in _COUNTED_ONCE:
        rest = Interval(min(later) + pace.low, median(later) + pace.expected, max(later) + pace.high)
        return TimeLeft(rest, f"this phase at its pace so far, the others {past.basis}")
    if spent_s > max(here) > 0:
        return TimeLeft(None, f"not known: {phase} takes longer than ever before ({past.basis})")
    totals = [max(0.0, length - spent_s) + after for length, after in zip(here, later, strict=True)]
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
    # It had no such phase then: whatever the engine does after it.
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
        for line in filter(None, file.read(MOST_BYTES).decode(errors="replace").splitlines()):
            with contextlib.suppress(ValueError, RecursionError, UsageError):
                starts.append(from_dict(Start, json.loads(line)))
    return starts


def _line(start: Start) -> str:
    return f"{json.dumps(to_dict(start))}\n"


def _append(path: Path, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # A line that was cut short, by a full disk or a crash, must not swallow this one.
        os.write(file, f"\n{line}".encode())
    finally:
        os.close(file)


@contextlib.contextmanager
def _locked() -> Iterator[Path]:
    """The file, with no other process writing it."""
    path = history_file()
    lock = os.open(paths.private_dir(path.parent) / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(lock)
