"""Keeps what an engine wrote with the run that launched it: the server folder is anew with the next launch."""

from __future__ import annotations

import logging
from pathlib import Path

from seatrial.errors import DoesNotFitError, UsageError
from seatrial.records import write_text
from seatrial.server import log as engine_log
from seatrial.server.folder import folders
from seatrial.server.processes import this_boot

_LOGS = "logs"
_KEPT_LINES = 10_000
"""The end of a log; its last two megabytes are read at most."""

log = logging.getLogger("seatrial")


def keep_logs(folder: Path, notebook: str, kernel_pid: int | None, since: str) -> tuple[str, ...]:
    """Write the logs of the servers that a notebook's kernel launched into the run's folder.

    Lines are plain text without secrets. A log that cannot be kept is said, and fails nothing.

    Args:
        folder: The run's folder.
        notebook: File name of the notebook; begins the name of each log.
        kernel_pid: The kernel, None where it never started.
        since: When the notebook started, UTC, ISO 8601: pids are used again.

    Returns:
        Paths of the logs, relative to the run's folder.

    """
    kept = []
    for server in folders():
        try:
            record = server.record()
            if record is None or (record.owner.pid, record.boot_id) != (kernel_pid, this_boot()):
                continue
            if record.launched_at[:19] < since[:19]:
                continue
            name = f"{_LOGS}/{Path(notebook).stem}-{record.name}.log"
            _write(folder, name, engine_log.tail(server.log_file, _KEPT_LINES))
            kept.append(name)
        except (UsageError, DoesNotFitError) as error:
            log.warning("The log of %s is not kept with the run: %s", server.path.name, error.what)
    return tuple(kept)


def _write(folder: Path, name: str, lines: list[str]) -> None:
    for part in (folder / _LOGS, folder / name):
        if part.is_symlink():
            raise UsageError(f"{part} is a link; it would be written through.", remedy="Name another folder.")
    write_text(folder / name, "".join(f"{line}\n" for line in lines), mode=0o600)
