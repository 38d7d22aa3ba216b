"""A plot as data: its series with their origins, independent of how it is drawn.

How a series looks follows from its origin only. So nobody can take a prediction, a measurement
and a simulation for one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

SeriesOrigin = Literal["measured", "predicted", "simulated", "verified", "derived"]
_Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How series of one origin are drawn: dash pattern of the line, and kind of marker."""

    dash: tuple[int, ...]
    marker: Literal["filled", "hollow", "cross", "ringed", "dotted"]


LOOKS: dict[SeriesOrigin, Look] = {
    "measured": Look((), "filled"),
    "predicted": Look((9, 5), "hollow"),
    "simulated": Look((2, 4), "cross"),
    "verified": Look((10, 4, 2, 4), "ringed"),
    "derived": Look((18, 3), "dotted"),
}

_LARGEST = 1e18  # any larger value is a fault, not a finding
_LARGE = 1000  # figures from which on no decimals are shown

# Okabe and Ito's colours (Color Universal Design, 2008), those with most contrast on white first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or one segment of every bar.

    Attributes:
        name: Name in the legend.
        x: Positions; empty for segments of bars.
        y: One value a position, or a bar; None is a gap.
        origin: Where the values come from; decides dash and marker.
        low: Lower end of the interval round each ``y``; empty without intervals.
        high: Upper end.
        color: Index into the palette; None for the series' index in the chart.
        labels: Words beside each point, such as its load; empty for none.

    """

    name: str
    x: tuple[float, ...]
    y: _Values
    origin: SeriesOrigin
    low: _Values = ()
    high: _Values = ()
    color: int | None = None
    labels: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name with the origin, which must be readable wherever the name is."""
        name = plain_text(self.name, 60)
        return name if self.origin in name.casefold() else f"{name}, {self.origin}"

    @property
    def has_interval(self) -> bool:
        """True if any value has an interval round it."""
        return any(low is not None and high is not None for low, high in zip(self.low, self.high, strict=True))


@dataclass(frozen=True, slots=True)
class Reference:
    """A limit to compare with: a line across the plot, or across one bar."""

    name: str  # with its figure: "capacity 576 GiB"
    value: float  # on the value axis
    bar: int | None = None  # index of its bar; None for the whole plot


