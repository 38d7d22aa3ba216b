"""Explain an engine's log, also one of another machine or container: what failed, the lines that show it, what to do.

seatrial explain engine.log                       the file that an engine wrote
kubectl logs --prefix pod/x | seatrial explain -  standard input
seatrial explain node7.log.gz --engine vllm       the engine, if its log does not show it

Prefixes of Docker, Kubernetes, journald and Slurm are taken off. The exit code is 0 if the log shows no failure, and 4
if it shows one.
"""

from __future__ import annotations

import argparse

from seatrial.catalog.engine_facts import engine_facts
from seatrial.cli.answer import CommandResult, stdout
from seatrial.errors import EngineError
from seatrial.records import to_dict
from seatrial.server.failures.explain import Explanation, explain


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial explain``."""
    parser.add_argument("log", metavar="LOG", help="log file, also compressed; - reads standard input")
    parser.add_argument("--engine", default=None, help="engine that wrote it (default: as the log shows)")


def run(arguments: argparse.Namespace) -> CommandResult:
    """Explain one log."""
    found = explain(arguments.log, arguments.engine)
    return CommandResult(to_dict(found), lambda: _show(found), exit_code=EngineError.exit_code if found.failed else 0)


def _show(found: Explanation) -> None:
    console = stdout()
    if found.engine is not None:
        source = "as its lines show" if found.guessed else "as given"
        who = f", written by {found.who}" if found.who else ""
        console.print(f"Log of {engine_facts(found.engine).title} ({source}){who}.", soft_wrap=True)
    console.print(f"{found.cause}: {found.what}" if found.cause else found.what, soft_wrap=True)
    for line in found.evidence:
        console.print(f"  | {line}", soft_wrap=True)
    for text in filter(None, (found.remedy, *found.notes)):
        console.print(text, soft_wrap=True)
