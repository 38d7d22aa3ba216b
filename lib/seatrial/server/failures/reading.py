"""What an engine's log says of its end: the lines that name a failure, the phase it was in.

A log holds much that looks like a failure and is none, and one failure makes many. So:

1.  Lines that inform, warn, quote a request or show source code never name a cause, nor does the traceback of a
    single request: the server lives on.
2.  What the engine survived is not why it ended: what stands before it was ready or tried another way, before it
    began the phase after the next one, or before three lines of ordinary work.
3.  Of what is left a cause comes before something general ("a file is missing"), and both before what only follows
    from another failure ("a worker was killed") or says no more than that something failed. Among equals what was
    raised comes before what was only said, and then the first line wins: the other ranks die of it.

Rows and patterns are data: ``failures.toml`` here, and the ``failures`` of each engine in ``catalog/engines``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from seatrial.catalog.engine_facts import Failure, engine_facts, engine_ids
from seatrial.records import from_dict
from seatrial.server.failures.lines import Line, is_inside, leads_on, split_lines
from seatrial.server.phases import PhaseProgress, advance, known_phases

_KINDS = ("cause", "general", "consequence", "vague")
_SURVIVED_WORK = 3
_SURVIVED_PHASES = 2
_LINES_AFTER = 6
"""Lines after an error that may still say where it happened."""
READ = 200_000
"""Characters of different messages that are compared with the patterns, half from the front and half from the end:
more than a log of failures holds, and a flood written to be slow is read in time."""
_SERVING = "serving"


@dataclass(frozen=True, slots=True)
class FailurePlace:
    """One phase, by what a failure in it looks like; ``failures.toml`` explains the fields of these four."""

    phase: str
    during: str
    frames: str = ""


@dataclass(frozen=True, slots=True)
class Moments:
    """Patterns of what a log says besides failures."""

    words: tuple[str, ...]
    quiet: str
    ready: str
    again: str
    work: str
    request: str


@dataclass(frozen=True, slots=True)
class ShortagePattern:
    """Pattern of a line with the figures of a memory failure."""

    pattern: str


@dataclass(frozen=True, slots=True)
class FailureTable:
    """What ``failures.toml`` holds."""

    places: tuple[FailurePlace, ...]
    moments: Moments
    shortages: tuple[ShortagePattern, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A failure a log names.

    Attributes:
        row: The row that says so.
        lines: The lines that name its cause, first to last, alike ones once.
        phase: Phase it happened in, empty where the log does not say.
        at: Place of the line that decided.

    """

    row: Failure
    lines: tuple[str, ...]
    phase: str
    at: int


@cache
def failure_table() -> FailureTable:
    """The rows that hold for every engine."""
    return from_dict(FailureTable, tomllib.loads(Path(__file__).with_name("failures.toml").read_text(encoding="utf-8")))


@cache
def known_failures(engine: str) -> tuple[Failure, ...]:
    """What this engine can show, its own first; within a line the first that is found decides."""
    own = engine_facts(engine).failures if engine in engine_ids() else ()
    return (*own, *failure_table().failures)


def during(phase: str) -> str:
    """``while it loaded the weights``; empty for a phase without a sentence."""
    return next((place.during for place in failure_table().places if place.phase == phase), "")


