"""A server in a notebook: where it answers, what it said, what its log says, and that it is gone."""

from __future__ import annotations

from seatrial.measure.ask import Reply
from seatrial.server import Server, Stopped
from seatrial.server.here import NotLaunched
from seatrial.units import format_seconds
from seatrial.view.table import Row, Table
from seatrial.view.untrusted import PlainText, plain_text

LOG_LINES = 20


def show_server(server: Server | NotLaunched) -> Table | PlainText:
    """Where a launched server answers and what it is; or that nothing was launched, and why."""
    if isinstance(server, NotLaunched):
        return PlainText(f"{server.why} {server.remedy}".strip(), title="Nothing was launched.")
    rows: list[Row] = [
        ("model", f"{plain_text(server.model)}{_label(stand_in=server.stand_in, simulated=server.simulated)}"),
        ("engine", server.engine),
        ("address", f"{server.url}/v1"),
        ("process", "unknown" if server.pid is None else str(server.pid)),
        ("API key", f"in {server.api_key_file}, readable by you alone"),
        ("log", server.log),
    ]
    title = f"Ready after {format_seconds(server.ready_after_s)}: it has generated a token"
    return Table(title, ("server", ""), tuple(rows))


def show_reply(reply: Reply | NotLaunched) -> PlainText:
    """A model's answer, as text and as nothing else."""
    if isinstance(reply, NotLaunched):
        return PlainText("", title="No answer: nothing was launched.")
    label = _label(stand_in=reply.stand_in, simulated=reply.simulated)
    count = "" if reply.tokens is None else f", {reply.tokens} tokens"
    thought = f"[thinking] {reply.reasoning}\n\n" if reply.reasoning else ""
    title = f"{reply.model}{label}, after {format_seconds(reply.took_s)}{count}"
    return PlainText(f"{reply.question}\n\n{thought}{reply.text}", title=title)


def show_log(server: Server | NotLaunched, lines: int = LOG_LINES) -> PlainText:
    """The last lines of a server's log, as text and as nothing else."""
    if isinstance(server, NotLaunched):
        return PlainText("", title="No log: nothing was launched.")
    tail = server.read_log(lines)
    return PlainText("\n".join(tail), title=f"The last {len(tail)} lines of {server.log}")


def show_stopped(stopped: Stopped | NotLaunched) -> PlainText:
    """The proof that a server is gone."""
    if isinstance(stopped, NotLaunched):
        return PlainText("Nothing was launched, so there is nothing to stop.")
    port = "free again" if stopped.port_free else "taken by another process since"
    left = f"{stopped.processes_left} processes left"
    return PlainText(f"{left}, port {stopped.port} {port}.", title=f"Gone after {format_seconds(stopped.took_s)}")


def _label(*, stand_in: bool, simulated: bool) -> str:
    if simulated:
        return " (simulated: no model behind it)"
    return " (a stand-in, not DeepSeek V4)" if stand_in else ""
