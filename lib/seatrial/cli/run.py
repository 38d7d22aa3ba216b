"""Run notebooks headlessly: each run gives executed notebooks, one record and one report.

  seatrial run notebooks/*.ipynb
  seatrial run notebooks/02_choose_model.ipynb -p hardware h200x4
  seatrial run notebooks/05_live_throughput.ipynb --grid answer_tokens=32,128 --output runs/answers

A parameter goes to every notebook that has one of that name. If no notebook has it, that is an error
and nothing runs. --output continues an earlier run: notebooks that completed in that folder,
unchanged and with the same parameters, are not run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.options import whole_number
from seatrial.errors import MeasurementError, UsageError
from seatrial.records import REPORT, to_dict
from seatrial.view.tables.table import Table

if TYPE_CHECKING:
    from seatrial.batch import Run, RunProgress
    from seatrial.measure.types import Measurement


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial run``."""
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="notebooks, run in this order")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="set a parameter"
    )
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=A,B",
        help="one run for each value (separated by ';' if a value has commas)",
    )
    parser.add_argument(
        "--jobs",
        type=whole_number(1, 64),
        default=None,
        help="notebooks at a time (default: 2); one that measures runs by itself",
    )
    parser.add_argument("--output", default=None, help="folder of the run (default: a new one in runs/)")


def run(arguments: argparse.Namespace) -> CommandResult:
    """Run every combination, write the report, and sum up."""
    from seatrial.batch import expand_grid, parse_assignments, run_notebooks
    from seatrial.batch.folders import choose_folder
    from seatrial.view.report.page import check_report, write_report

    variants = expand_grid(arguments.grid, parse_assignments(arguments.parameters))
    top = choose_folder(arguments.output)
    check_report(top / REPORT)
    runs: dict[Path, Run] = {}
    try:
        for name, parameters in variants.items():
            folder = top / name if name else top
            with _display(name) as on_progress:
                runs[folder] = run_notebooks(
                    arguments.notebooks,
                    parameters=parameters,
                    output=folder,
                    jobs=arguments.jobs,
                    on_progress=on_progress,
                )
    except KeyboardInterrupt:
        if top.exists():
            stderr().print(f"Finished notebooks are kept. Continue with: --output {top}")
        raise
    unanswered = _unanswered(runs.values())
    for line in (*_errors(runs.values()), *_left_out(runs.values()), *unanswered):
        stderr().print(f"seatrial: {line}", soft_wrap=True)
    report = top / REPORT
    write_report(list(runs), report)
    document = {
        "runs": [to_dict(one) | {"folder": str(folder)} for folder, one in runs.items()],
        "report": str(report),
    }
    failed = next((one.exit_code for one in runs.values() if one.exit_code), 0)
    exit_code = failed or (MeasurementError.exit_code if unanswered else 0)
    return CommandResult(document, lambda: _show(runs, report), exit_code)


def _errors(runs: Iterable[Run]) -> Iterator[str]:
    """Yield a line for each notebook that stopped: the cell and the error."""
    for result in (result for one in runs for result in one.notebooks):
        if result.error is not None:
            place = f"{result.notebook}, cell {result.error.cell}" if result.error.cell else result.notebook
            yield f"{place}: {result.error.message}"


def _left_out(runs: Iterable[Run]) -> Iterator[str]:
    """Yield a line for each output that was not kept, and for a measurement that is none."""
    for one in runs:
        for result in one.notebooks:
            yield from (f"{result.notebook}: left out, {what}" for what in result.left_out)
        if "measurement" in one.results and _measurement(one) is None:
            yield "The result 'measurement' is no measurement; the report says why."


def _unanswered(runs: Iterable[Run]) -> list[str]:
    """Return the problems of measurements in which not one request succeeded."""
    from seatrial.measure import find_problems

    measured = [found for one in runs if (found := _measurement(one)) is not None]
    empty = [found for found in measured if not any(point.requests.succeeded for point in found.points)]
    return [problem for found in empty for problem in find_problems(found)]


def _measurement(one: Run) -> Measurement | None:
    from seatrial.measure.record import read_measurement

    try:
        return read_measurement(one.results["measurement"]) if "measurement" in one.results else None
    except UsageError:  # a notebook may record anything under that name
        return None


def _show(runs: dict[Path, Run], report: Path) -> None:
    from seatrial.view.tables.measurements import table_measurement

    console = stdout()
    for folder, one in runs.items():
        console.print(_table_of_notebooks(one, folder).to_rich())
        measurement = _measurement(one)
        if measurement is not None:
            console.print(table_measurement(measurement).to_rich())
    console.print(f"Report: {report}")


def _table_of_notebooks(one: Run, folder: Path) -> Table:
    done = sum(result.status == "completed" for result in one.notebooks)
    rows = [
        (
            result.notebook,
            "kept" if result.kept else result.status.replace("_", " "),
            "" if result.duration_s is None else f"{result.duration_s:.1f}",
        )
        for result in one.notebooks
    ]
    title = f"{done} of {len(rows)} notebooks completed, in {folder}"
    return Table(title, ("Notebook", "Status", "Seconds>"), tuple(rows))


@contextmanager
def _display(variant: str) -> Iterator[Any]:
    """Yield a listener that shows a line for each running notebook in a terminal, or plain lines."""
    console = stderr()
    prefix = f"{variant}  " if variant else ""
    if not (console.is_terminal and sys.stderr.isatty()):
        yield lambda step: _print_line(prefix, step)
        return
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(step: RunProgress) -> None:
            if step.event in {"finished", "kept"}:
                if step.notebook in tasks:
                    bars.remove_task(tasks.pop(step.notebook))
                bars.console.print(_line(prefix, step))
                return
            if step.event == "stopping":
                bars.console.print(_line(prefix, step))
            if step.notebook not in tasks:
                tasks[step.notebook] = bars.add_task("", total=None)
            bars.update(tasks[step.notebook], description=_line(prefix, step))

        yield show


def _print_line(prefix: str, step: RunProgress) -> None:
    if step.event != "cell":
        stderr().print(_line(prefix, step))


def _line(prefix: str, step: RunProgress) -> str:
    head = f"{prefix}{step.index}/{step.total}  {step.title}"
    if step.event == "kept":
        return f"{head}: kept from an earlier run"
    if step.event == "finished":
        return f"{head}: {(step.status or '').replace('_', ' ')} in {step.elapsed_s:.1f} s"
    if step.event == "stopping":
        return f"{head}: stopping ... (Ctrl-C again ends it at once)"
    if step.event == "started":
        return f"{head}: starting"
    return f"{head}: {step.cell} ({step.cell_index} of {step.cells})"
