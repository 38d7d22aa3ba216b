"""Waits for a server that another process launched: after a kernel restart, or from another terminal."""

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
_WATCH_S = 0.5  # between two looks at the process that launched it


def wait_ready(
    server: Server, *, on_event: Callable[[Event], None] | None = None, stall_limit_s: float = STALL_LIMIT_S
) -> Server:
    """Wait until a server that starts answers; return at once if it does already.

    While the process that launched the server lives, that process decides. If it is gone and the server was to keep
    running, this process takes its place and asks for the first token itself.

    Args:
        server: As ``find_server`` returns it.
        on_event: As for ``launch``.
        stall_limit_s: As for ``launch``, if this process decides.

    Raises:
        UsageError: If it has ended.
        EngineError: If it ended before it was ready, stalled, or served something else.

    """
    folder = folder_of(server.name)
    on_event = on_event or (lambda _: None)
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
                        folder, now.record, now.api_key(), stall_limit_s=math.inf, on_event=on_event, begun=begun
                    )
                    open_until_the_end.callback(startup.watch.close)
                if free and folder.processes() is not None:
                    return _take_over(folder, startup, stall_limit_s)
            try:
                startup.follow(_WATCH_S)
            except EngineError as error:
                if not _is_tried_again(folder, startup.record.launch_id):
                    startup.report_failure(error)
                    raise


def _is_tried_again(folder: ServerFolder, launch_id: str) -> bool:
    """Return True if the launch of an engine that ended tries again, False when it has given up.

    A launch whose port was taken ends its first engine and starts another one, and holds the name meanwhile.
    """
    while True:
        with launching(folder.path.name) as free:
            record = folder.record()
            if record is not None and record.launch_id != launch_id:
                return True
            if free:
                return False
        time.sleep(_POLL_S)


def _take_over(folder: ServerFolder, startup: Startup, stall_limit_s: float) -> Server:
    startup.watch.movement.limit_s = stall_limit_s
    try:
        # Nobody has watched all of the start: the times of its phases are not known.
        ready = replace(startup.wait(), phases=())
        folder.write_ready(ready)
    except EngineError:
        Server(startup.record).stop()
        raise
    return server_of(folder) or Server(startup.record, ready=ready)
