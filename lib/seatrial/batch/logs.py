"""Copies engine logs into the folder of the run that launched the engine: the next launch clears its server folder."""

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
"""Lines of the end of a log; at most its last two megabytes are read."""

log = logging.getLogger("seatrial")


def keep_logs(folder: Path, notebook: str, kernel_pid: int | None, since: str) -> tuple[str, ...]:
    """Write the logs of the servers that a notebook's kernel launched into the run's folder.

    Lines are plain text without secrets. A log that cannot be copied causes a warning and no error.

    Args:
        folder: The run's folder.
        notebook: File name of the notebook; begins the name of each log.
        kernel_pid: The kernel, None if it never started.
        since: Start of the notebook, UTC, ISO 8601: an older server with this pid had another owner.

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
            log.warning("The log of %s is not copied to the run: %s", server.path.name, error.what)
    return tuple(kept)


def _write(folder: Path, name: str, lines: list[str]) -> None:
    for part in (folder / _LOGS, folder / name):
        if part.is_symlink():
            raise UsageError(f"{part} is a link; writing would change its target.", remedy="Name another folder.")
    write_text(folder / name, "".join(f"{line}\n" for line in lines), mode=0o600)
