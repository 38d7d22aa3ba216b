"""Runs a load in a process of its own, and always ends that process."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

import msgspec

from seatrial.errors import EngineMissingError, MeasurementError, SeatrialError, UsageError
from seatrial.json_text import JsonError
from seatrial.measure.client_limits import named_limits
from seatrial.measure.doubts import remarks
from seatrial.measure.gaps import missing_readings, restarts
from seatrial.measure.messages import ClientReady, Failed, Finished, LoadJob, PointBegins, PointEnds, Tick, decode_event
from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.summary import summarize, with_acceptance
from seatrial.measure.target import Target, find_target
from seatrial.measure.telemetry import METRICS_LIMIT_S, Telemetry
from seatrial.measure.types import Completion, Measurement, Sample, Workload
from seatrial.measure.workload import check_workload, describe_level, levels_of
from seatrial.printable import shortened

if TYPE_CHECKING:  # the client's process starts faster without it
    from seatrial.server.metrics import ServerMetrics
    from seatrial.server.running import Server

_logger = logging.getLogger("seatrial")

_STOP_S = 2.0
_OnEvent = Callable[[LoadProgress], None]


def measure_server(
    target: Server | str,
    workload: Workload | None = None,
    *,
    api_key: str | None = None,
    model: str | None = None,
    on_event: _OnEvent | None = None,
) -> Measurement:
    """Send a workload to a server, wait for its end, and sum it up.

    Args:
        target: A launched server, or the URL of an OpenAI-compatible one.
        workload: The load; by default 1, 2, 4 and 8 streams of short answers.
        api_key: Sent as bearer token; a launched server knows its own.
        model: Model id; by default the one the server lists.
        on_event: Called a few times a second, from another thread.

    Raises:
        UsageError: If the URL, key, model or workload is not usable.
        MeasurementError: If the server does not answer: there is nothing to sum up.
        EngineMissingError: If the measuring client's packages are not installed.

    """
    with start_load(target, workload, api_key=api_key, model=model, on_event=on_event) as load:
        return load.result()


def start_load(
    target: Server | str,
    workload: Workload | None = None,
    *,
    api_key: str | None = None,
    model: str | None = None,
    on_event: _OnEvent | None = None,
) -> Load:
    """Start sending a workload and return at once; arguments and errors as for ``measure_server``.

    ``Load.result`` raises later errors.
    """
    chosen = workload or Workload()
    found = find_target(target, api_key=api_key, model=model)
    check_workload(chosen, found.engine)
    if find_spec("aiohttp") is None:
        raise EngineMissingError(
            "The measuring client needs the package aiohttp, which is not installed.",
            remedy="Install it: pip install 'seatrial[measure]'",
        )
    with named_limits():
        return Load(found, chosen, on_event)


class Load:
    """A running load. As a context manager it ends the load on leaving.

    Attributes:
        recorder: Samples, completions and points so far.

    """

    def __init__(self, target: Target, workload: Workload, on_event: _OnEvent | None) -> None:
        self.recorder = Recorder()
        self._target = target
        self._workload = workload
        self._on_event = on_event
        self._model = target.model or ""
        self._notes: list[str] = []
        self._missing: dict[str, str] = {}
        self._error: SeatrialError | None = None
        self._stopping = False
        self._begin_s = 0.0
        self._of_point: list[Completion] = []
        self._counted: ServerMetrics | None = None  # when the point began
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        self._process = self._spawn()
        self._input, self._output = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._thread = threading.Thread(target=self._follow, name="load", daemon=True)
        try:
            self._send_job()
            self._thread.start()
        except BaseException:  # no thread can be started: nobody would follow the client
            self._process.kill()
            self._process.communicate()
            self._errors.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def stand_in(self) -> bool:
        """True for a stand-in rather than DeepSeek V4."""
        return self._target.stand_in

    @property
    def simulated(self) -> bool:
        """True if no model answers."""
        return self._target.simulated

    @property
    def pid(self) -> int:
        """Process id of the client."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while requests are sent or followed."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end, at most ``timeout_s`` seconds; return True if the load has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> Measurement:
        """Wait for the end and sum up; after ``stop``, sum up what was collected until then.

        Raises:
            UsageError: If the server wants another key or model.
            MeasurementError: If the server does not answer: nothing was collected.

        """
        self._thread.join()
        collected = self.recorder.points or self.recorder.completions
        if self._error is not None and not collected:
            raise self._error
        lag_s = max((point.self_check.loop_lag_p99_s for point in self.recorder.points), default=0.0)
        notes = [
            *self._notes,
            *restarts(self.recorder.samples),
            *remarks(self.recorder.completions, lag_s),
            *([self._error.what] if self._error else []),
        ]
        return Measurement(
            url=self._target.url,
            model=self._model,
            engine=self._target.engine,
            workload=self._workload,
            points=self.recorder.points,
            samples=self.recorder.samples,
            completions=self.recorder.completions,
            started_at=self._started_at,
            stand_in=self._target.stand_in,
            simulated=self._target.simulated,
            missing=self._missing,
            notes=tuple(dict.fromkeys(notes)),
        )

    def stop(self) -> None:
        """End the load now, process and threads; do nothing if it has ended."""
        self._stopping = self._stopping or self._process.poll() is None
        with contextlib.suppress(OSError):
            self._input.close()  # the client leaves when its standard input ends
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._output.close()
        self._errors.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches only this process, which then ends the client.
        return subprocess.Popen(
            [sys.executable, "-m", "seatrial.measure.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    def _send_job(self) -> None:
        target = self._target
        job = LoadJob(target.url, self._workload, time.perf_counter_ns(), target.model, target.api_key)
        with contextlib.suppress(BrokenPipeError):  # the client died at once: ``_follow`` finds its exit code
            self._input.write(msgspec.json.encode(job) + b"\n")
            self._input.flush()

    def _follow(self) -> None:
        try:
            with Telemetry(self._target.pid, self._target.page) as telemetry:
                try:
                    for line in self._output:
                        self._take(decode_event(line), telemetry)
                finally:
                    self._missing = missing_readings(self.recorder.samples, telemetry.missing())
        except JsonError:  # half a line: the client was killed while it wrote it
            self._process.kill()
        except Exception as error:  # noqa: BLE001 -- whoever waits for this thread is told, whatever it was
            self._process.kill()
            what = shortened(f"{type(error).__name__}: {error}")
            self._error = MeasurementError(f"The load was broken off ({what}).", remedy="Measure again.")
        code = self._process.wait()
        if self._stopping:
            self._notes.append("Stopped before its end.")
        elif code and self._error is None:
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            last = f" ({lines[-1]})" if lines else ""
            self._error = MeasurementError(
                f"The measuring client ended unexpectedly with code {code}{last}.", remedy="Measure again."
            )

    def _take(self, event: Any, telemetry: Telemetry) -> None:
        progress = self.recorder.progress
        match event:
            case ClientReady():
                self._model = event.model
                self._notes += event.notes
                telemetry.ask_server()
            case PointBegins():
                self._begin_s, self._of_point = event.at_s, []
                self._counted = self._read_metrics()
                levels = levels_of(self._workload)
                level = describe_level(levels[event.point], self._workload.rate)
                self._report(LoadProgress(event.point, len(levels), level, 0, event.requests, None, 0))
            case Tick():
                self._add_sample(event, telemetry)
                self._report(replace(progress, tokens_per_s=event.tokens_per_s, active_streams=event.active_streams))
            case Finished():
                self._of_point.append(event.completion)
                self.recorder.add_completion(event.completion)
                self._report(replace(progress, done=progress.done + 1))
            case PointEnds():
                self._notes += event.notes
                point = summarize(self._of_point, self._workload, self._begin_s, event)
                self.recorder.add_point(with_acceptance(point, self._counted, self._read_metrics()))
            case Failed():
                kind = UsageError if event.usage else MeasurementError
                self._error = kind(event.what, remedy=event.remedy)

    def _read_metrics(self) -> ServerMetrics | None:
        return None if self._target.page is None else self._target.page.read(METRICS_LIMIT_S)

    def _report(self, progress: LoadProgress) -> None:
        self.recorder.set_progress(progress)
        if self._on_event is not None:
            try:
                self._on_event(progress)
            except Exception:  # an error in the caller's code must not end the measurement
                _logger.exception("on_event failed and is not called again")
                self._on_event = None

    def _add_sample(self, tick: Tick, telemetry: Telemetry) -> None:
        sample = Sample(tick.at_s, tick.point, tick.tokens_per_s, tick.active_streams, **asdict(telemetry.latest))
        self.recorder.add_sample(sample)
