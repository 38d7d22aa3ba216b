"""What a headless run is: which notebooks, how each ended, and the results they recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["completed", "failed", "interrupted", "not_run"]

ParameterValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class NotebookFailure:
    """Why a notebook stopped: the error's name, its message, and the cell it happened in."""

    kind: str
    message: str
    cell: str | None
    exit_code: int


@dataclass(frozen=True, slots=True)
class NotebookResult:
    """How one notebook of a run ended.

    Attributes:
        notebook: File name of the executed notebook inside the run's folder.
        title: Its heading.
        status: ``completed``, ``failed``, ``interrupted``, or ``not_run``: its turn has not come, or the run
            was stopped before.
        duration_s: Seconds it took when it was executed; None where it was not.
        parameters: Values it was given; every other parameter had its default.
        source_sha256: Of the cells it was made from.
        error: Why it stopped, None where it completed.
        kept: Whether this result was already in the folder and was kept.
        logs: Logs of the engines it launched, relative to the run's folder.

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


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as ``record.json`` keeps it.

    Attributes:
        id: Name of the run: its folder's name.
        started_at: UTC, ISO 8601.
        finished_at: UTC, ISO 8601; None while it runs.
        seatrial_version: Version that ran it.
        versions: Of Python, the system and the packages that matter.
        notebooks: One entry a notebook, in the order they were asked for.
        results: What the notebooks recorded, by name; a later notebook replaces an earlier one's.

    """

    id: str
    started_at: str
    finished_at: str | None
    seatrial_version: str
    versions: dict[str, Any]
    notebooks: tuple[NotebookResult, ...]
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def failure(self) -> NotebookResult | None:
        """The first notebook that did not complete, None where all did."""
        return next((one for one in self.notebooks if one.status in {"failed", "interrupted"}), None)

    @property
    def exit_code(self) -> int:
        """0 where all completed, else the exit code of the first error."""
        first = self.failure
        return 0 if first is None else first.error.exit_code if first.error else 1


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Where a run stands; handed to ``on_progress`` whenever that changes.

    Attributes:
        event: ``started``, ``cell``, ``stopping`` (asked to, by Ctrl-C), ``finished`` (see ``status``) or ``kept``.
        notebook: File name.
        title: Its heading.
        index: Its place in the run, from 1.
        total: Notebooks in the run.
        cell: Id of the code cell that starts, for ``cell``.
        cell_index: Its place among the code cells, from 1.
        cells: Code cells in the notebook.
        elapsed_s: Seconds since the notebook started.
        status: How it ended, for ``finished``.
        folder: Folder the run is written to.

    """

    event: Literal["started", "cell", "stopping", "finished", "kept"]
    notebook: str
    title: str
    index: int
    total: int
    folder: Path
    cell: str | None = None
    cell_index: int = 0
    cells: int = 0
    elapsed_s: float = 0.0
    status: Status | None = None
