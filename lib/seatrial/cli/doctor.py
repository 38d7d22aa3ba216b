"""What is missing or wrong on this machine, with one remedy each.

Exit code 0: seatrial can be used, whatever the warnings say; 1: something must be mended first.
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.checks import run_checks
from seatrial.engines.requirements import Check
from seatrial.records import to_dict
from seatrial.view.tables.table import Table

_NOT_USABLE = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial doctor``."""
    parser.add_argument(
        "--ask-engines",
        action="store_true",
        help="also ask installed engines whether they take this kit's flags (slow)",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Look at everything and sum up."""
    checks = run_checks(ask_engines=arguments.ask_engines)
    problems = sum(check.status == "problem" for check in checks)
    warnings = sum(check.status == "warning" for check in checks)
    document = {
        "usable": problems == 0,
        "problems": problems,
        "warnings": warnings,
        "checks": [to_dict(check) for check in checks],
    }

    def show() -> None:
        stdout().print(_table_checks(checks, problems, warnings).to_rich())

    return CommandResult(document, show, _NOT_USABLE if problems else 0)


def _table_checks(checks: list[Check], problems: int, warnings: int) -> Table:
    """One row a check, the finding in the title."""
    verdict = "seatrial can be used here" if problems == 0 else "something must be mended first"
    return Table(
        title=f"{verdict}: {problems} problem(s), {warnings} warning(s)",
        columns=("", "Looked at", "Found", "What to do"),
        rows=tuple(
            (check.status, check.name, check.found, "" if check.status == "ok" else check.remedy) for check in checks
        ),
        note="With --json also: how to get each optional engine.",
    )
