"""Finds the server of this machine that runs what is asked for, by the plan it was launched with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from seatrial.launching.next_plan import kept_plan
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.server.registry import list_servers
from seatrial.server.running import Server


def find_covering(plan: Plan) -> Server | None:
    """Return the server that runs here and serves all that a plan would; the one launched last, None without one.

    It has the same engine, checkpoint and drafter, at least the context, and takes at least as many requests at once.
    """
    found = [server for server, kept in _shared() if _covers(kept, plan)]
    return max(found, key=lambda server: server.record.begun_s, default=None)


def running_plan(request: Request, planned: Callable[[Request], Plan]) -> Plan | None:
    """Return the plan of a server that runs here and serves all that is asked for; None without one.

    A running server holds memory, so a plan made beside it may be another one, or not fit. What is asked for is
    therefore planned for the machine as it was when that server was launched.

    Args:
        request: What is asked for, of this machine.
        planned: Makes the plan of a request.

    """
    if request.hardware.only_named:
        return None
    for _, kept in sorted(_shared(), key=lambda pair: -pair[0].record.begun_s):
        asked = planned(replace(request, hardware=kept.hardware))
        if asked.runs and _covers(kept, asked):
            return kept
    return None


def _shared() -> Iterator[tuple[Server, Plan]]:
    """Yield the servers that run here for everybody of this user, each with its plan."""
    for server in list_servers():
        kept = kept_plan(server)
        leaves = server.abandoned or server.state == "ending"
        if kept is not None and server.record.shared and server.running and not leaves:
            yield server, kept


def _covers(kept: Plan, asked: Plan) -> bool:
    same = (kept.engine, kept.checkpoint, kept.drafter) == (asked.engine, asked.checkpoint, asked.drafter)
    return same and kept.context_tokens >= asked.context_tokens and kept.concurrency >= asked.concurrency
