"""Stop servers, or all of them, and prove that every process is gone and the port is free.

--all leaves the servers of other machines that share the state folder alone, and names them. An unknown name, or a server that cannot be stopped, is reported at the end with its exit code; the others are stopped.
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import CommandResult, stdout
from seatrial.errors import UsageError
from seatrial.records import to_dict
from seatrial.server import Stopped, list_servers
from seatrial.server.registry import stop_each, together
from seatrial.view.tables.servers import stopped_line


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial stop``."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="names of servers: seatrial ps")
    parser.add_argument("--all", action="store_true", help="stop every server of this machine")


def run(arguments: argparse.Namespace) -> CommandResult:
    """Stop the named servers, or all."""
    if bool(arguments.names) == arguments.all:
        raise UsageError("Name the servers, or give --all.", remedy="seatrial ps lists what runs.")
    stopped, errors = stop_each(None if arguments.all else arguments.names)
    if errors and not stopped:
        raise together(errors)

    def then() -> int:
        if errors:
            raise together(errors)
        return 0

    code = together(errors).exit_code if errors else 0
    return CommandResult({"stopped": to_dict(stopped)}, lambda: _show(stopped), exit_code=code, then=then)


def _show(stopped: list[Stopped]) -> None:
    if not stopped:
        stdout().print("No server runs on this machine.")
    for proof in stopped:
        stdout().print(stopped_line(proof), soft_wrap=True)
    running = [server.name for server in list_servers() if server.running]
    if running:
        stdout().print(f"Still running: {', '.join(running)}.", soft_wrap=True)
