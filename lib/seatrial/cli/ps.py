"""List the servers that run on this machine, whoever launched them: name, state, model, address.

A server hangs if it runs and does not answer. A record is stale if its processes are gone and nothing
noted their end (a reboot, a kill). --all adds servers that have ended, with the cause
if they ended by themselves. --json adds requests, queue and KV cache of servers that are ready.
"""

from __future__ import annotations

import argparse
from typing import Any

from seatrial.cli.answer import CommandResult, stdout
from seatrial.records import to_dict
from seatrial.server import Server, list_servers


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial ps``."""
    parser.add_argument("--all", action="store_true", help="add servers that have ended")


def run(arguments: argparse.Namespace) -> CommandResult:
    """List the servers."""
    servers = [(server, _state(server), _cause(server)) for server in list_servers(ended=arguments.all)]
    rows = [
        {
            **document(server),
            "state": state,
            "launched_at": server.launched_at,
            "cause": cause,
            "metrics": to_dict(server.metrics()) if state == "ready" else None,
        }
        for server, state, cause in servers
    ]
    shown = [(server, f"{state}: {cause}" if cause else state) for server, state, cause in servers]

    def show() -> None:
        from seatrial.view.tables.servers import table_servers

        stdout().print(table_servers(shown).to_rich() if servers else "No server runs. Launch one: seatrial serve")

    return CommandResult(rows, show)


def document(server: Server) -> dict[str, Any]:
    """Return what programs need to use a server."""
    return {
        "name": server.name,
        "url": server.url,
        "model": server.model,
        "engine": server.engine,
        "pid": server.pid,
        "port": server.port,
        "api_key_file": server.api_key_file,
        "log": server.log,
        "ready_after_s": server.ready_after_s,
        "keep_running": server.keep_running,
        "stand_in": server.stand_in,
        "simulated": server.simulated,
    }


def _state(server: Server) -> str:
    state = server.state
    return "hangs" if state == "ready" and not server.responds() else state


def _cause(server: Server) -> str | None:
    why = server.why_ended()
    return None if why is None else why.cause
