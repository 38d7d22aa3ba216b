"""Waits until the engines of notebooks that have ended are gone too."""

from __future__ import annotations

import time

from seatrial.server import Server, list_servers
from seatrial.server.folder import folder_of
from seatrial.server.processes import lives

POLL_S = 0.05
LEASE_S = 15.0


def wait_for_leases(timeout_s: float = LEASE_S) -> list[Server]:
    """Wait until no server runs whose owner has ended, and return those that still do.

    A supervisor stops its engine when the notebook kernel that launched it ends; this waits for
    it, so that a finished run has left nothing behind. Servers asked to keep running stay.
    """
    deadline = time.monotonic() + timeout_s
    while left := [server for server in list_servers() if _is_orphan(server)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return left


def _is_orphan(server: Server) -> bool:
    if server.keep_running or server.state not in {"starting", "ready"}:
        return False
    record = folder_of(server.name).record()
    return record is not None and not lives(record.owner, record.boot_id)
