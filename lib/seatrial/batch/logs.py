"""Copies engine logs into the folder of the run that launched the engine: the next launch clears its server folder."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from seatrial.batch.folders import NOT_YET_OURS
from seatrial.errors import DoesNotFitError, UsageError
from seatrial.server import log as engine_log
from seatrial.server.folder import folders
from seatrial.server.processes import this_boot
from seatrial.writing import write_text

_LOGS = "logs"
_KEPT_LINES = 10_000
"""Lines of the end of a log; at most its last two megabytes are read."""

log = logging.getLogger("seatrial")


def keep_logs(
    folder: Path, notebook: str, kernel_pid: int | None, since: str, earlier: Collection[str] = ()
) -> tuple[str, ...]:
    """Write the logs of the servers that a notebook's kernel launched into the run's folder.

    Lines are plain text without secrets. A log that cannot be copied causes a warning and no error.

    Args:
        folder: The run's folder.
        notebook: File name of the notebook; begins the name of each log.
        kernel_pid: The kernel, None if it never started.
        since: Start of the notebook, UTC, ISO 8601: an older server with this pid had another owner.
        earlier: Logs of earlier runs in this folder, which may be replaced.

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
            _write(folder, name, name in earlier, engine_log.tail(server.log_file, _KEPT_LINES))
            kept.append(name)
        except (UsageError, DoesNotFitError) as error:
            log.warning("The log of %s is not copied to the run: %s", server.path.name, error.what)
    return tuple(kept)


def _write(folder: Path, name: str, ours: bool, lines: list[str]) -> None:
    if (folder / _LOGS).is_symlink():
        raise UsageError(f"{folder / _LOGS} is a link, which nothing is written through.", remedy="Remove it.")
    text = "".join(f"{line}\n" for line in lines)
    write_text(folder / name, text, mode=0o600, ours=None if ours else NOT_YET_OURS)
