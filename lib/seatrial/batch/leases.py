"""Waits for the engines of notebooks that have ended, and stops those that remain: a run leaves no engine behind."""

from __future__ import annotations

import logging
import time

from seatrial.server import Server, list_servers
from seatrial.server.folder import folder_of
from seatrial.server.processes import lives

_POLL_S = 0.05
_LEASE_S = 15.0
"""An engine is gone within this after the process that launched it (docs/servers.md)."""

log = logging.getLogger("seatrial")


def end_leases(timeout_s: float = _LEASE_S) -> list[Server]:
    """Wait until no server runs whose owner has ended; stop those that still run then, and return them.

    A supervisor stops its engine when the notebook kernel that launched it ends. A killed supervisor cannot, so its
    engine is stopped from here, with a warning. Servers launched with ``keep_running`` stay.
    """
    deadline = time.monotonic() + timeout_s
    lost: set[str] = set()
    while left := _orphans():
        unsupervised = {server.launch_id for server, state in left if state == "unsupervised"}
        # Two looks in a row must agree. In a single one a supervisor that stops its engine and exits between the
        # reads of that look seems lost as well, and nothing would be left to stop.
        if len(unsupervised) == len(left) and unsupervised <= lost:
            break
        if time.monotonic() > deadline:
            break
        lost = unsupervised
        time.sleep(_POLL_S)
    stopped = [server for server, _ in left if server.stop().was_running]
    for server in stopped:
        log.warning("%s still ran after the notebook that launched it had ended; it is stopped.", server.name)
    return stopped


def _orphans() -> list[tuple[Server, str]]:
    """Return the servers whose owner has ended and that have not, each with its state."""
    looks = [(server, server.state) for server in list_servers() if not server.keep_running and _owner_ended(server)]
    return [(server, state) for server, state in looks if state not in {"ended", "stale", "elsewhere"}]


def _owner_ended(server: Server) -> bool:
    record = folder_of(server.name).record()
    return record is not None and record.launch_id == server.launch_id and not lives(record.owner, record.boot_id)
