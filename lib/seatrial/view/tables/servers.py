"""Servers as a table: name, state and address of each."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.printable import printable
from seatrial.server import Server, Stopped
from seatrial.units import counted, format_seconds
from seatrial.view.tables.table import Row, Table

_RUNNING = {"ready", "starting", "unsupervised", "hangs", "ending"}
_KEPT = "Kept: outlives the process that launched it."
_MEANINGS = {
    "hangs": "hangs: runs but does not answer; seatrial stop ends it.",
    "stale": "stale: ended without a record (a reboot or a kill); seatrial stop clears it.",
    "elsewhere": "elsewhere: launched on another machine or container that shares this state folder; seatrial stop asks it to end.",
    "unsupervised": "unsupervised: its supervisor was killed, so its lease no longer holds; seatrial stop ends it.",
}


def table_servers(servers: Sequence[tuple[Server, str]]) -> Table:
    """Return a row for each server, given with its state."""
    running = sum(state.partition(":")[0] in _RUNNING for _, state in servers)
    states = {state.partition(":")[0] for _, state in servers}
    return Table(
        title=f"{counted(running, 'server')} running",
        columns=("Name", "State", "URL", "Model", "Pid>", "Kept"),
        rows=tuple(_row(server, state) for server, state in servers),
        note=" ".join([_KEPT, *(meaning for state, meaning in _MEANINGS.items() if state in states)]),
        unfolded=("Name", "URL"),
    )


def stopped_line(stopped: Stopped) -> str:
    """Return the proof that a server is gone, in one line."""
    if not stopped.was_running:
        return f"{stopped.name} was not running: no process left."
    port = "free" if stopped.port_free else "taken by another process"
    return f"{stopped.name} stopped in {format_seconds(stopped.took_s)}: no process left, port {stopped.port} {port}."


def _row(server: Server, state: str) -> Row:
    kind = " (simulated)" if server.simulated else " (stand-in)" if server.stand_in else ""
    return (
        server.name,
        state,
        server.url,
        printable(server.model) + kind,
        "unknown" if server.pid is None else str(server.pid),
        "yes" if server.keep_running else "no",
    )
