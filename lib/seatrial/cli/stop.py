"""Stop a server, or all of them, and prove that every process is gone and the port is free."""

from __future__ import annotations

import argparse

from seatrial.cli.answer import Answer, stdout
from seatrial.errors import UsageError
from seatrial.records import to_dict
from seatrial.server import Stopped, stop_all, stop_server
from seatrial.view.server_tables import stopped_line


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial stop``."""
    parser.add_argument("name", metavar="NAME", nargs="?", default=None, help="name of the server: seatrial ps")
    parser.add_argument("--all", action="store_true", help="every server that runs")


def run(arguments: argparse.Namespace) -> Answer:
    """Stop what was named."""
    if (arguments.name is None) == (not arguments.all):
        raise UsageError("Name one server, or say --all.", remedy="seatrial ps lists what runs.")
    stopped = stop_all() if arguments.all else [stop_server(arguments.name)]
    return Answer({"stopped": to_dict(stopped)}, lambda: _show(stopped))


def _show(stopped: list[Stopped]) -> None:
    if not stopped:
        stdout().print("No server runs.")
    for proof in stopped:
        stdout().print(stopped_line(proof), soft_wrap=True)
