"""Runs to show beside one another: the figures of all, and the fastest as wholes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from seatrial.errors import UsageError
from seatrial.units import counted
from seatrial.view.report.answer import answer
from seatrial.view.report.comparison import SHOWN, Level, comparison_table
from seatrial.view.report.content import headline
from seatrial.view.report.files import run_document
from seatrial.view.report.find import Head, find_records, names_of, read_head
from seatrial.view.report.run_record import RunRecord, read_record
from seatrial.view.tables.table import Table

T = TypeVar("T")

_FOLDED = 100
"""Rows of the folded table of the other runs."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs that a report is of: the figures of all, and as wholes those that are drawn.

    Attributes:
        heads: Figures of each run, in the order named.
        names: A name for each, no two the same.
        prices: Dollars an hour of each run's machine; None if not given.
        shown: Places of the runs that are drawn: all, or the fastest.
        runs: Those runs as wholes.
        unread: Why records in a folder or behind a pattern could not be read, a sentence each.

    """

    heads: Sequence[Head]
    names: Sequence[str]
    prices: Sequence[float | None]
    shown: Sequence[int]
    runs: Sequence[RunRecord]
    unread: tuple[str, ...] = ()

    @property
    def shown_names(self) -> list[str]:
        """Names of the runs that are drawn."""
        return [self.names[place] for place in self.shown]

    def levels(self, places: Sequence[int] | None = None) -> list[Level]:
        """Return the load levels of these runs, or of all."""
        chosen = range(len(self.heads)) if places is None else places
        return [
            Level(self.names[at], self.heads[at], point, self.prices[at])
            for at in chosen
            for point in self.heads[at].points
        ]

    def table(self, *, others: bool = False) -> Table:
        """Return a row for each run: those that are drawn, or some of the others."""
        rest = [at for at in range(len(self.heads)) if at not in set(self.shown)][:_FOLDED]
        places = rest if others else self.shown
        more = counted(len(self.heads) - len(self.shown), "more run")
        title = more if others else "The best load level of each run" if len(self.heads) > 1 else self.finding
        return comparison_table([(self.names[at], self.heads[at], self.prices[at]) for at in places], title)

    @property
    def documents(self) -> list[dict[str, Any]]:
        """Figures of each run as plain JSON values."""
        wholes = dict(zip(self.shown, self.runs, strict=True))
        return [
            run_document(head, name, wholes.get(place))
            for place, (head, name) in enumerate(zip(self.heads, self.names, strict=True))
        ]

    @property
    def finding(self) -> str:
        """The sentence that answers: of one run what it reached, of several which serves most."""
        return answer(self.runs, self.shown_names, len(self.heads)) if len(self.heads) > 1 else headline(self.runs[0])


def read_runs(names: Sequence[Path | str], prices: Sequence[float] = ()) -> Compared:
    """Read runs: the figures of all, and the fastest of many as wholes.

    Args:
        names: Records, folders of runs, and patterns.
        prices: Dollars an hour: one for all, or one for each run; empty if not known.

    Raises:
        UsageError: If no run was named, one is not a run, or there are not as many prices as runs.

    """
    files_found = find_records(names)
    if len(prices) not in {0, 1, len(files_found)}:
        raise UsageError(
            f"{counted(len(prices), 'price')} for {counted(len(files_found), 'run')}.",
            remedy="Give --dollars-per-hour once for all runs, or once for each in their order.",
        )
    named = {Path(name) for name in names}
    reading = _Reading({file for file in files_found if file in named or file.parent in named or len(files_found) == 1})
    with _without_collector():
        heads = reading.each(files_found, read_head)
    order = sorted(heads, key=lambda file: _order(heads[file]), reverse=True) if len(heads) > SHOWN else heads
    runs = reading.each(order, read_record, SHOWN)
    files_read = [file for file in heads if file not in reading.unread]
    if not files_read:
        raise UsageError(next(iter(reading.unread.values())), remedy="Name a run that can be read.")
    read = [heads[file] for file in files_read]
    shown = [place for place, file in enumerate(files_read) if file in runs]
    price_of = dict(zip(files_found, [*prices] * (len(files_found) if len(prices) == 1 else 1), strict=False))
    return Compared(
        heads=read,
        names=names_of(read),
        prices=[price_of.get(file) for file in files_read],
        shown=shown,
        runs=[runs[files_read[place]] for place in shown],
        unread=tuple(reading.unread.values()),
    )


@dataclass(slots=True)
class _Reading:
    """Reading of many files: what cannot be read is kept as a sentence, unless somebody named just that file."""

    named: set[Path]
    unread: dict[Path, str] = field(default_factory=dict)

    def each(self, files: Iterable[Path], how: Callable[[Path], T], most: int | None = None) -> dict[Path, T]:
        read: dict[Path, T] = {}
        for file in files:
            if len(read) == most:
                break
            try:
                read[file] = how(file)
            except UsageError as error:
                if file in self.named:
                    raise
                self.unread[file] = error.what
        return read


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's garbage collector from walking through everything read so far, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _order(head: Head) -> tuple[bool, bool, float]:
    best = head.best
    return (
        best is not None and head.kind != "simulated",
        best is not None and best.self_check.valid,
        (best and best.output_tokens_per_s) or 0.0,
    )
