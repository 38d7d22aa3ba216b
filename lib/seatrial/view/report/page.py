"""One page that shows a run, or compares several: readable offline, without JavaScript, on paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from seatrial import __version__
from seatrial.errors import UsageError
from seatrial.plan.types import Plan
from seatrial.records import REPORT
from seatrial.units import counted, format_seconds
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.svg import to_svg
from seatrial.view.chart.svg_shapes import DARK_VARIABLES, STYLE
from seatrial.view.plots.measurements import fastest_of, throughput_chart, ttft_chart
from seatrial.view.report.content import describe_run
from seatrial.view.report.run_record import RunRecord, read_record
from seatrial.view.tables.measurements import describe_rate
from seatrial.view.tables.table import Table
from seatrial.view.template import load_template, trusted
from seatrial.writing import Ours, check_target, write_text

_PACKAGE = "seatrial.view.report"
_BEGINNING = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="seatrial">
"""
"""First bytes of every report: the mark by which a later one knows that it may take its place."""


def write_report(run_dirs: Sequence[Path | str], output: Path | str) -> Path:
    """Write the page of one or several runs.

    Args:
        run_dirs: Folders of runs (or their ``record.json``).
        output: File to write, or a folder that gets ``report.html``.

    Returns:
        The file.

    Raises:
        UsageError: If no run was named, one is not a run, the page cannot be written, or something other than a report
            is in its place.

    """
    runs = read_runs(run_dirs)
    target = Path(output)
    if target.is_dir():
        target /= REPORT
    write_text(target, _render(runs), ours=_OURS)
    return target


def check_report(target: Path) -> None:
    """Refuse a place of a report that has something else in it.

    Raises:
        UsageError: If there is a link, a folder, a device or a file that is no report.

    """
    check_target(target, _OURS)


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


_OURS = Ours("a report of seatrial", _is_report)


def read_runs(run_dirs: Sequence[Path | str]) -> list[RunRecord]:
    """Read the records of runs, each once.

    Raises:
        UsageError: If no run was named, or one is not a run.

    """
    paths = list(dict.fromkeys(Path(path) for path in run_dirs))
    if not paths:
        raise UsageError("No run was named.", remedy="Name folders of runs, such as runs/*.")
    return [read_record(path) for path in paths]


def comparison_table(runs: Sequence[RunRecord], *, brief: bool = False) -> Table:
    """Return one row a run: machine, model, best throughput, waiting time, completeness and, unless brief, verdicts."""
    rows: list[dict[str, str]] = []
    for name, run in zip(_names_of(runs), runs, strict=True):
        result = run.measurement
        first = result.points[0].ttft_s if result and result.points else None
        row = {
            "Run": name,
            "Machine": run.hardware.name if run.hardware else "not recorded",
            "Measured": " ".join([result.model, *([f"({run.kind})"] if run.kind else [])]) if result else "nothing",
            "Best>": describe_rate(run.best) if run.best else "-",
            "TTFT p50>": format_seconds(first.p50) if first else "-",
            "Notebooks>": f"{len(run.notebooks) - len(run.failed)} of {len(run.notebooks)}",
        }
        if not brief:
            row["Engine"] = (result.engine or "unknown") if result else "-"
            row["DeepSeek V4"] = "; ".join(map(_verdict, run.plans)) or "not recorded"
        rows.append(row)
    columns = tuple(rows[0]) if rows else ()
    return Table(
        _finding(runs),
        columns,
        tuple(tuple(row[name] for name in columns) for row in rows),
        "TTFT: time to first token at the first load level.",
    )


def _render(runs: Sequence[RunRecord]) -> str:
    """Return the page as one HTML document: no script, nothing loaded from anywhere."""
    sheet = files(_PACKAGE).joinpath("report.css").read_text(encoding="utf-8")
    style = sheet.replace("/*DARK*/", DARK_VARIABLES) + STYLE
    described = [describe_run(run) for run in runs]
    names = _names_of(runs)
    measured = {name: run.measurement for name, run in zip(names, runs, strict=True) if run.measurement}
    several = len(runs) > 1
    return (
        load_template(_PACKAGE, "report.html.j2")
        .render(
            title=f"{len(runs)} runs compared" if several else described[0]["headline"],
            style=trusted(style),
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            runs=described,
            names=names,
            targets=[("compare", "Comparison"), *((f"run-{place}", name) for place, name in enumerate(names, 1))],
            comparison=comparison_table(runs) if several else None,
            charts=[throughput_chart(measured), ttft_chart(measured)] if several and measured else [],
            unmeasured=[name for name in names if name not in measured],
            version=__version__,
            counted=counted,
            svg=_svg,
        )
        .lstrip()
    )  # the macros before it leave empty lines


def _svg(chart: Chart, width: int, name: str) -> str:
    """Return a chart in the page's colours; ``name`` begins its ids, which are unique on the page."""
    return trusted(to_svg(chart, width=width, height=360, style=False, name=name))


def _names_of(runs: Sequence[RunRecord]) -> list[str]:
    """Return a name for each run; a number tells those with the same name apart."""
    ids = [run.id for run in runs]
    return [
        name if ids.count(name) == 1 else f"{name} ({ids[: place + 1].count(name)})" for place, name in enumerate(ids)
    ]


def _verdict(plan: Plan) -> str:
    return f"{plan.model} {plan.verdict.replace('_', ' ')}"


def _finding(runs: Sequence[RunRecord]) -> str:
    fastest = fastest_of({name: run.best for name, run in zip(_names_of(runs), runs, strict=True)})
    if fastest is None:
        return "Nothing was measured in these runs"
    name, best = fastest
    return f"{name}{' is fastest' if len(runs) > 1 else ''}: {describe_rate(best)}"
