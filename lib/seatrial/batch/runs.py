"""Runs a series of notebooks headlessly, with one folder and one record for each run.

Notebooks that only read and compute run beside one another. Those that load the machine (``"seatrial": {"alone": true}``
in their metadata) run by themselves, so that nothing disturbs a measurement.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from seatrial import __version__
from seatrial.batch.folders import check_targets, choose_folder, claimed
from seatrial.batch.leases import end_leases
from seatrial.batch.logs import keep_logs
from seatrial.batch.parameters import choose_parameters
from seatrial.batch.results import kept_results, read_results
from seatrial.batch.signals import shielded_from_signals, stop_signals
from seatrial.batch.sources import Source, groups_of, read_sources
from seatrial.batch.types import NotebookResult, ParameterValue, Run, RunProgress
from seatrial.batch.versions import versions
from seatrial.errors import EngineMissingError, UsageError
from seatrial.records import RECORD, write_record

if TYPE_CHECKING:
    from seatrial.batch.execute import Execution

_OnProgress = Callable[[RunProgress], None]
_GRACE_S = 8.0
"""Seconds an interrupted kernel has to stop what it started before it is killed."""
_POLL_S = 0.25
"""Interval at which the main thread checks for a Ctrl-C: one that the system hands to another thread wakes no wait."""
_STOP_POLL_S = 0.05
"""Interval at which a run that stops checks whether its kernels have ended."""


def run_notebooks(
    paths: Sequence[Path | str],
    *,
    parameters: Mapping[str, Any] | None = None,
    output: Path | str | None = None,
    jobs: int | None = None,
    on_progress: _OnProgress | None = None,
) -> Run:
    """Run notebooks headlessly and write the executed notebooks and ``record.json``.

    Parameters, notebooks and the output folder are checked before anything runs. A notebook that already completed in
    ``output``, from the same cells and with the same parameters, does not run again.

    Args:
        paths: Notebooks, in the order of their results.
        parameters: Values by name, for every notebook that has such a parameter; text is read
            as the parameter's type.
        output: Folder of the run; by default a new one in ``runs/``.
        jobs: Notebooks at a time; by default 2, or 1 on a single core.
        on_progress: Called at every event, from several threads but one at a time.

    Returns:
        The run. A notebook that failed is in it, with its error; nothing is raised for it.

    Raises:
        UsageError: If a notebook, parameter or folder is wrong; nothing was run or written.
        EngineMissingError: If papermill or the notebook kernel is not installed.
        KeyboardInterrupt: After SIGINT or SIGTERM. The kernels are gone and the record is written.

    """
    if find_spec("ipykernel") is None or find_spec("papermill") is None:
        raise EngineMissingError(
            f"Notebooks need papermill and ipykernel, which are not installed in {sys.prefix}.",
            remedy="Install them: pip install 'seatrial[notebooks]'",
        )
    sources = read_sources(paths)
    given = choose_parameters({source.path.name: source.parameters for source in sources}, parameters or {})
    folder = choose_folder(output)
    names = [source.path.name for source in sources]
    check_targets(folder, names)
    with claimed(folder):
        earlier = check_targets(folder, names)  # again, now that no other run writes there
        series = _Series(folder, sources, given, earlier, on_progress or (lambda _: None))
        return series.run(jobs or min(2, os.cpu_count() or 1))


class _Series:
    """One run while it goes on: the result of each notebook, and a record that is always up to date."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[Source],
        given: Mapping[str, dict[str, ParameterValue]],
        earlier: Run | None,
        on_progress: _OnProgress,
    ) -> None:
        self.folder = folder
        self.sources = sources
        self.on_progress = on_progress
        self.lock = threading.Lock()
        self.progress_lock = threading.Lock()
        self.running: dict[int, Execution] = {}
        self.stopping = False
        self.started_at = earlier.started_at if earlier else _now()
        self.earlier_logs = {name for one in earlier.notebooks for name in one.logs} if earlier else set()
        self.recorded: dict[int, dict[str, Any]] = {}  # what the notebooks recorded, by their place
        self.results = [
            self._result_before(index, given[source.path.name], earlier) for index, source in enumerate(sources)
        ]

    def run(self, jobs: int) -> Run:
        """Run every notebook without a result, ``jobs`` at a time, and return the finished record."""
        todo = [index for index, result in enumerate(self.results) if not result.kept]
        for index, result in enumerate(self.results):
            if result.kept:
                self._report("kept", index, status="completed")
        try:
            with stop_signals() as stop_requested:
                self._write(finished=False)
                self._run_groups(todo, jobs, stop_requested)
        except BaseException:
            with shielded_from_signals():
                self._write(finished=True)
            raise
        return self._write(finished=True)

    def _run_groups(self, todo: Sequence[int], jobs: int, stop_requested: threading.Event) -> None:
        for group in groups_of(todo, self.sources):
            futures: list[Future[None]] = []
            with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="notebook") as pool:
                try:
                    # Inside the try: leaving the pool waits for submitted notebooks, so a Ctrl-C must stop them.
                    futures.extend(pool.submit(self._execute, index) for index in group)
                    done = _first_done(futures, stop_requested)
                except BaseException:
                    for future in futures:
                        future.cancel()
                    self._stop(futures)
                    raise
                for future in done:
                    future.result()
            end_leases()

    def _stop(self, futures: Sequence[Future[None]]) -> None:
        with shielded_from_signals() as again:
            with self.lock:
                self.stopping = True
                running = dict(self.running)
            for index in running:
                self._report("stopping", index)
            deadline = monotonic() + _GRACE_S
            while wait(futures, timeout=_STOP_POLL_S).not_done and monotonic() < deadline and not again.is_set():
                for execution in running.values():
                    execution.interrupt()
            for execution in running.values():
                execution.kill()
            wait(futures)
            end_leases()

    def _execute(self, index: int) -> None:
        from seatrial.batch.execute import Execution

        source, result = self.sources[index], self.results[index]
        start, started_at = monotonic(), _now()
        execution = Execution(
            source=source,
            target=self.folder / result.notebook,
            parameters=result.parameters,
            on_cell=lambda cell, place: self._report(
                "cell", index, cell=cell, cell_index=place, elapsed_s=monotonic() - start
            ),
        )
        with self.lock:
            if self.stopping:
                return
            self.running[index] = execution
        self._report("started", index)
        try:
            status, failure = execution.run()
        finally:
            with self.lock:
                del self.running[index]
        took = monotonic() - start
        logs = keep_logs(self.folder, result.notebook, execution.kernel_pid, started_at, self.earlier_logs)
        with self.lock:
            left_out = execution.outputs.left_out
            try:
                self.recorded[index] = read_results(execution.target) if execution.saved else {}
            except UsageError as error:
                left_out = [*left_out, f"all results: {error.what}"]
            self.results[index] = replace(
                result, status=status, error=failure, duration_s=round(took, 3), logs=logs, left_out=tuple(left_out)
            )
            self._write(finished=False)
        self._report("finished", index, status=status, elapsed_s=took)

    def _result_before(self, index: int, given: dict[str, ParameterValue], earlier: Run | None) -> NotebookResult:
        """Return the result a notebook has before the run: one of an earlier run, or ``not_run``."""
        source = self.sources[index]
        fresh = NotebookResult(source.path.name, source.title, "not_run", None, given, source.sha256)
        if earlier is None or earlier.seatrial_version != __version__:
            return fresh
        for old in earlier.notebooks:
            same = (old.notebook, old.source_sha256, old.parameters) == (fresh.notebook, source.sha256, given)
            if same and old.status == "completed":
                recorded = kept_results(self.folder / old.notebook, source)
                if recorded is not None:
                    self.recorded[index] = recorded
                    return replace(old, kept=True)
        return fresh

    def _report(self, event: Any, index: int, **more: Any) -> None:
        source = self.sources[index]
        step = RunProgress(
            event=event,
            notebook=source.path.name,
            title=source.title,
            index=index + 1,
            total=len(self.sources),
            folder=self.folder,
            cells=source.code_cells,
            **more,
        )
        with self.progress_lock:
            self.on_progress(step)

    def _write(self, *, finished: bool) -> Run:
        run = Run(
            id=self.folder.resolve().name,
            started_at=self.started_at,
            finished_at=_now() if finished else None,
            seatrial_version=__version__,
            versions=versions(),
            notebooks=tuple(self.results),
            results={name: value for _, found in sorted(self.recorded.items()) for name, value in found.items()},
        )
        write_record(self.folder / RECORD, run)
        return run


def _first_done(futures: Sequence[Future[None]], stop_requested: threading.Event) -> set[Future[None]]:
    """Wait until all are done or one has failed, and return those that are done.

    Raises:
        KeyboardInterrupt: If a signal asked the run to stop.

    """
    while True:
        if stop_requested.is_set():
            raise KeyboardInterrupt
        done, pending = wait(futures, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
        if not pending or any(future.exception() for future in done):
            return done


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
