"""Draws lines, intervals, limits and load levels between two axes."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.view.chart.axis import Axis, decade_axis, linear_axis, log_axis, text_width
from seatrial.view.chart.data import ChartData, Series, runs_of
from seatrial.view.chart.svg_shapes import (
    FONT,
    LINE,
    RING,
    Box,
    block,
    color_class,
    dash_of,
    marker,
    ring,
    stroke,
    words,
)

_MANY = 40  # points from which on a line is drawn without markers
_MOST = 600  # points drawn of one line
_LABELLED = 8  # points from which on a line has no figures beside them
_CROWDED = 40.0  # pixels
_LARGE = 1000  # figures from which on no decimals are shown


@dataclass(frozen=True, slots=True)
class _Frame(Box):
    """The two axes and where they lie."""

    x: Axis
    y: Axis

    def across(self, value: float) -> float:
        return self.left + self.x.at(value) * (self.right - self.left)

    def up(self, value: float) -> float:
        return self.bottom - self.y.at(value) * (self.bottom - self.top)


def draw_lines(chart: ChartData, place: Box) -> list[str]:
    """Return everything below the legend of a line plot."""
    y_axis = _y_axis(chart)
    gutter = max(text_width(y_axis.tick_label(tick), FONT) for tick in y_axis.ticks) + 10
    frame = _Frame(
        x=_x_axis(chart),
        y=y_axis,
        left=place.left + gutter,
        top=place.top + LINE + 14,
        right=place.right - 10,
        bottom=place.bottom - 2 * LINE - 4,
    )
    drawn = [*_spans(chart, frame), *_grid(chart, frame, place.left), *_span_names(chart, frame)]
    for index in sorted(range(len(chart.series)), key=lambda place: chart.series[place].origin == "measured"):
        series = chart.series[index]
        marks = [*_interval(series, frame), *_line(series, chart.shape_of(index), frame)]
        drawn.append(f'<g class="{color_class(chart, index)}">{"".join(marks)}</g>')
    drawn += [
        f'<g class="{color_class(chart, mark.series)}">{ring(frame.across(mark.x), frame.up(mark.y))}</g>'
        for mark in chart.highlights
    ]
    drawn += _limits(chart, frame)
    drawn += _figures(chart, frame) + _labels(chart, frame)
    if chart.is_empty:
        drawn.append(
            words((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, "no data", "st-muted", "middle")
        )
    return drawn


def _x_axis(chart: ChartData) -> Axis:
    values = [x for series in chart.series for x in series.x]
    if chart.log_x:
        return log_axis(values, chart.x_ticks)
    return linear_axis([*values, *(span.end for span in chart.spans)], wanted=7, zero=False, snug=True)


def _y_axis(chart: ChartData) -> Axis:
    rows = [row for series in chart.series for row in (series.y, series.low, series.high)]
    values = [value for row in rows for value in row if value is not None] + [mark.value for mark in chart.references]
    if chart.log_y and values:
        return decade_axis(min(values), max(values))
    if chart.references:  # the names of limits stand above their lines
        values.append(1.08 * max(mark.value for mark in chart.references))
    if chart.spans:  # their names stand above the line
        values.append(1.12 * max(values, default=0.0))
    return linear_axis(values)


def _grid(chart: ChartData, frame: _Frame, left: float) -> list[str]:
    drawn = [words(left, frame.top - 12, chart.y_label, "st-muted")]
    for tick in frame.y.ticks:
        y = frame.up(tick)
        drawn.append(stroke((frame.left, y), (frame.right, y), "st-grid"))
        drawn.append(words(frame.left - 8, y + 4.5, frame.y.tick_label(tick), "st-muted", "end"))
    drawn.append(stroke((frame.left, frame.bottom), (frame.right, frame.bottom), "st-axis"))
    free = 1e9
    for tick in reversed(frame.x.ticks):  # from the right: if labels crowd, the last value keeps its own
        x, label = frame.across(tick), frame.x.tick_label(tick)
        half = text_width(label, FONT) / 2
        drawn.append(stroke((x, frame.bottom), (x, frame.bottom + 5), "st-axis"))
        if x + half <= free:
            drawn.append(words(x, frame.bottom + LINE + 2, label, "st-muted", "middle"))
            free = x - half - 6
    middle = (frame.left + frame.right) / 2
    drawn.append(words(middle, frame.bottom + 2 * LINE + 4, chart.x_label, "st-muted", "middle"))
    return drawn


def _spans(chart: ChartData, frame: _Frame) -> list[str]:
    height = frame.bottom - frame.top
    return [
        block(
            (frame.across(span.start), frame.top),
            (frame.across(span.end) - frame.across(span.start), height),
            "st-span",
        )
        for span in chart.spans[::2]
    ]


def _span_names(chart: ChartData, frame: _Frame) -> list[str]:
    drawn = []
    for span in chart.spans:
        start, end = frame.across(span.start), frame.across(span.end)
        if text_width(span.name, FONT) <= end - start - 4:
            drawn.append(words((start + end) / 2, frame.top + LINE - 3, span.name, "st-muted st-halo", "middle"))
    return drawn


def _interval(series: Series, frame: _Frame) -> list[str]:
    if not series.has_interval:
        return []
    ends = [
        (frame.across(x), frame.up(low), frame.up(high))
        for x, low, high in zip(series.x, series.low, series.high, strict=True)
        if low is not None and high is not None
    ]
    if series.origin == "predicted" and len(ends) > 1:
        upper = " ".join(f"{x:.1f},{high:.1f}" for x, _, high in ends)
        lower = " ".join(f"{x:.1f},{low:.1f}" for x, low, _ in reversed(ends))
        edges = "".join(
            f'<polyline points="{points}" class="st-edge" stroke-dasharray="3 3"/>' for points in (upper, lower)
        )
        return [f'<polygon points="{upper} {lower}" class="st-band"/>', edges]
    return [
        stroke((x, low), (x, high), "st-line") + "".join(stroke((x - 5, y), (x + 5, y), "st-line") for y in (low, high))
        for x, low, high in ends
    ]


def _line(series: Series, shape: int, frame: _Frame) -> list[str]:
    points = [[(frame.across(series.x[at]), frame.up(series.y[at] or 0.0)) for at in run] for run in runs_of(series)]
    dash = dash_of(series)
    gaps = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = [
        f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in _fewer(run))}" class="st-line"{gaps}/>'
        for run in points
        if len(run) > 1
    ]
    many = len(series.x) > _MANY
    marked = [point for run in points if not many or len(run) == 1 for point in run]
    return drawn + [marker(series, shape, x, y) for x, y in marked]


def _limits(chart: ChartData, frame: _Frame) -> list[str]:
    drawn = []
    for mark in chart.references:
        y = frame.up(mark.value)
        drawn.append(stroke((frame.left, y), (frame.right, y), "st-limit", "12 4"))
        up = y - 6 if y > frame.top + LINE else y + LINE - 2
        if _meets_ring(chart, frame, frame.right - 4 - text_width(mark.name, FONT), up):
            drawn.append(words(frame.left + 4, up, mark.name, "st-halo"))
        else:
            drawn.append(words(frame.right - 4, up, mark.name, "st-halo", "end"))
    return drawn


def _meets_ring(chart: ChartData, frame: _Frame, left: float, up: float) -> bool:
    """Return True if a ring lies on the line of text from ``left`` to the right end."""
    radius = RING + 4
    at = [(frame.across(mark.x), frame.up(mark.y)) for mark in chart.highlights]
    return any(x + radius > left and up - FONT < y + radius and y - radius < up for x, y in at)


def _figures(chart: ChartData, frame: _Frame) -> list[str]:
    """Return the values beside their points, if the plot has one short measured line."""
    if any(series.labels for series in chart.series):
        return []
    short = [series for series in chart.series if series.origin != "predicted" and len(series.x) <= _LABELLED]
    if len(short) != 1 or any(len(series.x) > _LABELLED for series in chart.series):
        return []
    drawn = []
    for x, y in zip(short[0].x, short[0].y, strict=True):
        if y is None:
            continue
        text = f"{y:,.3g}" if abs(y) < _LARGE else f"{y:,.0f}"
        half = text_width(text, FONT) / 2
        across = min(max(frame.across(x), frame.left + half), frame.right - half)
        up = frame.up(y)
        others = [frame.up(value) for other in chart.series if other is not short[0] for value in _at(other, x)]
        crowded = any(0 < up - other < _CROWDED for other in others)
        below = crowded and up + LINE + 4 < frame.bottom
        drawn.append(words(across, up + LINE + 3 if below else up - 11, text, "st-strong st-halo", "middle"))
    return drawn


def _labels(chart: ChartData, frame: _Frame) -> list[str]:
    """Return the words beside points, as far as none lies on another."""
    drawn: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for series in chart.series:
        for x, y, text in zip(series.x, series.y, series.labels, strict=False):
            if y is None:
                continue
            half = text_width(text, FONT) / 2
            across, up = min(max(frame.across(x), frame.left + half), frame.right - half), frame.up(y) - 11
            if all(abs(across - left) > half + other or abs(up - top) > FONT for left, top, other in taken):
                taken.append((across, up, half))
                drawn.append(words(across, up, text, "st-muted st-halo", "middle"))
    return drawn


def _at(series: Series, x: float) -> list[float]:
    return [y for place, y in zip(series.x, series.y, strict=True) if place == x and y is not None]


def _fewer(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lowest and highest point of each stretch, so that a long line loses no peak."""
    if len(points) <= _MOST:
        return points
    size = -(-2 * len(points) // _MOST)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        extremes = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(extremes)
    return kept