class LogEnd:
    """The last lines of a log, read once.

    Args:
        lines: The lines.
        engine: Engine id; some lines mean something for one engine only.

    """

    def __init__(self, lines: Sequence[str], engine: str) -> None:
        self.engine = engine
        self.lines = split_lines(lines)
        self._rows: dict[str, Failure | None] = {}
        ready, again = _compiled(failure_table().moments.ready), _compiled(failure_table().moments.again)
        starts = [at + 1 for at, line in enumerate(self.lines) if ready.search(line.text)]
        self.serves = bool(starts)
        self.begin = max([0, *starts, *(at + 1 for at, line in enumerate(self.lines) if again.search(line.text))])
        self.telling = list(self._telling())

    def failure(self) -> Finding | None:
        """The failure it names, None where it names none."""
        found = [(at, row) for at in self.telling if (row := self._row(self.lines[at])) is not None]
        lasting = [(at, row) for at, row in found if not self._survived(at)]
        if not lasting:
            return None
        at, row = min(lasting, key=lambda each: (_KINDS.index(each[1].kind), not self.lines[each[0]].raises, each[0]))
        same = [self.lines[place] for place, other in lasting if other.cause == row.cause]
        return Finding(row, different(same), row.phase or self._phase(at, self._places[at]), at)

    def unexplained(self, before: int | None = None) -> list[Line]:
        """The lines in which tracebacks end that no row explains; those of single requests left out.

        Args:
            before: Place before which they must stand and not have been survived; None for all.

        """
        ends = [at for at in self.telling if self.lines[at].raises and self._row(self.lines[at]) is None]
        if before is not None and ends:
            ends = [at for at in ends if at < before and not self._survived(at)]
        return [self.lines[at] for at in ends]

    def _survived(self, at: int) -> bool:
        """Whether the engine lived on after a line."""
        return self._work[at] >= _SURVIVED_WORK or self._went_on(self._places, at)

    def _telling(self) -> Iterator[int]:
        """Places of the lines that may name a cause."""
        quiet, apart = _compiled(failure_table().moments.quiet), set(self._of_requests())
        words = failure_table().moments.words
        worded = [
            at
            for at in range(self.begin, len(self.lines))
            if not self.lines[at].informs and at not in apart and _has_any(self.lines[at].message, words)
        ]
        near = self._within(worded) | self._within(worded[::-1])
        return (at for at in worded if at in near and not quiet.search(self.lines[at].message))

    def _within(self, places: Sequence[int]) -> set[int]:
        """The first of these places, up to half of what is read; what is said again costs nothing."""
        known, left = set[str](), READ // 2
        for count, at in enumerate(places):
            message = self.lines[at].message
            left -= 0 if message in known else len(message)
            known.add(message)
            if left < 0:
                return set(places[:count])
        return set(places)

    def _of_requests(self) -> Iterator[int]:
        """Places of tracebacks that are about a single request, with the further ones they lead to."""
        request, inside, over = _compiled(failure_table().moments.request), False, False
        for at in range(self.begin, len(self.lines)):
            line = self.lines[at]
            if request.search(line.text):
                inside, over = True, False
            elif inside and over:
                inside = not line.message or leads_on(line)
                over = inside and not leads_on(line)
            elif inside:
                over = not is_inside(line)  # its last line is not indented
            if inside:
                yield at

    def _row(self, line: Line) -> Failure | None:
        if line.message not in self._rows:
            known = (row for row in known_failures(self.engine) if row.pattern)
            rows = (row for row in known if _compiled(row.pattern).search(line.message))
            self._rows[line.message] = min(rows, key=lambda row: _KINDS.index(row.kind), default=None)
        return self._rows[line.message]

    @cached_property
    def _places(self) -> list[PhaseProgress]:
        """The phase of the start at each line."""
        phases, place, places = known_phases(self.engine), PhaseProgress(), []
        for line in self.lines:
            place = advance(place, (line.text,), phases)
            places.append(place)
        return places

    @cached_property
    def _work(self) -> list[int]:
        """Lines of ordinary work after each line."""
        pattern, count, counts = _compiled(failure_table().moments.work), 0, []
        for line in reversed(self.lines):
            counts.append(count)
            count += bool(pattern.search(line.text))
        return counts[::-1]

    def _went_on(self, places: list[PhaseProgress], at: int) -> bool:
        """Whether a phase was reached that all ranks must have reached together."""
        names = [phase.name for phase in known_phases(self.engine)]
        return len(dict.fromkeys(names[places[at].index + 1 : places[-1].index + 1])) >= _SURVIVED_PHASES

    def _phase(self, at: int, place: PhaseProgress) -> str:
        if self.serves:
            return _SERVING
        for line in [*self.lines[at : at + _LINES_AFTER], *reversed(self.lines[max(self.begin, at - 60) : at])]:
            for row in failure_table().places:
                if row.frames and _compiled(row.frames).search(line.message):
                    return row.phase
        return place.name


def _has_any(message: str, words: Sequence[str]) -> bool:
    lowered = message.lower()
    return any(word in lowered for word in words)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the tables."""
    return re.compile(pattern)


def different(lines: Sequence[Line]) -> tuple[str, ...]:
    """The lines as they stood, without those that say the same of another rank or process."""
    kept: dict[str, str] = {}
    for line in lines:
        kept.setdefault(re.sub(r"\d+", "0", line.message), line.text)
    return tuple(kept.values())
