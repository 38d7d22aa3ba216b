"""Charts that a notebook shows by itself: as a plotly figure, else as SVG, else as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seatrial.view.chart.data import ChartData
from seatrial.view.chart.plotly import to_plotly
from seatrial.view.chart.svg import to_svg

PLOTLY_MIME = "application/vnd.plotly.v1+json"


@dataclass(frozen=True, slots=True)
class Chart(ChartData):
    """A plot.

    Attributes:
        title: The finding, as a sentence with its figure.
        x_label: Quantity and unit.
        y_label: Quantity and unit; for bars unused.
        series: Lines, or the segments every bar is stacked from.
        subtitle: Conditions: model, machine, "stand-in", "simulated".
        references: Limits.
        spans: Stretches of the x axis.
        log_x: True for a logarithmic x axis.
        log_y: True for a logarithmic y axis.
        kind: ``lines``, or ``bars``: horizontal stacked bars with the values on x.
        bars: Name of each bar.
        compact: Bars close together with their names at the left: many of one kind.
        highlights: Points of lines with a ring round them.
        x_ticks: Labelled values of a logarithmic x axis; empty for round numbers.

    """

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        forms: dict[str, Any] = {"image/svg+xml": to_svg(self), "text/plain": self.to_text()}
        try:
            figure = to_plotly(self).to_plotly_json()
        except ImportError:  # the notebook extra is not installed
            return forms
        plotly = {"data": figure["data"], "layout": figure["layout"], "config": {"displaylogo": False}}
        return {PLOTLY_MIME: plotly, **forms}


def show_chart(chart: Chart) -> None:
    """Show a chart in a notebook: as a plotly figure if the front end draws it, else as SVG, else as text."""
    from IPython.display import display

    display(chart)  # type: ignore[no-untyped-call]
