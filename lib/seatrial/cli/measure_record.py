"""Writes the record of `seatrial measure --output`: what was measured, on what, with which server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial import __version__
from seatrial.paths import typed_path
from seatrial.records import RECORDS, write_record
from seatrial.writing import check_target

if TYPE_CHECKING:
    from seatrial.measure import Measurement
    from seatrial.server import Server


def record_path(text: str | None) -> Path | None:
    """Return the file that a record goes to; None if none is wanted.

    Raises:
        UsageError: If there is a link, a folder, a device or a file that is no record.

    """
    if text is None:
        return None
    path = typed_path(text, "The record")
    check_target(path, RECORDS)
    return path


def write_measurement(path: Path, measurement: Measurement, target: Server | str) -> None:
    """Write a measurement as the record of a run.

    Args:
        path: File to write.
        measurement: What was measured.
        target: The server of this machine, or the address of any.

    Raises:
        UsageError: If the file cannot be written, or something else is in its place.
        DoesNotFitError: If the disk is full.

    """
    from seatrial.batch.types import Run
    from seatrial.batch.versions import versions
    from seatrial.hardware import detect_hardware

    kept = measurement.recorded()
    results: dict[str, Any] = {"server": _server(kept, target), "measurement": kept}
    if not isinstance(target, str):
        results["command"] = _command(target)
    if "://127." in kept.url or "://localhost" in kept.url or "://[::1]" in kept.url:
        results["hardware"] = detect_hardware()
    run = Run(
        id=path.stem,
        started_at=measurement.started_at,
        finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        seatrial_version=__version__,
        versions=versions(),
        notebooks=(),
        results=results,
    )
    write_record(path, run, ours=RECORDS)


def _server(kept: Any, target: Server | str) -> dict[str, Any]:
    """Return what is known of the server; nothing that names a user or a file."""
    known = {"url": kept.url, "model": kept.model, "engine": kept.engine,
             "stand_in": kept.stand_in, "simulated": kept.simulated, "launched": not isinstance(target, str)}  # fmt: skip
    if isinstance(target, str):
        return known
    version = target.record.subject.version if target.record.subject else None
    names = ("name", "launched_at", "ready_after_s", "phases", "keep_running")
    return known | {"engine_version": version or None} | {name: getattr(target, name) for name in names}


def _command(server: Server) -> dict[str, Any]:
    from seatrial.secret_text import cleared

    environment = {name: cleared(value) for name, value in server.record.env.items()}
    return {"argv": [cleared(word) for word in server.record.argv], "env": environment}
