"""Draws many bars of one kind close together, one GPU a line: names at the left, need and limit at the right."""

from __future__ import annotations

from seatrial.view.chart.axis import text_width
from seatrial.view.chart.data import ChartData
from seatrial.view.chart.svg_bars import bar_axis, draw_scale, draw_segments
from seatrial.view.chart.svg_shapes import FONT, LINE, Box, block, figure, stroke, words

_BAR = 20
_SLOT = _BAR + 8


def compact_bars_height(chart: ChartData) -> float:
    """Return the height of bars and axis, in pixels."""
    return 10 + _SLOT * max(len(chart.bars), 1) + 2 * LINE + 6


def draw_compact_bars(chart: ChartData, place: Box, identity: str) -> list[str]:
    """Return everything below the legend."""
    axis = bar_axis(chart)
    notes = [_note(chart, bar) for bar in range(len(chart.bars))]
    left = place.left + max((text_width(name, FONT, bold=True) for name in chart.bars), default=0.0) + 10
    right = place.right - max((text_width(note, FONT) for note in notes), default=0.0) - 12
    drawn = draw_scale(chart, axis, (left, right), (place.top + 6, place.bottom - 2 * LINE - 6))
    for bar, name in enumerate(chart.bars):
        top = place.top + 10 + bar * _SLOT
        limits = [mark.value for mark in chart.references if mark.bar in {None, bar}]
        at = [left + axis.at(limit) * (right - left) for limit in limits]
        drawn.append(words(place.left, top + _BAR / 2 + 5, name, "st-strong"))
        drawn += [block((left, top), (x - left, _BAR), "st-capacity") for x in at]
        drawn += draw_segments(chart, bar, (left, right, top), identity, height=_BAR)
        for x in at:
            drawn.append(stroke((x, top - 3), (x, top + _BAR + 3), "st-under"))
            drawn.append(stroke((x, top - 3), (x, top + _BAR + 3), "st-limit"))
        drawn.append(words(right + 10, top + _BAR / 2 + 5, notes[bar]))
    return drawn


def _note(chart: ChartData, bar: int) -> str:
    """Return need and limit: ``53.8 of 126.4``."""
    total = figure(sum(series.y[bar] or 0.0 for series in chart.series))
    limits = [figure(mark.value) for mark in chart.references if mark.bar in {None, bar}]
    return f"{total} of {limits[0]}" if limits else f"{total} needed"
