"""List the servers that run on this machine, whoever launched them: name, state, model, address.

A server hangs if it runs and does not answer. A record is stale if its processes are gone and nothing
noted their end (a reboot, a kill). A server is elsewhere if another machine that shares the state folder launched it.
--all adds servers that have ended, with the cause
if they ended by themselves. --json adds requests, queue and KV cache of servers that are ready.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from seatrial.cli.answer import CommandResult, stdout
from seatrial.records import to_dict
from seatrial.server import Server, list_servers
from seatrial.server.metrics import ServerMetrics
from seatrial.units import format_seconds

_AT_ONCE = 32


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial ps``."""
    parser.add_argument("--all", action="store_true", help="add servers that have ended")


def run(arguments: argparse.Namespace) -> CommandResult:
    """List the servers."""
    servers = list_servers(ended=arguments.all)
    # Each is asked with a limit of its own: one that hangs delays no other.
    with ThreadPoolExecutor(_AT_ONCE) as beside:
        looks = list(beside.map(_look, servers))
    rows = [
        {
            **document(server),
            "state": look.state,
            "launched_at": server.launched_at,
            "cause": look.cause,
            "metrics": to_dict(look.metrics),
        }
        for server, look in zip(servers, looks, strict=True)
    ]
    shown = [
        (server, f"{look.state}: {look.cause}" if look.cause else look.state)
        for server, look in zip(servers, looks, strict=True)
    ]

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


@dataclass(frozen=True, slots=True)
class _Look:
    """One server, as it is now."""

    state: str  # of the server, or ``hangs``
    cause: str | None = None  # why it ended by itself, for how long it did not answer, or on which machine it is
    metrics: ServerMetrics | None = None  # None unless it is ready


def _look(server: Server) -> _Look:
    state = server.state
    if state == "ready":
        begun = time.monotonic()
        if server.responds():
            return _Look(state, metrics=server.metrics())
        return _Look("hangs", f"runs but does not answer within {format_seconds(time.monotonic() - begun)}")
    if state == "elsewhere":
        return _Look(state, f"on {server.record.machine}")
    why = server.why_ended()
    return _Look(state, None if why is None else why.cause)
