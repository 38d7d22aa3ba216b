"""The strips of a run as still pictures, and as words: what a saved notebook keeps of a live panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Series, SeriesOrigin, Span
from seatrial.view.plots.measurements import TIME
from seatrial.view.plots.run_rows import STRIPS, Row, RunRows, Strip, latest

_MOST = 80  # places of a line: pictures of a run stay a few kilobytes


def run_charts(run: RunRows, finding: str, labels: Sequence[str] = (), *, simulated: bool = False) -> tuple[Chart, ...]:
    """Return a chart of each strip with a known figure; the first is of the output, its title the ``finding``."""
    rows = _fewer(run.rows)
    spans = _levels(run)
    columns = list(zip(*rows, strict=True)) if rows else []
    begins = accumulate((len(strip.lines) for strip in STRIPS), initial=1)
    origin: SeriesOrigin = "simulated" if simulated else "measured"
    charts = []
    for strip, begin, values in zip(STRIPS, begins, latest(run.rows), strict=False):
        series = _series(strip, columns[begin : begin + len(strip.lines)], columns[0], origin) if columns else ()
        if not any(_is_known(one) for one in series):
            continue
        first = strip is STRIPS[0]
        title = finding if first else ": ".join(filter(None, (strip.title, describe_latest(strip, values))))
        unit = f"{strip.title} ({strip.unit})" if strip.unit else strip.title
        charts.append(Chart(title, TIME, unit, series, "; ".join(labels) if first else "at the end", spans=spans))
    return tuple(charts)


def run_text(run: RunRows) -> str:
    """Return the latest figures of each strip, a line each."""
    known = [
        f"{strip.title}: {words}" for strip, values in zip(STRIPS, latest(run.rows), strict=True)
        if (words := describe_latest(strip, values))
    ]  # fmt: skip
    return "\n".join(known)


def describe_latest(strip: Strip, values: Sequence[float]) -> str:
    """Return such as ``p50 51.2 ms, p90 60 ms``; empty if nothing is known."""
    unit = "%" if strip.unit == "%" else f" {strip.unit}" if strip.unit else ""
    return ", ".join(
        f"{line.name} {value:,.{0 if value >= 100 or not unit else 1}f}{unit}"  # noqa: PLR2004 -- as a person reads it
        for line, value in zip(strip.lines, values, strict=True)
        if not math.isnan(value) and line.look != "faint"
    )


def _series(
    strip: Strip, columns: Sequence[Sequence[float]], times: Sequence[float], origin: SeriesOrigin
) -> tuple[Series, ...]:
    made, at = [], tuple(times)
    for index, (line, values) in enumerate(zip(strip.lines, columns, strict=True)):
        known = _gaps(values)
        if line.look == "low":
            high = _gaps(columns[index + 1])
            made.append(Series("tokens/s", at, (None,) * len(at), "predicted", known, high, color=0))
        elif line.look not in {"high", "faint"}:
            made.append(Series(line.name, at, known, origin, color=0 if line.look == "bold" else index))
    return tuple(one for one in made if _is_known(one))


def _is_known(series: Series) -> bool:
    return any(value is not None for value in series.y) or series.has_interval


def _gaps(values: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else round(value, 3) for value in values)


def _fewer(rows: list[Row]) -> list[Row]:
    """Return some of the rows, evenly taken, with every break between levels."""
    every = max(1, -(-len(rows) // _MOST))
    return [row for index, row in enumerate(rows) if index % every == 0 or all(map(math.isnan, row[1:]))]


def _levels(run: RunRows) -> tuple[Span, ...]:
    if not run.rows:
        return ()
    end_s = run.rows[-1][0]
    begins = [marker for marker in run.markers if marker.kind == "level" and marker.at_s < end_s]
    ends = [after.at_s for _, after in pairwise(begins)] + [end_s]
    return tuple(Span(one.text, one.at_s, end) for one, end in zip(begins, ends, strict=True))
