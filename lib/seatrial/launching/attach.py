"""Waits for a server that runs or starts already, whichever process launched it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seatrial.errors import EngineError
from seatrial.server.running import Server
from seatrial.server.startup.watch import ALREADY_RUNNING, Event
from seatrial.server.waiting import wait_ready
from seatrial.units import format_seconds

_HANGS_S = 10.0  # within which a server that is ready answers its health check, however busy it is


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a person waits for a server, whoever starts it."""

    keep_running: bool
    on_event: Callable[[Event], None]
    stall_limit_s: float

    def attached(self, server: Server) -> Server:
        """Return a server that runs or starts already, once it answers.

        Raises:
            UsageError: If it has ended meanwhile.
            EngineError: If it does not answer, or its start failed.

        """
        was_ready = server.state != "starting"
        server = wait_ready(server, on_event=self.on_event, stall_limit_s=self.stall_limit_s)
        if was_ready:
            if not server.responds(_HANGS_S):
                raise EngineError(
                    f"The server {server.name!r} runs already, and does not answer within {_HANGS_S:g} s.",
                    remedy=f"seatrial logs {server.name} shows why. End it (seatrial stop {server.name}) and launch again.",
                    cause="hangs",
                )
            self.on_event(_already_running(server))
        if self.keep_running:
            server.keep()
        return server


def _already_running(server: Server) -> Event:
    return Event(
        ALREADY_RUNNING,
        f"{server.name} is already running, {format_seconds(server.age_s)} old",
        elapsed_s=0.0,
        model=server.model,
        engine=server.engine,
        stand_in=server.stand_in,
        simulated=server.simulated,
    )
