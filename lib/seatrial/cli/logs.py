"""The log of a server, running or ended; -f follows it until the server ends or Ctrl-C.

Control characters are shown as escapes: a log is text from outside.
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import Answer, stdout
from seatrial.cli.options import whole
from seatrial.errors import UsageError
from seatrial.server import Server, find_server

MOST_LINES = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial logs``."""
    parser.add_argument("name", metavar="NAME", help="name of the server: seatrial ps --all")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    parser.add_argument(
        "-n", "--lines", type=whole(1, MOST_LINES), default=100, help="how many of the last lines (default: 100)"
    )


def run(arguments: argparse.Namespace) -> Answer:
    """Show the last lines."""
    if arguments.follow and arguments.json:
        raise UsageError("--json prints one document, --follow never ends.", remedy="Use one of them.")
    server = find_server(arguments.name)
    lines = server.read_log(arguments.lines)
    return Answer(
        {"name": server.name, "log": server.log, "lines": lines},
        lambda: _print(lines),
        then=(lambda: _follow(server)) if arguments.follow else None,
    )


def _print(lines: list[str]) -> None:
    for line in lines:
        stdout().print(line, soft_wrap=True)


def _follow(server: Server) -> int:
    try:
        for line in server.follow_log():
            stdout().print(line, soft_wrap=True)
    except KeyboardInterrupt:
        pass
    return 0
