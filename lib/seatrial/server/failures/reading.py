"""Finds in an engine's log the lines that name a failure, and the phase it happened in.

Many lines look like a failure and are none, and one failure makes many lines. So:

1.  Lines that inform, warn, quote a request or show source code never name a cause. Nor does the traceback of a single
    request: the server survives that.
2.  A failure that the engine survived did not end it. Such lines stand before it was ready or tried another way, before
    it began the phase after the next one, or before three lines of ordinary work.
3.  Of the rest, a cause wins over a general failure ("a file is missing"). Both win over a consequence of another
    failure ("a worker was killed") and over a line that only says that something failed. Among equals an exception wins
    over a message, and then the first line wins: the other ranks die of it.

Rows and patterns are data: ``failures.toml`` beside this file, and the ``failures`` of each engine in
``catalog/engines``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from seatrial.catalog.engine_facts import Failure
from seatrial.server.failures.lines import Line, is_inside, leads_on, split_lines
from seatrial.server.failures.table import WEIGHTS, failure_table, known_failures
from seatrial.server.phases import PhaseProgress, advance, compiled, known_phases

_SURVIVED_WORK = 3
_SURVIVED_PHASES = 2
_LINES_AFTER = 6  # lines after an error that may still name its place
# Characters of distinct messages that are matched, half from the front and half from the end: more than a log of
# failures holds, and few enough that a log written to be slow is read in time.
READ = 200_000
_SERVING = "serving"


@dataclass(frozen=True, slots=True)
class Finding:
    """A failure that a log names."""

    row: Failure
    lines: tuple[str, ...]  # that name its cause, first to last, each once
    phase: str  # it happened in, empty if unknown
    at: int  # index of the line that decided


class LogEnd:
    """The last lines of a log, read once.

    Args:
        lines: The lines.
        engine: Engine id; some patterns are valid for one engine only.

    """

    def __init__(self, lines: Sequence[str], engine: str) -> None:
        self.engine = engine
        self.lines = split_lines(lines)
        self._rows: dict[str, Failure | None] = {}
        self._given: dict[str, bool] = {}
        ready, again = compiled(failure_table().moments.ready), compiled(failure_table().moments.again)
        starts = [at + 1 for at, line in enumerate(self.lines) if ready.search(line.text)]
        self.serves = bool(starts)
        self._served = max([0, *starts])
        self.begin = max([self._served, *(at + 1 for at, line in enumerate(self.lines) if again.search(line.text))])
        self.candidates = list(self._find_candidates(self.begin))

    def failure(self) -> Finding | None:
        """Return the failure that the log names, None if it names none."""
        found, root = self._lasting_failure(), self.root(self._served)
        if root is None or (found is not None and found.at < root.at):
            return found
        moments = failure_table().moments
        if found is None:
            return None if self.serves else root
        explained = found.row.cause in moments.led_to or found.row.kind in {"consequence", "vague"}
        return root if explained else found

    def root(self, since: int = 0) -> Finding | None:
        """Return the first fault that keeps the engine from its GPUs, be it only a warning; None if the log names none.

        Args:
            since: Index of the first line to look at.

        """
        found = [(at, row) for at in self._find_candidates(since, warnings=True) if (row := self._row(self.lines[at]))]
        roots = [(at, row) for at, row in found if row.kind == "root"]
        if not roots:
            return None
        at, row = roots[0]
        same = [self.lines[place] for place, other in found if other.cause == row.cause]
        return Finding(row, distinct(same), row.phase or self._phase(at, self._places[at]), at)

    def _lasting_failure(self) -> Finding | None:
        found = [(at, row) for at in self.candidates if (row := self._row(self.lines[at])) is not None]
        lasting = [(at, row) for at, row in found if not self._survived(at)]
        if not lasting:
            return None
        at, row = min(lasting, key=lambda each: (WEIGHTS[each[1].kind], not self.lines[each[0]].raises, each[0]))
        same = [self.lines[place] for place, other in lasting if other.cause == row.cause]
        return Finding(row, distinct(same), row.phase or self._phase(at, self._places[at]), at)

    def unexplained(self, before: int | None = None) -> list[Line]:
        """Return the last lines of tracebacks that no row explains, except those of single requests.

        Args:
            before: Index before which they must stand, not survived; None for all.

        """
        ends = [at for at in self.candidates if self.lines[at].raises and self._row(self.lines[at]) is None]
        if before is not None and ends:
            ends = [at for at in ends if at < before and not self._survived(at)]
        return [self.lines[at] for at in ends]

    @property
    def works(self) -> bool:
        """True if it was ready, or did what only a ready engine does."""
        return self.serves or self._last_asked >= 0 or bool(self._work and self._work[0])

    @property
    def place(self) -> PhaseProgress:
        """Place of the engine on its way up, at the end of the log."""
        return self._places[-1] if self._places else PhaseProgress()

    @property
    def ends_badly(self) -> bool:
        """True if an error that nobody explains was the end: the engine did nothing after it."""
        last = [at for at in self.candidates if at > self._last_asked and not self._survived(at)]
        raised = any(self.lines[at].raises for at in last)
        reached = (at for at in last if self._places[at].index >= self.place.index)
        return raised or (not self.serves and any(self.lines[at].reports_error for at in reached))

    @cached_property
    def _last_asked(self) -> int:
        """Index of the last line about a request, -1 if there is none."""
        asked = compiled(failure_table().moments.asked)
        return max((at for at, line in enumerate(self.lines) if asked.search(line.message)), default=-1)

    def _survived(self, at: int) -> bool:
        """Return True if the engine went on working after a line."""
        return self._work[at] >= _SURVIVED_WORK or self._went_on(self._places, at)

    def _find_candidates(self, since: int, *, warnings: bool = False) -> Iterator[int]:
        """Yield the indexes of lines that may name a cause.

        Args:
            since: Index of the first line to look at.
            warnings: Include warnings.

        """
        moments, apart = failure_table().moments, set(self._of_requests(since))
        passed_over = [compiled(moments.quoted), *([] if warnings else [compiled(moments.quiet)])]
        worded = [
            at
            for at, line in enumerate(self.lines[since:], since)
            if (not line.informs or (warnings and line.warns)) and at not in apart
            if _has_any(line.message, moments.words)
        ]
        near = self._within(worded) | self._within(worded[::-1])
        return (
            at for at in worded if at in near and not any(each.search(self.lines[at].message) for each in passed_over)
        )

    def _within(self, places: Sequence[int]) -> set[int]:
        """Return the first of these indexes, up to half of ``READ``; repeated messages do not count towards it."""
        known, left = set[str](), READ // 2
        for count, at in enumerate(places):
            message = self.lines[at].message
            left -= 0 if message in known else len(message)
            known.add(message)
            if left < 0:
                return set(places[:count])
        return set(places)

    def _of_requests(self, since: int) -> Iterator[int]:
        """Yield the indexes of tracebacks about a single request, with the further ones they lead to."""
        request, inside, over = compiled(failure_table().moments.request), False, False
        for at in range(since, len(self.lines)):
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
            rows = (row for row in known if compiled(row.pattern).search(line.message) and self._has(row.given))
            self._rows[line.message] = min(rows, key=lambda row: WEIGHTS[row.kind], default=None)
        return self._rows[line.message]

    def _has(self, pattern: str) -> bool:
        if pattern not in self._given:
            self._given[pattern] = any(map(compiled(pattern).search, (line.text for line in self.lines)))
        return self._given[pattern]

    @cached_property
    def _places(self) -> list[PhaseProgress]:
        """Phase of the start at each line."""
        phases, place, places = known_phases(self.engine), PhaseProgress(), []
        for line in self.lines:
            place = advance(place, (line.text,), phases)
            places.append(place)
        return places

    @cached_property
    def _work(self) -> list[int]:
        """Number of lines of ordinary work after each line."""
        pattern, count, counts = compiled(failure_table().moments.work), 0, []
        for line in reversed(self.lines):
            counts.append(count)
            count += bool(pattern.search(line.text))
        return counts[::-1]

    def _went_on(self, places: list[PhaseProgress], at: int) -> bool:
        """Return True if the log reached a phase that all ranks must have reached together."""
        names = [phase.name for phase in known_phases(self.engine)]
        return len(dict.fromkeys(names[places[at].index + 1 : places[-1].index + 1])) >= _SURVIVED_PHASES

    def _phase(self, at: int, place: PhaseProgress) -> str:
        if self.serves:
            return _SERVING
        for line in [*self.lines[at : at + _LINES_AFTER], *reversed(self.lines[max(self.begin, at - 60) : at])]:
            for row in failure_table().places:
                if row.frames and compiled(row.frames).search(line.message):
                    return row.phase
        return place.name


def _has_any(message: str, words: Sequence[str]) -> bool:
    lowered = message.lower()
    return any(word in lowered for word in words)


def distinct(lines: Sequence[Line]) -> tuple[str, ...]:
    """Return the lines without those that only repeat another for a further rank or process."""
    kept: dict[str, str] = {}
    for line in lines:
        kept.setdefault(re.sub(r"\d+", "0", line.message), line.text)
    return tuple(kept.values())
