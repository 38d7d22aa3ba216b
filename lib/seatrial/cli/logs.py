"""Show the log of a server, running or ended; -f follows it until the server ends or Ctrl-C.

If a server ended by itself, its cause follows on standard error. Control characters are shown as escapes: a log is
text from outside.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.options import whole_number
from seatrial.errors import UsageError
from seatrial.server import Diagnosis, Server, find_server
from seatrial.server.failures.diagnosis import MEMORY


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial logs``."""
    parser.add_argument("name", metavar="NAME", help="name of the server: seatrial ps --all")
    parser.add_argument("-f", "--follow", action="store_true", help="show new lines as they come")
    parser.add_argument(
        "-n",
        "--lines",
        type=whole_number(1, 100_000),
        default=100,
        help="how many of the last lines (default: 100)",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Show the last lines."""
    if arguments.follow and arguments.json:
        raise UsageError("--json prints one document, --follow never ends.", remedy="Use one of them.")
    server = find_server(arguments.name)
    if arguments.follow:
        return CommandResult(None, lambda: None, then=lambda: _follow(server, arguments.lines))
    lines, why = server.read_log(arguments.lines), server.why_ended()
    document = {"name": server.name, "log": server.log, "lines": lines, "cause": why.cause if why else None}
    return CommandResult(document, lambda: _show(server, lines))


def _show(server: Server, lines: Iterable[str]) -> None:
    for line in lines:
        stdout().print(line, soft_wrap=True)
    why = _why_ended(server)
    if why is not None:
        stderr().print(f"{server.name} ended by itself: {why.what}.\n{why.remedy}", soft_wrap=True)


def _why_ended(server: Server) -> Diagnosis | None:
    """Return why it ended, with the next smaller plan if memory ran out: the planner is loaded for that only."""
    found = server.why_ended()
    if found is None or found.cause not in MEMORY:
        return found
    from seatrial.launching.next_plan import why_ended

    return why_ended(server)


def _follow(server: Server, lines: int) -> int:
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how a person leaves a log
        _show(server, server.follow_log(lines))
    return 0
