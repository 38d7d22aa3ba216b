"""Waits for a server that another process launched: after a kernel restart, or from another terminal."""

from __future__ import annotations

import contextlib
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
from seatrial.units import format_seconds

_POLL_S = 0.05
_TRIED_AGAIN_S = 60.0  # a launch stops its first engine within 10 s and starts the next within 15 s
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
        stall_limit_s: Seconds without any progress after which the wait is given up. The server goes on if another
            process launched it: that one decides.

    Raises:
        UsageError: If it has ended.
        EngineError: If it ended before it was ready, stalled, or served something else.

    """
    folder = folder_of(server.name)
    on_event = on_event or (lambda _: None)
    startup: Startup | None = None
    seen = time.monotonic()
    with contextlib.ExitStack() as open_until_the_end:
        while True:
            with launching(server.name) as free:
                now = server_of(folder)
                if now is None or now.state in {"ended", "stale", "elsewhere"}:
                    _check_under_way(server.name, free, time.monotonic() - seen, stall_limit_s)
                    time.sleep(_POLL_S)
                    continue
                seen = time.monotonic()
                if folder.ready():
                    if startup is not None:
                        startup.follow(0.0)
                    return server_of(folder) or now
                if startup is None or startup.record.launch_id != now.launch_id:
                    begun = now.record.begun_s
                    startup = Startup(
                        folder, now.record, now.api_key(), stall_limit_s=stall_limit_s, on_event=on_event, begun=begun
                    )
                    open_until_the_end.callback(startup.watch.close)
                if free and folder.processes() is not None:
                    return _take_over(folder, startup)
            try:
                startup.follow(_WATCH_S)
            except EngineError as error:
                if error.cause == "stalled" or not _is_tried_again(folder, startup.record.launch_id):
                    startup.report_failure(error)
                    raise


def _is_tried_again(folder: ServerFolder, launch_id: str) -> bool:
    """Return True if the launch of an engine that ended tries again, False when it has given up.

    A launch whose port was taken ends its first engine and starts another one, and holds the name meanwhile.
    """
    deadline = time.monotonic() + _TRIED_AGAIN_S
    while time.monotonic() < deadline:
        with launching(folder.path.name) as free:
            record = folder.record()
            if record is not None and record.launch_id != launch_id:
                return True
            if free:
                return False
        time.sleep(_POLL_S)
    return False


def _check_under_way(name: str, free: bool, waited_s: float, limit_s: float) -> None:
    """Raise unless a launch is under way, which may try another port, and has not hung for too long."""
    if free:
        raise UsageError(f"The server {name!r} has ended.", remedy="Launch it again.")
    if waited_s > limit_s:
        raise EngineError(
            f"The launch of {name!r} is under way and has started nothing for {format_seconds(waited_s)}.",
            remedy="Look at the process that launches it: it may be suspended.",
            cause="stalled",
        )


def _take_over(folder: ServerFolder, startup: Startup) -> Server:
    try:
        # Nobody has watched all of the start: the times of its phases are not known.
        ready = replace(startup.wait(), phases=())
        folder.write_ready(ready)
    except EngineError:
        Server(startup.record).stop()
        raise
    return server_of(folder) or Server(startup.record, ready=ready)
