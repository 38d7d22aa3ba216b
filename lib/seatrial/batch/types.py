"""Headless runs: their notebooks, how each ended, and the results they recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seatrial.records import FORMAT, FORMAT_VERSION

Status = Literal["completed", "failed", "interrupted", "not_run"]

ParameterValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class NotebookFailure:
    """Error that stopped a notebook."""

    kind: str  # name of the error's class
    message: str
    cell: str | None  # id of the cell it happened in, None before the first cell
    exit_code: int  # of a command that ends with this error


@dataclass(frozen=True, slots=True)
class NotebookResult:
    """End of one notebook of a run.

    Attributes:
        notebook: File name of the executed notebook inside the run's folder.
        title: Its heading.
        status: ``completed``, ``failed``, ``interrupted``, or ``not_run`` (not yet, or the run stopped before).
        duration_s: Seconds its execution took; None if it was not executed.
        parameters: Values given to it; every other parameter had its default.
        source_sha256: SHA-256 of the cells it was made from.
        error: Error that stopped it, None if it completed.
        kept: True if this result is from an earlier run into the same folder.
        logs: Logs of the engines it launched, relative to the run's folder.
        left_out: Outputs that were not kept, a phrase for each.

    """

    notebook: str
    title: str
    status: Status
    duration_s: float | None
    parameters: dict[str, ParameterValue]
    source_sha256: str
    error: NotebookFailure | None = None
    kept: bool = False
    logs: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as ``record.json`` stores it.

    Attributes:
        id: Name of the run, which is its folder's.
        started_at: UTC, ISO 8601.
        finished_at: UTC, ISO 8601; None while the run goes on.
        seatrial_version: Version that ran it.
        versions: Versions of Python, the system and the packages that matter.
        notebooks: One entry for each notebook, in the order requested.
        results: Values the notebooks recorded, by name; of equal names the last.
        format: Name of the form of a record.
        format_version: Its version.

    """

    id: str
    started_at: str
    finished_at: str | None
    seatrial_version: str
    versions: dict[str, Any]
    notebooks: tuple[NotebookResult, ...]
    results: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    @property
    def failure(self) -> NotebookResult | None:
        """First notebook that did not complete, None if all did."""
        return next((one for one in self.notebooks if one.status in {"failed", "interrupted"}), None)

    @property
    def exit_code(self) -> int:
        """0 if all completed, else the exit code of the first error."""
        first = self.failure
        return 0 if first is None else first.error.exit_code if first.error else 1


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Progress of a run; ``on_progress`` gets one at every event."""

    event: Literal["started", "cell", "stopping", "finished", "kept"]  # stopping: after Ctrl-C; finished: see status
    notebook: str  # file name
    title: str
    index: int  # place in the run, from 1
    total: int  # notebooks in the run
    folder: Path  # of the run
    cell: str | None = None  # id of the code cell that starts
    cell_index: int = 0  # place of that cell among the code cells, from 1
    cells: int = 0  # code cells in the notebook
    elapsed_s: float = 0.0  # since the notebook started
    status: Status | None = None  # end of a finished notebook
