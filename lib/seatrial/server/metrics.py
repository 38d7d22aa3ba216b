"""What a server that runs says of itself: requests, queue, KV cache, tokens, read from its ``/metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import UsageError
from seatrial.server import loopback
from seatrial.server.address import near

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.metrics import ServerMetrics
    from seatrial.server.running import Server

OK = 200


def metrics_of(server: Server, timeout_s: float) -> ServerMetrics | None:
    """One look at a server; None where its engine has no metrics, or it does not answer within ``timeout_s``."""
    from seatrial.engines.metrics import read_metrics  # noqa: PLC0415 -- see the top

    if server.metrics_path is None or server.engine not in engine_ids() or not server.alive():
        return None
    try:
        key, host = server.api_key(), near(server.host)
        reply = loopback.ask(server.port, server.metrics_path, key=key, host=host, timeout_s=timeout_s)
    except (*loopback.NO_ANSWER, UsageError):
        return None
    if reply.status != OK:
        return None
    return read_metrics(reply.body.decode(errors="replace"), engine_facts(server.engine).metrics)
