"""The still picture of a load panel: plain HTML with drawings, and text, which a saved notebook shows without a kernel."""

from __future__ import annotations

import html
from collections.abc import Sequence

from seatrial.view.chart.svg import to_svg
from seatrial.view.chart.svg_shapes import STYLE
from seatrial.view.notebook.panel_runs import PanelRun
from seatrial.view.notebook.panel_widget import theme_css
from seatrial.view.plots.measurements import not_real
from seatrial.view.plots.run_charts import run_charts, run_text
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

_WIDE, _NARROW = (900, 300), (440, 230)  # of the output, and of every other strip


def panel_picture(load: Table, runs: Sequence[PanelRun]) -> dict[str, str]:
    """Return the picture of the latest run with the list of all runs; before the first the load that will be sent."""
    if not runs:
        return {"text/html": f'<div class="seatrial-twin">{load.to_html()}</div>', "text/plain": load.to_text()}
    run = runs[-1]
    finding = run.describe()
    labels = not_real(stand_in=run.load.stand_in, simulated=run.load.simulated)
    charts = run_charts(run.rows, finding, labels, simulated=run.load.simulated)
    sizes = [_WIDE] + [_NARROW] * len(charts)
    pictures = "".join(
        to_svg(chart, width=width, height=height, style=False, figures=False)
        for chart, (width, height) in zip(charts, sizes, strict=False)
    )
    lines = [f"{one.describe()}." for one in runs] + labels
    figures = run_text(run.rows).splitlines()
    listed = "".join(f"<li>{html.escape(plain_text(line, 400))}</li>" for line in lines + figures)
    page = (
        f'<div class="seatrial-twin"><style>{theme_css()}{STYLE}</style>'
        f'<div class="st-pictures">{pictures}</div><ul>{listed}</ul></div>'
    )
    return {"text/html": page, "text/plain": plain_text("\n".join([*lines, *figures]))}
