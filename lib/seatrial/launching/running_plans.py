"""Finds the server of this machine that runs what is asked for, by the plan it was launched with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from seatrial.catalog import find_model
from seatrial.launching.claim import name_for
from seatrial.launching.next_plan import kept_plan
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.server.registry import list_servers
from seatrial.server.running import Server


def find_covering(plan: Plan) -> Server | None:
    """Return the server that runs here and serves what a plan would; None without one.

    It has the same engine, checkpoint and drafter, and at least the context. Of several, one that takes as many requests
    at once is preferred, then the one launched last: requests beyond that wait.
    """
    same = (plan.engine, plan.checkpoint, plan.drafter)
    found = [
        (server, kept)
        for server, kept in _shared()
        if (kept.engine, kept.checkpoint, kept.drafter) == same and kept.context_tokens >= plan.context_tokens
    ]
    best = _best(found, plan.concurrency)
    return None if best is None else best[0]


def running_plan(request: Request) -> Plan | None:
    """Return the plan of a server that runs here and serves the model asked for; None without one.

    A running server holds memory, so a plan made beside it may be another one, or not fit. An engine that is named must
    be the server's, and its context must be at least the one asked for; the rest is as for ``find_covering``.

    Raises:
        UnknownNameError: If there is no such model or engine.
        UsageError: If a number is one that no machine has.

    """
    if request.hardware.only_named or request.checkpoint is not None or request.model is None:
        return None
    request.check()
    model, context = find_model(request.model).id, request.context_tokens or 0
    found = [
        (server, kept)
        for server, kept in _shared()
        if kept.model == model
        and request.engine in {kept.engine, "auto"}
        and (request.engine == kept.engine or not kept.simulated)
        and kept.context_tokens >= context
    ]
    best = _best(found, request.concurrency)
    return None if best is None else best[1]


def beside_running(request: Request, planned: Callable[[Request], Plan], name: str | None) -> Request:
    """Return the request for the machine as it was when the server of its name was launched, unchanged without one.

    The same request then gives the same plan, though that server holds memory now.

    Args:
        request: What is asked for, of this machine.
        planned: Makes the plan of a request.
        name: Name of the server that is asked for; None for the model's.

    """
    for server, kept in _shared() if not request.hardware.only_named else ():
        before = replace(request, hardware=kept.hardware)
        asked = planned(before)
        if asked.runs and server.name == name_for(name, asked.model):
            return before
    return request


def _best(found: list[tuple[Server, Plan]], concurrency: int) -> tuple[Server, Plan] | None:
    return max(found, key=lambda pair: (pair[1].concurrency >= concurrency, pair[0].record.begun_s), default=None)


def _shared() -> Iterator[tuple[Server, Plan]]:
    """Yield the servers that run here for everybody of this user, each with its plan."""
    for server in list_servers():
        kept = kept_plan(server)
        leaves = server.abandoned or server.state == "ending"
        if kept is not None and server.record.shared and server.running and not leaves:
            yield server, kept
