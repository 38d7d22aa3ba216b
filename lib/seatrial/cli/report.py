"""Write one page that shows a run, or compares several: fronts, what differed, cost, predictions, how to repeat it.

seatrial report runs/2026-11-23T12-00-00              report.html beside its record
seatrial report runs --output compare.html            every run in a folder
seatrial report a.json b.json --dollars-per-hour 12   what a million tokens cost
seatrial report a.json --text                         a text to paste into a bug report

The page needs no network and no JavaScript, prints well, and stays under 300 kB. Beside it are its figures as CSV and
JSON, and a card to share as SVG and HTML. --json prints the comparison instead of a table; the page is written either way.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.options import positive_number
from seatrial.errors import UsageError
from seatrial.paths import typed_path
from seatrial.records import RECORD, REPORT, to_dict

if TYPE_CHECKING:
    from seatrial.view.report.compared import Compared


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial report``."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folders of runs, records, executed notebooks, or patterns such as 'runs/*'",
    )
    parser.add_argument(
        "--output",
        default=None,
        help=f"file to write (default: {REPORT}, in the folder of the run if there is only one)",
    )
    parser.add_argument(
        "--dollars-per-hour",
        type=positive_number(1e9),
        action="append",
        default=[],
        metavar="X",
        help="price of the machine: once for all runs, or once for each in their order",
    )
    parser.add_argument(
        "--text",
        action="store_true",
        help="print a text for a bug report, without secrets and names; no page is written",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Write the page and sum up."""
    from seatrial.view.report.compared import read_runs
    from seatrial.view.report.page import write_compared

    compared = read_runs(arguments.runs, arguments.dollars_per_hour)
    if arguments.text:
        return _text(compared)
    for line in compared.unread:
        stderr().print(f"seatrial: {line}", soft_wrap=True)
    page = write_compared(compared, _output(compared, arguments.output))

    def show() -> None:
        if len(compared.heads) > 1:
            stdout().print(compared.finding)
        stdout().print(compared.table().to_rich())
        stdout().print(f"Report: {page}", soft_wrap=True)

    return CommandResult({"report": str(page), "runs": to_dict(compared.documents)}, show)


def _output(compared: Compared, named: str | None) -> Path:
    """Return the page's file: the one named, else beside the only run, else in this folder."""
    if named is not None:
        return typed_path(named, "--output")
    file = compared.heads[0].file
    if len(compared.heads) > 1:
        return Path(REPORT)
    return file.with_name(REPORT) if file.name == RECORD else file.with_suffix(".html")


def _text(compared: Compared) -> CommandResult:
    from seatrial.view.report.bug_text import bug_text

    if len(compared.heads) > 1:
        raise UsageError(
            f"A text for a bug report is of one run, and {len(compared.heads):,} were named.",
            remedy="Name one of them.",
        )
    text = bug_text(compared.runs[0])
    return CommandResult({"text": text}, lambda: stdout().print(text, soft_wrap=True))
