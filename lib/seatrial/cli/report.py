"""Write one page that shows a run, or compares several: plots, figures with their origins, how to repeat it.

seatrial report runs/2026-11-23T12-00-00              report.html beside its record
seatrial report runs/one runs/two --output compare.html

The page needs no network and no JavaScript, and prints well. --json prints the comparison instead
of a table; the page is written either way.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.cli.answer import CommandResult, stdout
from seatrial.records import REPORT, to_dict

if TYPE_CHECKING:
    from seatrial.view.report.run_record import RunRecord


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial report``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs, or their record.json")
    parser.add_argument(
        "--output",
        default=None,
        help=f"file to write (default: {REPORT}, in the folder of the run if there is only one)",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Write the page and sum up."""
    from seatrial.view.report.page import comparison_table, read_runs, write_report

    runs = read_runs(arguments.runs)
    output = (
        Path(arguments.output) if arguments.output else (runs[0].folder / REPORT if len(runs) == 1 else Path(REPORT))
    )
    page = write_report(arguments.runs, output)

    def show() -> None:
        stdout().print(comparison_table(runs, brief=True).to_rich())
        stdout().print(f"Report: {page}", soft_wrap=True)

    return CommandResult({"report": str(page), "runs": [_document(one) for one in runs]}, show)


def _document(one: RunRecord) -> dict[str, Any]:
    result = one.measurement
    return {
        "id": one.id,
        "folder": str(one.folder),
        "hardware": one.hardware.name if one.hardware else None,
        "verdicts": {plan.model: plan.verdict for plan in one.plans},
        "model": result.model if result else None,
        "engine": result.engine if result else None,
        "stand_in": one.stand_in,
        "simulated": one.simulated,
        "points": [to_dict(point) for point in result.points] if result else [],
        "notebooks": {str(row.get("notebook")): row.get("status") for row in one.notebooks},
        "problems": list(one.problems),
    }