@dataclass(frozen=True, slots=True)
class Highlight:
    """A point of a line with a ring round it, such as the largest context that fits."""

    name: str  # with its figure
    series: int  # index of its line
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Span:
    """A named stretch of the x axis, such as one load level of a run."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ChartData:
    """Everything that is drawn; ``Chart`` describes the fields."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    subtitle: str = ""
    references: tuple[Reference, ...] = ()
    spans: tuple[Span, ...] = ()
    log_x: bool = False
    log_y: bool = False
    kind: Literal["lines", "bars"] = "lines"
    bars: tuple[str, ...] = ()
    compact: bool = False
    highlights: tuple[Highlight, ...] = ()
    x_ticks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Make values that cannot be drawn (infinite, absurd, or not above 0 on a log axis) gaps.

        Raises:
            ValueError: If lists that belong together differ in length.

        """
        object.__setattr__(self, "series", tuple(self._drawable(series) for series in self.series))
        object.__setattr__(self, "references", tuple(mark for mark in self.references if _is_plain(mark.value)))
        spans = (span for span in self.spans if _is_plain(span.start) and _is_plain(span.end))
        object.__setattr__(self, "spans", tuple(spans))

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to draw."""
        return all(value is None for series in self.series for value in series.y)

    def color_of(self, index: int) -> int:
        """Return the palette index of the series at ``index``."""
        color = self.series[index].color
        return (index if color is None else color) % len(PALETTE)

    def shape_of(self, index: int) -> int:
        """Return how many earlier series share the origin, which tells markers of one origin apart."""
        return sum(series.origin == self.series[index].origin for series in self.series[:index])

    def to_table(self) -> Table:
        """Return the figures behind the plot."""
        if self.kind == "bars":
            return self._table_of_bars()
        numbers = [f"{series.label}{' (low to high)' if series.has_interval else ''}>" for series in self.series]
        positions = _thinned(sorted({x for series in self.series for x in series.x}))
        places = [{x: place for place, x in enumerate(series.x)} for series in self.series]
        lines = [
            (f"{x:,.6g}", *(_value_at(series, place.get(x)) for series, place in zip(self.series, places, strict=True)))
            for x in positions
        ]
        named = [limit.name for limit in self.references if limit.name]
        named += dict.fromkeys(mark.name for mark in self.highlights)
        note = "; ".join([self.y_label, *map(plain_text, named)])
        return Table(plain_text(self.title), (f"{self.x_label}>", *numbers), tuple(lines), note)

    def _table_of_bars(self) -> Table:
        rows = [
            (plain_text(name), *(_cell(series.y[bar], None, None) for series in self.series), self._limits_of(bar))
            for bar, name in enumerate(self.bars)
        ]
        columns = ("", *(f"{plain_text(series.name, 60)}>" for series in self.series), "against")
        return Table(plain_text(self.title), columns, tuple(rows), self.x_label)

    def _limits_of(self, bar: int) -> str:
        return "; ".join(plain_text(mark.name, 80) for mark in self.references if mark.bar in {None, bar})

    def to_text(self) -> str:
        """Return the finding and its figures in words, for screen readers and terminals."""
        text = self.to_table().to_text()
        return f"{text}\n{plain_text(self.subtitle)}" if self.subtitle else text

    def _drawable(self, series: Series) -> Series:
        expected = len(self.bars) if self.kind == "bars" else len(series.x)
        if len(series.y) != expected or not {len(series.low), len(series.high)} <= {0, expected}:
            raise ValueError(f"series {series.name!r} has {len(series.y)} values for {expected} places")
        if len(series.low) != len(series.high):
            raise ValueError(f"series {series.name!r} has an interval with one end")
        placed = [_is_plain(x) and (x > 0 or not self.log_x) for x in series.x] or [True] * expected
        known = tuple(y if valid else None for y, valid in zip(series.y, placed, strict=True))
        return replace(
            series,
            x=tuple(x if valid else 1.0 for x, valid in zip(series.x, placed, strict=False)),
            y=tuple(map(self._number, known)),
            low=tuple(map(self._number, series.low)),
            high=tuple(map(self._number, series.high)),
        )

    def _number(self, value: float | None) -> float | None:
        if value is None or not _is_plain(value) or (self.log_y and value <= 0):
            return None
        return float(value)


def runs_of(series: Series) -> list[list[int]]:
    """Return the indices of each unbroken stretch of a series; a gap ends a line."""
    known = [place for place, value in enumerate(series.y) if value is not None]
    cuts = [0, *(at + 1 for at, (one, two) in enumerate(pairwise(known)) if two != one + 1), len(known)]
    return [known[start:end] for start, end in pairwise(cuts) if start < end]


def _is_plain(value: float) -> bool:
    """Return True if a value can be drawn."""
    return math.isfinite(value) and abs(value) <= _LARGEST


def _value_at(series: Series, place: int | None) -> str:
    if place is None:
        return ""
    if not series.low:
        return _cell(series.y[place], None, None)
    return _cell(series.y[place], series.low[place], series.high[place])


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    text = "" if value is None else f"{value:,.4g}" if abs(value) < _LARGE else f"{value:,.0f}"
    return text if low is None or high is None else f"{text} ({low:,.3g} to {high:,.3g})"


def _thinned(positions: list[float], most: int = 24) -> list[float]:
    """Return at most ``most`` positions, evenly taken, first and last among them."""
    if len(positions) <= most:
        return positions
    return [positions[round(place * (len(positions) - 1) / (most - 1))] for place in range(most)]
