"""The pieces an SVG plot is made of: escaped text, markers, legend samples, and their one style."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from xml.sax.saxutils import escape

from seatrial.view.chart.data import LOOKS, PALETTE, ChartData, Series
from seatrial.view.untrusted import plain_text

Point = tuple[float, float]

FONT = 13  # pixels, as in chart.css
LINE = 18
RING = 11.0
_RADIUS = 5.0
_DOT = 1.75
_HATCHES = (
    "",
    "M0 8L8 0M-2 2L2 -2M6 10L10 6",
    "M0 0L8 8M-2 6L2 10M6 -2L10 2",
    "M4 0V8",
    "M0 4H8",
    "M0 4H8M4 0V8",
    "M2 2h2v2h-2z",
)  # an overlay for each colour: bars can be told apart without seeing colour
_DARK = ("#4DA3DD", "#F08A3C", "#2FC49A", "#E3A3C6", "#F2B632", "#8CCBF0", "#A8A8A8")

# The style of every picture, or of a page with pictures. Colours are the page's own if it defines the variables.
STYLE = files("seatrial.view.chart").joinpath("chart.css").read_text(encoding="utf-8") + "".join(
    f".st-chart .st-c{index}{{color:{value};color:var(--series-{index},{value})}}"
    for index, value in enumerate(PALETTE)
)
# The palette in lighter colours, for a page with a dark background.
DARK_VARIABLES = "".join(f"--series-{index}:{value};" for index, value in enumerate(_DARK))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def figure(value: float) -> str:
    """Return a size as it stands on a bar or in its legend."""
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:,.2g}"


def words(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    """Return a line of escaped text with its baseline at ``y``."""
    kind = f' class="{style}"' if style else ""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{place}>{escaped(text)}</text>'


def stroke(start: Point, end: Point, style: str, dash: str = "") -> str:
    """Return a straight line."""
    gaps = f' stroke-dasharray="{dash}"' if dash else ""
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} class="{style}"{gaps}/>'


def block(corner: Point, size: Point, style: str) -> str:
    """Return a rectangle with this upper left corner, width and height."""
    return f'<rect {_extent(corner, size)} class="{style}"/>'


def escaped(text: str) -> str:
    """Return ``text`` escaped for XML."""
    return escape(plain_text(text, 2000), {'"': "&quot;"})


def color_class(chart: ChartData, index: int) -> str:
    """Return the CSS class with the colour of the series at ``index``."""
    return f"st-c{chart.color_of(index)}"


def dash_of(series: Series) -> str:
    """Return the dash pattern of a series' line; empty for a solid one."""
    return " ".join(map(str, LOOKS[series.origin].dash))


def marker(series: Series, shape: int, x: float, y: float) -> str:
    """Return the marker of a series: its kind shows the origin, its outline tells neighbours apart."""
    kind = LOOKS[series.origin].marker
    if kind == "cross":
        return f'<path d="{_cross(shape, x, y)}" class="st-cross"/>'
    outline = f'<path d="{_outline(shape, x, y, _RADIUS)}" class="st-{"hollow" if kind in {"hollow", "dotted"} else "solid"}"/>'
    ring = f'<path d="{_outline(shape, x, y, _RADIUS + 3)}" class="st-edge"/>' if kind == "ringed" else ""
    dot = f'<path d="{_outline(0, x, y, _DOT)}" class="st-fill"/>' if kind == "dotted" else ""
    return outline + ring + dot


def ring(x: float, y: float) -> str:
    """Return the circle round a highlighted point."""
    return f'<path d="{_outline(0, x, y, RING)}" class="st-ring"/>'


def hatch(identity: str, color: int) -> str:
    """Return the definition of the overlay of a bar's segment; empty for the plain one."""
    path = _HATCHES[color % len(_HATCHES)]
    if not path:
        return ""
    return (
        f'<pattern id="{identity}-h{color}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<path d="{path}" class="st-hatch"/></pattern>'
    )


def sample(chart: ChartData, index: int, x: float, y: float, identity: str) -> str:
    """Return a series' sample for the legend, 34 pixels wide, centred on ``y``."""
    series = chart.series[index]
    if chart.kind == "bars":
        corner, size = (x + 12, y - 8), (20.0, 16.0)
        drawn = block(corner, size, "st-fill") + hatched(corner, size, identity, chart.color_of(index))
    else:
        band = block((x, y - 7), (34, 14), "st-band") if series.has_interval else ""
        drawn = band + stroke((x, y), (x + 34, y), "st-line", dash_of(series))
        drawn += marker(series, chart.shape_of(index), x + 17, y)
    return f'<g class="{color_class(chart, index)}">{drawn}</g>'


def hatched(corner: Point, size: Point, identity: str, color: int) -> str:
    """Return the overlay of one segment."""
    if not _HATCHES[color % len(_HATCHES)]:
        return ""
    return f'<rect {_extent(corner, size)} fill="url(#{identity}-h{color})"/>'


def _extent(corner: Point, size: Point) -> str:
    return f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{max(size[0], 0.0):.1f}" height="{max(size[1], 0.0):.1f}"'


def _outline(shape: int, x: float, y: float, radius: float) -> str:
    if shape % 4 == 0:
        size = f"{radius:g} {radius:g} 0 1 0"
        return f"M{x - radius:.1f} {y:.1f}A{size} {x + radius:.1f} {y:.1f}A{size} {x - radius:.1f} {y:.1f}Z"
    count, start = {1: (4, 45.0), 2: (3, 90.0), 3: (4, 90.0)}[shape % 4]
    radius *= 1.25
    points = (math.radians(start + 360 * corner / count) for corner in range(count))
    return (
        "M" + "L".join(f"{x + radius * math.cos(turn):.1f} {y - radius * math.sin(turn):.1f}" for turn in points) + "Z"
    )


def _cross(shape: int, x: float, y: float) -> str:
    arm = _RADIUS
    oblique = f"M{x - arm:.1f} {y - arm:.1f}l{2 * arm:g} {2 * arm:g}m0 {-2 * arm:g}l{-2 * arm:g} {2 * arm:g}"
    upright = f"M{x - arm - 1:.1f} {y:.1f}h{2 * arm + 2:g}M{x:.1f} {y - arm - 1:.1f}v{2 * arm + 2:g}"
    return (oblique, upright, oblique + upright)[shape % 3]
