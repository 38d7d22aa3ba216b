"""A finished run leaves no engine behind: waits for those of notebooks that have ended, and stops what stays."""

from __future__ import annotations

import logging
import time

from seatrial.server import Server, list_servers
from seatrial.server.folder import folder_of
from seatrial.server.processes import lives

_POLL_S = 0.05
_LEASE_S = 15.0
"""An engine is gone within this after the process that launched it (docs/servers.md)."""
_GONE = {"ended", "stale"}

log = logging.getLogger("seatrial")


def end_leases(timeout_s: float = _LEASE_S) -> list[Server]:
    """Wait until no server runs whose owner has ended; stop those that still do then, and return them.

    A supervisor stops its engine when the notebook kernel that launched it ends. One that was killed
    cannot, so its engine is stopped here, and a warning says so. Servers asked to keep running stay.
    """
    deadline = time.monotonic() + timeout_s
    while (left := _orphans()) and any(server.state != "unsupervised" for server in left):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    for server in left:
        log.warning("%s still ran after the notebook that launched it had ended; it is stopped.", server.name)
        server.stop()
    return left


def _orphans() -> list[Server]:
    return [server for server in list_servers() if _is_orphan(server)]


def _is_orphan(server: Server) -> bool:
    if server.keep_running or server.state in _GONE:
        return False
    record = folder_of(server.name).record()
    return record is not None and not lives(record.owner, record.boot_id)
