"""Draws stacked horizontal bars, each against its own limit: memory needed against memory available."""

from __future__ import annotations

from seatrial.view.chart.axis import Axis, linear_axis, shorten, text_width
from seatrial.view.chart.data import ChartData
from seatrial.view.chart.svg_shapes import FONT, LINE, Box, block, color_class, figure, hatched, stroke, words

_BAR = 30
_NARROW = 3  # pixels; so narrow parts have no gap between them
_SLOT = 2 * LINE + _BAR + 16
_TOTAL_WIDTH = 76


def bars_height(chart: ChartData) -> float:
    """Return the height of bars and axis, in pixels."""
    return 14 + _SLOT * max(len(chart.bars), 1) + 2 * LINE + 6


def draw_bars(chart: ChartData, place: Box, identity: str) -> list[str]:
    """Return everything below the legend of a bar chart."""
    axis = bar_axis(chart)
    left, right = place.left, place.right - _TOTAL_WIDTH
    bottom = place.bottom - 2 * LINE - 6
    drawn = draw_scale(chart, axis, (left, right), (place.top + 10, bottom))
    for bar, name in enumerate(chart.bars):
        top = place.top + 14 + bar * _SLOT
        shown = shorten(name, place.right - left, FONT, bold=True)
        drawn.append(words(left, top + FONT, shown, "st-strong st-halo"))
        drawn += [
            block((left, top + LINE + 4), (axis.at(mark.value) * (right - left), _BAR), "st-capacity")
            for mark in chart.references
            if mark.bar in {None, bar}
        ]
        drawn += _bar(chart, bar, axis, (left, right, top + LINE + 4), identity)
        drawn += _limits(chart, bar, axis, (left, right, top + LINE + 4))
    return drawn


def bar_axis(chart: ChartData) -> Axis:
    """Return the scale on which every bar and limit of a chart fits."""
    totals = [sum(series.y[bar] or 0.0 for series in chart.series) for bar in range(len(chart.bars))]
    return linear_axis([*totals, *(mark.value for mark in chart.references)])


def draw_scale(chart: ChartData, axis: Axis, sides: tuple[float, float], heights: tuple[float, float]) -> list[str]:
    """Return grid, ticks and axis label between these sides and heights."""
    (left, right), (top, bottom) = sides, heights
    drawn = []
    for tick in axis.ticks:
        x = left + axis.at(tick) * (right - left)
        drawn.append(stroke((x, top), (x, bottom), "st-grid"))
        anchor = "start" if tick == axis.ticks[0] else "middle"
        drawn.append(words(x, bottom + LINE, axis.tick_label(tick), "st-muted", anchor))
    drawn.append(words((left + right) / 2, bottom + 2 * LINE + 2, chart.x_label, "st-muted", "middle"))
    return drawn


def draw_segments(
    chart: ChartData, bar: int, place: tuple[float, float, float], identity: str, *, height: float = _BAR
) -> list[str]:
    """Return the stacked parts of one bar, each with its colour and hatching."""
    left, right, top = place
    axis = bar_axis(chart)
    drawn = []
    total = 0.0
    for index, series in enumerate(chart.series):
        size = series.y[bar] or 0.0
        start = left + axis.at(total) * (right - left)
        total += size
        width = left + axis.at(total) * (right - left) - start
        if width > 0:
            gap = 1.0 if width > _NARROW else 0.0
            segment = block((start, top), (width - gap, height), "st-fill")
            overlay = hatched((start, top), (width - gap, height), identity, chart.color_of(index))
            drawn.append(f'<g class="{color_class(chart, index)}">{segment}{overlay}</g>')
    return drawn


def _bar(chart: ChartData, bar: int, axis: Axis, place: tuple[float, float, float], identity: str) -> list[str]:
    left, right, top = place
    drawn = draw_segments(chart, bar, place, identity)
    total = sum(series.y[bar] or 0.0 for series in chart.series)
    text = figure(total)
    end = left + axis.at(total) * (right - left)
    for mark in chart.references:
        limit = left + axis.at(mark.value) * (right - left)
        if mark.bar in {None, bar} and end < limit + 6 and limit < end + text_width(text, FONT, bold=True) + 14:
            end = limit
    drawn.append(words(end + 8, top + _BAR / 2 + 5, text, "st-strong st-halo"))
    return drawn


def _limits(chart: ChartData, bar: int, axis: Axis, place: tuple[float, float, float]) -> list[str]:
    left, right, top = place
    drawn = []
    for mark in chart.references:
        if mark.bar not in {None, bar}:
            continue
        x = left + axis.at(mark.value) * (right - left)
        drawn.append(stroke((x, top - 6), (x, top + _BAR + 6), "st-under"))
        drawn.append(stroke((x, top - 6), (x, top + _BAR + 6), "st-limit"))
        half = text_width(mark.name, FONT) / 2
        middle = min(max(x, left + half), right + _TOTAL_WIDTH - half)
        drawn.append(words(middle, top + _BAR + LINE + 2, mark.name, "st-halo", "middle"))
    return drawn
