"""Find what is missing or wrong on this machine, with one remedy each.

Exit code 0: seatrial can be used, with or without warnings. 1: something must be repaired first.
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.checks import run_checks
from seatrial.engines.requirements import Check
from seatrial.records import to_dict
from seatrial.view.tables.table import Table


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial doctor``."""
    parser.add_argument(
        "--ask-engines",
        action="store_true",
        help="also ask installed engines for the flags they accept (slow)",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Run all checks and sum up."""
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

    return CommandResult(document, show, 1 if problems else 0)


def _table_checks(checks: list[Check], problems: int, warnings: int) -> Table:
    """Return one row for each check; the title is the verdict."""
    verdict = "seatrial can be used on this machine" if problems == 0 else "something must be repaired first"
    return Table(
        title=f"{verdict}: {problems} problem(s), {warnings} warning(s)",
        columns=("", "Check", "Found", "What to do"),
        rows=tuple(
            (check.status, check.name, check.found, "" if check.status == "ok" else check.remedy) for check in checks
        ),
        note="--json also gives how to install each optional engine.",
    )
