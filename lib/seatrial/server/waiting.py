"""Waits for a server that is starting already: after a kernel restart, or from another terminal."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace

from seatrial.errors import EngineError, UsageError
from seatrial.server.folder import ServerFolder, folder_of, launching
from seatrial.server.registry import server_of
from seatrial.server.running import Server
from seatrial.server.startup.readiness import Startup
from seatrial.server.startup.stall import STALL_LIMIT_S
from seatrial.server.startup.watch import Event

_POLL_S = 0.05
_ASK_S = 0.5
"""Seconds between two looks whether the process that launched it still waits for it."""


def wait_ready(
    server: Server, *, on_event: Callable[[Event], None] | None = None, stall_limit_s: float = STALL_LIMIT_S
) -> Server:
    """Wait until a server that starts answers; one that does already is given back at once.

    While the process that launched it lives, that one decides; where it is gone and the server was to keep running,
    this one takes its place and asks for the first token itself.

    Args:
        server: As ``find_server`` gives it.
        on_event: As for ``launch``.
        stall_limit_s: As for ``launch``, where this process decides.

    Raises:
        UsageError: It has ended.
        EngineError: It ended before it was ready, stalled, or served something else.

    """
    folder = folder_of(server.name)
    tell = on_event or (lambda _: None)
    startup: Startup | None = None
    with contextlib.ExitStack() as open_until_the_end:
        while True:
            with launching(server.name) as free:
                now = server_of(folder)
                if now is None or now.state in {"ended", "stale"}:
                    if free:
                        raise UsageError(f"The server {server.name!r} has ended.", remedy="Launch it again.")
                    time.sleep(_POLL_S)  # its launch is under way, and tries another port
                    continue
                if folder.ready():
                    if startup is not None:
                        startup.follow(0.0)
                    return server_of(folder) or now
                if startup is None or startup.record.launch_id != now.launch_id:
                    begun = now.record.begun_s
                    startup = Startup(
                        folder, now.record, now.api_key(), stall_limit_s=math.inf, on_event=tell, begun=begun
                    )
                    open_until_the_end.callback(startup.watch.close)
                if free and folder.processes() is not None:
                    return _take_over(folder, startup, stall_limit_s)
            startup.follow(_ASK_S)


def _take_over(folder: ServerFolder, startup: Startup, stall_limit_s: float) -> Server:
    startup.watch.movement.limit_s = stall_limit_s
    found = server_of(folder)
    assert found is not None  # noqa: S101 -- its record was read a moment ago
    try:
        # Nobody has watched the whole of it: how long its phases took is not known.
        folder.write_ready(replace(startup.wait(), phases=()))
    except EngineError:
        found.stop()
        raise
    return server_of(folder) or found
