"""Draws a chart as an interactive plotly figure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seatrial.view.chart.axis import wrap
from seatrial.view.chart.data import LOOKS, PALETTE, ChartData, Highlight, Reference, Series, SeriesOrigin, Span
from seatrial.view.untrusted import plain_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

AXIS: dict[str, Any] = {"gridcolor": "#e3e7eb", "zeroline": False, "linecolor": "#8c959f", "automargin": True}
COLORS: dict[str, Any] = {
    "font": {"size": 13, "color": "#1f2328"},
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
}
TITLE: dict[str, Any] = {"font": {"size": 17}, "x": 0.02, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 18}}
_SHAPES = ("circle", "square", "triangle-up", "diamond")
_CROSSES = ("x-thin", "cross-thin", "asterisk")
_SUFFIXES = {"hollow": "-open", "cross": "-open", "dotted": "-open-dot"}
_PATTERNS = ("", "/", "\\", "|", "-", "+", ".")
_MANY = 40  # points from which on a line is drawn without markers
_FEW = 8  # positions that are all labelled
_TITLE_SIZE = 17
_TITLE_WIDTH = 780
_GREY = "#57606a"


def to_plotly(chart: ChartData) -> Figure:
    """Return the chart as a plotly figure; every text is escaped, because plotly reads markup and TeX.

    Raises:
        ImportError: If plotly is not installed (``pip install 'seatrial[notebooks]'``).

    """
    from plotly.graph_objects import Figure

    figure = Figure()
    order = sorted(range(len(chart.series)), key=lambda place: chart.series[place].origin == "measured")
    for index in range(len(chart.series)) if chart.kind == "bars" else order:
        figure.add_traces(_segments(chart, index) if chart.kind == "bars" else _line(chart, index))
    figure.add_traces([_ring(chart, mark) for mark in chart.highlights])
    figure.update_layout(_layout(chart))
    return figure


def literal(text: str) -> str:
    """Return ``text`` escaped, so that plotly reads no tags, links or TeX in it."""
    return html.escape(plain_text(text, 500), quote=False).replace("$", "&#36;").replace("\n", "<br>")


def plotly_dash(origin: SeriesOrigin) -> str:
    """Return the dash pattern of lines of one origin."""
    return ",".join(f"{part}px" for part in LOOKS[origin].dash) or "solid"


def _line(chart: ChartData, index: int) -> list[dict[str, Any]]:
    series, color = chart.series[index], PALETTE[chart.color_of(index)]
    look, shape = LOOKS[series.origin], chart.shape_of(index)
    symbol = _CROSSES[shape % 3] if look.marker == "cross" else _SHAPES[shape % 4]
    suffix = _SUFFIXES.get(look.marker, "")
    trace = {
        "type": "scatter",
        "name": literal(series.label),
        "x": list(series.x),
        "y": list(series.y),
        "mode": "lines+markers" if len(series.x) <= _MANY else "lines",
        "line": {"color": color, "width": 2.5, "dash": plotly_dash(series.origin)},
        "marker": {
            "symbol": f"{symbol}{suffix}",
            "size": 10,
            "color": color,
            "line": {"width": 3, "color": "#1f2328"} if look.marker == "ringed" else {"width": 2, "color": color},
        },
        "connectgaps": False,
        "hovertemplate": "%{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
    }
    if not series.has_interval:
        return [trace]
    if series.origin == "predicted":
        return [*_band(series, color), trace]
    ends = list(zip(series.y, series.low, series.high, strict=True))
    above = [None if y is None or high is None else high - y for y, _, high in ends]
    below = [None if y is None or low is None else y - low for y, low, _ in ends]
    return [trace | {"error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below}}]


def _ring(chart: ChartData, mark: Highlight) -> dict[str, Any]:
    color = PALETTE[chart.color_of(mark.series)]
    return {
        "type": "scatter",
        "name": literal(mark.name),
        "x": [mark.x],
        "y": [mark.y],
        "mode": "markers",
        "marker": {"symbol": "circle-open", "size": 22, "color": color, "line": {"width": 3, "color": color}},
        "showlegend": False,
        "hovertemplate": "%{fullData.name}<extra></extra>",
    }


def _band(series: Series, color: str) -> list[dict[str, Any]]:
    edge = {
        "type": "scatter",
        "x": list(series.x),
        "mode": "lines",
        "line": {"color": color, "width": 1, "dash": "dot"},
        "legendgroup": series.label,
    }
    low = edge | {"y": list(series.low), "showlegend": False, "name": literal(f"{series.label}: low")}
    high = edge | {"y": list(series.high), "name": literal(f"{series.label}: low to high")}
    return [low, high | {"fill": "tonexty", "fillcolor": _translucent(color)}]


def _segments(chart: ChartData, index: int) -> list[dict[str, Any]]:
    series, color = chart.series[index], chart.color_of(index)
    pattern = {"shape": _PATTERNS[color], "fgcolor": "#ffffff", "size": 7}
    bar = {
        "type": "bar",
        "orientation": "h",
        "name": literal(series.name),
        "x": list(series.y),
        "y": [literal(name) for name in chart.bars],
        "width": 0.5,
        "marker": {"color": PALETTE[color], "pattern": pattern},
        "hovertemplate": "%{y}: %{x:.4g}<extra>%{fullData.name}</extra>",
    }
    return [bar]


def _layout(chart: ChartData) -> dict[str, Any]:
    subtitle = {"subtitle": {"text": literal(chart.subtitle), "font": {"size": 13}}} if chart.subtitle else {}
    bars = chart.kind == "bars"
    title = "<br>".join(map(literal, wrap(chart.title, _TITLE_WIDTH, _TITLE_SIZE, bold=True, lines=2)))
    top = 50 + 22 * (title.count("<br>") + bool(chart.subtitle)) + 18 * bool(chart.spans)
    return {
        "title": TITLE | {"text": f"<b>{title}</b>"} | subtitle,
        **COLORS,
        "legend": {"orientation": "h", "y": -0.32, "yanchor": "top", "x": 0, "traceorder": "normal"},
        "showlegend": True,
        "margin": {"l": 60, "r": 30, "t": top, "b": 100},
        "height": 440,
        "barmode": "stack",
        "hovermode": "closest",
        "xaxis": AXIS | {"title": {"text": literal(chart.x_label)}, "showgrid": bars} | _scale(chart, bars=bars),
        "yaxis": AXIS
        | ({"autorange": "reversed"} if bars else {"title": {"text": literal(chart.y_label)}})
        | ({"type": "log"} if chart.log_y else {} if bars else {"rangemode": "tozero"}),
        "shapes": [*_limits(chart), *span_stripes(chart.spans)],
        "annotations": [*_limit_names(chart), *span_names(chart.spans)],
    }


def _scale(chart: ChartData, *, bars: bool) -> dict[str, Any]:
    if not chart.log_x:
        return {"rangemode": "tozero"} if bars else {}
    places = sorted({x for series in chart.series for x in series.x if x > 0})
    ticks = list(chart.x_ticks) or (places if len(places) <= _FEW else [])
    few = {"tickvals": ticks, "ticktext": [f"{x:,.12g}" for x in ticks]} if ticks else {}
    return {"type": "log", **few}


def _limits(chart: ChartData) -> list[dict[str, Any]]:
    line = {"color": "#1f2328", "width": 2.5, "dash": "dash"}
    if chart.kind != "bars":
        return [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": mark.value, "y1": mark.value, "line": line}
            for mark in chart.references
        ]
    return [
        {"type": "line", "x0": mark.value, "x1": mark.value, "y0": bar - 0.34, "y1": bar + 0.34, "line": line}
        for mark in chart.references
        for bar in _bars_of(chart, mark)
    ]


def _bars_of(chart: ChartData, mark: Reference) -> list[int]:
    return list(range(len(chart.bars))) if mark.bar is None else [mark.bar]


def _limit_names(chart: ChartData) -> list[dict[str, Any]]:
    if chart.kind != "bars":
        return [
            {"xref": "paper", "x": 1, "y": mark.value, "text": literal(mark.name), "showarrow": False,
             "xanchor": "right", "yanchor": "bottom"}
            for mark in chart.references
        ]  # fmt: skip
    # Slim bars stand too close for a name on each: the first of equal limits has it.
    marks = {mark.name: mark for mark in reversed(chart.references)}.values() if chart.compact else chart.references
    return [
        {"x": mark.value, "y": bar - 0.34, "text": literal(mark.name), "showarrow": False, "yanchor": "bottom"}
        for mark in marks
        for bar in _bars_of(chart, mark)
    ]


def span_stripes(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Return a stripe behind every second stretch of the x axis, as plotly's shapes."""
    return [
        {"type": "rect", "yref": "paper", "x0": span.start, "x1": span.end, "y0": 0, "y1": 1, "layer": "below",
         "line": {"width": 0}, "fillcolor": "#f3f5f7"}
        for span in spans[::2]
    ]  # fmt: skip


def span_names(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Return the names of the stretches above the plot, as plotly's annotations."""
    return [
        {"yref": "paper", "x": (span.start + span.end) / 2, "y": 1, "text": literal(span.name), "showarrow": False,
         "yanchor": "bottom", "font": {"color": _GREY}}
        for span in spans
    ]  # fmt: skip


def _translucent(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
