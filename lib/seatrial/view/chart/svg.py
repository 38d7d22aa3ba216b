"""Draws a chart as one self-contained SVG picture that needs neither scripts nor fonts.

The picture is legible from the back of a classroom: text of 13 pixels and more at 640 by 360,
units on the axes, a legend that shows dash and marker, and a description for screen readers.
It has a light background of its own. A page that defines the colour variables (``--ink``,
``--surface``, ``--series-0`` ...) gives it the page's colours, dark ones too.
"""

from __future__ import annotations

import hashlib

from seatrial.view.chart.axis import shorten, text_width, wrap
from seatrial.view.chart.data import ChartData
from seatrial.view.chart.svg_bars import bars_height, draw_bars
from seatrial.view.chart.svg_compact_bars import compact_bars_height, draw_compact_bars
from seatrial.view.chart.svg_lines import draw_lines
from seatrial.view.chart.svg_shapes import FONT, LINE, STYLE, Box, block, escaped, figure, hatch, sample, words

_MARGIN = 16
_TITLE = 17
_TITLE_LINE = 22
_LEAST_PLOT = 170
_SAMPLE = 40


def to_svg(  # noqa: PLR0913 -- what pages choose
    chart: ChartData, *, width: int = 640, height: int = 360, style: bool = True, name: str = "", figures: bool = True
) -> str:
    """Return the picture of ``chart``.

    Args:
        chart: What to draw.
        width: Pixels; the picture scales with the page.
        height: Pixels, at least; a long title or legend makes it higher.
        style: True to put the style into the picture; False if the page has ``STYLE``.
        name: Beginning of its ids, unique on the page; empty to make one from the chart's contents.
        figures: True to describe every figure for screen readers; False if the page has the figures as text.

    """
    identity = name or f"st{hashlib.sha256(repr(chart).encode('utf-8', 'replace')).hexdigest()[:10]}"
    drawn, top = _header(chart, width, identity)
    if chart.kind == "bars":
        bottom = top + (compact_bars_height if chart.compact else bars_height)(chart)
        body = (draw_compact_bars if chart.compact else draw_bars)(
            chart, Box(_MARGIN, top, width - _MARGIN, bottom), identity
        )
    else:
        bottom = max(height - _MARGIN, top + _LEAST_PLOT)
        body = draw_lines(chart, Box(_MARGIN, top, width - _MARGIN, bottom))
    full = round(bottom + _MARGIN)
    patterns = "".join(
        hatch(identity, color) for color in sorted({chart.color_of(i) for i in range(len(chart.series))})
    )
    definitions = f"<defs>{patterns}</defs>" if patterns and chart.kind == "bars" else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="st-chart" viewBox="0 0 {width} {full}" width="{width}"'
        f' height="{full}" role="img" aria-labelledby="{identity}-t {identity}-d">'
        f'<title id="{identity}-t">{escaped(chart.title)}</title><desc id="{identity}-d">{escaped(chart.to_text() if figures else chart.y_label)}</desc>'
        f"{f'<style>{STYLE}</style>' if style else ''}{definitions}"
        f"{block((0, 0), (width, full), 'st-surface')}"
        f"{''.join(drawn)}{''.join(body)}</svg>"
    )


def _header(chart: ChartData, width: int, identity: str) -> tuple[list[str], float]:
    """Return title, subtitle and legend, and the height they end at."""
    free = width - 2 * _MARGIN
    drawn: list[str] = []
    y = float(_MARGIN)
    for line in wrap(chart.title, free, _TITLE, bold=True, lines=2):
        y += _TITLE_LINE
        drawn.append(words(_MARGIN, y - 6, line, "st-title"))
    for line in wrap(chart.subtitle, free, FONT, lines=2):
        y += LINE
        drawn.append(words(_MARGIN, y - 4, line, "st-muted"))
    legend, y = _legend(chart, free, y + 6, identity)
    return [*drawn, *legend], y + 4


def _legend(chart: ChartData, width: float, y: float, identity: str) -> tuple[list[str], float]:
    drawn: list[str] = []
    x = float(_MARGIN)
    y += LINE
    for index, series in enumerate(chart.series):
        label = shorten(_legend_text(chart, index), width - _SAMPLE, FONT)
        needed = _SAMPLE + text_width(label, FONT)
        if x > _MARGIN and x + needed > _MARGIN + width:
            x, y = float(_MARGIN), y + LINE + 2
        drawn += [sample(chart, index, x, y - 5, identity), words(x + _SAMPLE, y, label)]
        x += needed + 18
        if not series.name:
            raise ValueError("every series of a chart has a name")
    return drawn, y


def _legend_text(chart: ChartData, index: int) -> str:
    series = chart.series[index]
    if chart.kind == "bars":
        only = series.y[0] if len(chart.bars) == 1 else None
        return series.name if only is None else f"{series.name} {figure(only)}"
    return f"{series.label} (low to high)" if series.has_interval else series.label
