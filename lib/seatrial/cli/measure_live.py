"""Shows a load in the terminal while it runs: the figures of the notebook's panel, from the same recorder.

Where standard error is no terminal, a plain line every few seconds says the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seatrial.cli.answer import stderr
from seatrial.measure.load import Load
from seatrial.units import format_rate
from seatrial.view.plots.measurements import not_real
from seatrial.view.plots.run_charts import describe_latest
from seatrial.view.plots.run_rows import STRIPS, Row, RunRows, Strip, latest
from seatrial.view.plots.run_status import RunStatus, run_status

if TYPE_CHECKING:
    from rich.console import Group

_PERIOD_S = 0.25
_LINE_S = 5.0  # between plain lines
_BLOCKS, _PLAIN_BLOCKS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
_HEIGHT = 5  # lines of the plot of the output
_SPARK = 24  # columns of the small plots
_MEAN = 2  # column of the mean output
_SHOWN_MARKERS = 4


def show_live(load: Load) -> None:
    """Show a load until its end."""
    rows, console = RunRows(), stderr()
    if not console.is_terminal:
        _follow(load, rows, _LineWriter())
        return
    from rich.live import Live

    plain = not (console.encoding or "").lower().startswith("utf")
    with Live(console=console, auto_refresh=False) as view:
        _follow(
            load, rows, lambda load, rows: view.update(_picture(load, rows, console.width, plain=plain), refresh=True)
        )


def _follow(load: Load, rows: RunRows, show: Callable[[Load, RunRows], None]) -> None:
    ended = False
    while not ended:
        ended = load.wait(_PERIOD_S)
        rows.update(load.recorder)
        show(load, rows)


class _LineWriter:
    """Writes a line of progress every few seconds."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, load: Load, rows: RunRows) -> None:
        if time.monotonic() >= self._due and load.running and load.recorder.progress.point >= 0:
            self._due = time.monotonic() + _LINE_S
            status = run_status(load.recorder.progress, rows, rows.completions)
            known = [f"{strip.title} {words}" for strip, words, _ in _known(rows.rows)[1:3]]
            stderr().print("; ".join([f"{status.headline or '...'}, {status.detail}", *known]), soft_wrap=True)


def _picture(load: Load, rows: RunRows, width: int, *, plain: bool) -> Group:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    status = run_status(load.recorder.progress, rows, rows.completions) if load.running else _ended(rows)
    blocks = _PLAIN_BLOCKS if plain else _BLOCKS
    parts = [Text(status.headline or "...", style="bold"), Text(status.detail)]
    parts += [Text(label, style="bold") for label in not_real(stand_in=load.stand_in, simulated=load.simulated)]
    table = Table.grid(padding=(0, 2))
    for strip, words, values in _known(rows.rows)[1:]:
        table.add_row(strip.title, Text(words), *([spark(values, _SPARK, blocks)] if width >= 2 * _SPARK + 52 else []))
    marks = [Text(f"{one.at_s:.0f} s: {one.text}") for one in rows.markers if one.kind != "level"][-_SHOWN_MARKERS:]
    share = None if not load.running else status.share
    bar = [] if share is None else [ProgressBar(total=1.0, completed=share, width=min(width, 60))]
    output = [row[_MEAN] for row in rows.rows]
    return Group(*parts, *bar, *map(Text, plot(output, width - 12, blocks)), table, *marks)


def _ended(rows: RunRows) -> RunStatus:
    mean = rows.mean_tokens_per_s
    return RunStatus("" if mean is None else format_rate(mean), "mean of the last level", None, None)


def _known(rows: list[Row]) -> list[tuple[Strip, str, list[float]]]:
    """Return each strip with a known figure: its latest figures in words, and its first known line."""
    found, column = [], 1
    for strip, values in zip(STRIPS, latest(rows), strict=True):
        if any(not math.isnan(value) for value in values):
            first = next(index for index, value in enumerate(values) if not math.isnan(value))
            found.append((strip, describe_latest(strip, values), [row[column + first] for row in rows]))
        column += len(strip.lines)
    return found


def plot(values: Sequence[float], width: int, blocks: str) -> list[str]:
    """Return the lines of a plot from 0 up, with its highest value before it; empty without values."""
    shown = _squeezed(values, width)
    most = max((value for value in shown if not math.isnan(value)), default=0.0)
    if most <= 0:
        return []
    steps = len(blocks) - 1
    filled = [0 if math.isnan(value) else round(value / most * _HEIGHT * steps) for value in shown]
    lines = []
    for line in range(_HEIGHT - 1, -1, -1):
        label = f"{most:,.0f}" if line == _HEIGHT - 1 else "0" if line == 0 else ""
        lines.append(f"{label:>9} " + "".join(blocks[min(max(fill - line * steps, 0), steps)] for fill in filled))
    return lines


def spark(values: Sequence[float], width: int, blocks: str) -> str:
    """Return a plot one line high, from 0 to the highest value."""
    shown = _squeezed(values, width)
    most = max((value for value in shown if not math.isnan(value)), default=0.0)
    steps = len(blocks) - 1
    return "".join(
        " " if math.isnan(value) else blocks[max(round(value / most * steps), 1) if most > 0 else 1] for value in shown
    )


def _squeezed(values: Sequence[float], width: int) -> list[float]:
    """Return at most so many values, each the mean of a stretch; NaN if nothing in it is known."""
    size = max(1, -(-len(values) // max(width, 1)))
    stretches = (values[start : start + size] for start in range(0, len(values), size))
    known = ([value for value in stretch if not math.isnan(value)] for stretch in stretches)
    return [sum(one) / len(one) if one else math.nan for one in known]
