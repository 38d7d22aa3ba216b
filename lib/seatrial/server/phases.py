"""Reads from a growing log in which phase a starting engine is, and how far in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import Phase, engine_facts, engine_ids
from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET
from seatrial.server import log

STARTING = "starting"
READ_BYTES, SEARCHED_BYTES = 1 << 18, 1 << 22
"""Of what a log has grown by, how much is read in full, and how much before that is searched for phases."""
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_LINE_END = re.compile(rb"(\r\n|\n|\r)")
# Parts of a line that change although nothing has moved: clocks, times left, rates, percentages beside a count,
# spinners and bars.
_CLOCK = re.compile(
    r"\d{4}-\d\d-\d\d|\d\d-\d\d(?= \d\d:)|\d+:\d\d(?::\d\d)?(?:[.,]\d+)?|\[[^\[\]]*(?:it/s|s/it)[^\[\]]*\]"
    r"|^\d+\.\d\d\.\d{3}\.\d{3}|\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds?|min|minutes?|h|hours?)\b|\b\d{10,}(?:\.\d+)?\b"
)
_NO_WORD = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """Place of an engine on its way up."""

    index: int = -1  # row of the engine's phases, -1 before the first of them
    name: str = STARTING  # of the phase
    step: str = ""  # the pass that ``done`` counts in, empty if the log names none
    done: int | None = None  # parts done, None if nothing is counted
    total: int | None = None  # parts in all, None if nothing is counted


@cache
def known_phases(engine: str) -> tuple[Phase, ...]:
    """Return the phases of an engine's start; empty for one without a data file."""
    return engine_facts(engine).phases if engine in engine_ids() else ()


def advance(place: PhaseProgress, lines: Iterable[str], phases: Sequence[Phase]) -> PhaseProgress:
    """Return the place of an engine after these lines.

    Several ranks write the same lines, each at its own time. So the place never goes back to an earlier phase, nor to a
    smaller count; only a complete count may begin anew (a draft's weights after the model's).

    Args:
        place: Place before these lines.
        lines: Plain lines, in order.
        phases: Rows of the engine's data file.

    """
    for line in lines:
        for index in range(max(place.index, 0), len(phases)):
            found = compiled(phases[index].pattern).search(line)
            if found:
                place = _arrive(place, index, phases[index].name, found.groupdict())
                break
    return place


def _arrive(place: PhaseProgress, index: int, name: str, groups: dict[str, str | None]) -> PhaseProgress:
    step = groups.get("step")
    if index != place.index or (step is not None and step != place.step):
        place = PhaseProgress(index, name, step or "")
    if groups.get("done") is None:
        return place
    done, total = int(groups["done"] or 0), int(groups["total"] or 0)
    another = total != place.total or place.done is None
    anew = place.done == place.total and done * 2 <= total
    return replace(place, done=done, total=total) if another or anew or done > (place.done or 0) else place


def plain(line: bytes) -> str:
    """Return a line without secrets and terminal commands, cut if it is long."""
    text = ESCAPES.sub("", line[: log.LONGEST_LINE].decode(errors="replace"))
    return printable(SECRET.sub(MASK, text)).rstrip()


def without_clock(line: str) -> str:
    """Return the words of a line without clocks and rates: a bar or spinner that is only redrawn stays the same.

    Counters stay in: ``part 3`` and ``part 4`` differ.
    """
    return _NO_WORD.sub(" ", _CLOCK.sub(" ", line))[:200]


class LogReader:
    """Reads the new lines of a log at each call; copes with cut lines and with a log that begins anew.

    Args:
        path: Log file, which need not exist yet.
        phases: Phases of the engine: a line that shows one is returned even if a flood followed it.

    Attributes:
        recent: The last lines, plain; the last of them may be unfinished.

    """

    RECENT_LINES = 8

    def __init__(self, path: Path, phases: Sequence[Phase] = ()) -> None:
        self.recent: tuple[str, ...] = ()
        self._path = path
        self._phases = [re.compile(row.pattern.encode()) for row in phases]
        self._at = 0
        self._seen = 0
        self._complete: tuple[str, ...] = ()

    def read(self) -> list[str]:
        """Return the lines since the last call, and the unfinished one at the end: bars are drawn without a line end."""
        size = log.size(self._path)
        if size < self._seen:  # it passed its cap and was emptied
            self._at = 0
        elif size == self._seen:
            return []
        self._seen = size
        start = max(self._at, size - SEARCHED_BYTES)
        new = log.read(self._path, start, size - start)
        *complete, rest = _LINE_END.split(new)  # lines, each followed by its end
        cut = 2 * (start > self._at)  # the first line lacks its beginning
        lines = list(self._relevant(zip(complete[cut::2], complete[cut + 1 :: 2], strict=True), len(new) - READ_BYTES))
        # An unfinished line is read again with its end: half a secret is not recognised.
        self._at = start + len(new) - len(rest)
        done, last = [line for line, _ in lines], plain(rest)
        stays = (line for line, end in lines if line and end != b"\r")  # a bar is drawn over its last state
        self._complete = (*self._complete, *stays)[-self.RECENT_LINES :]
        self.recent = (*self._complete, last)[-self.RECENT_LINES :] if last else self._complete
        return [*done, last] if last else done

    def _relevant(self, lines: Iterable[tuple[bytes, bytes]], flood_bytes: int) -> Iterator[tuple[str, bytes]]:
        """Yield each line, plain, with its end; of the first ``flood_bytes`` bytes only lines that show a phase."""
        at = 0
        for line, end in lines:
            at += len(line) + len(end)
            if at > flood_bytes or any(pattern.search(line) for pattern in self._phases):
                yield plain(line), end


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the data files once; ``re`` itself remembers fewer than they hold."""
    return re.compile(pattern)
