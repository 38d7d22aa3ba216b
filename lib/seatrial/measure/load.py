"""Runs a load in a process of its own, and always ends that process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from seatrial.errors import EngineMissingError, MeasurementError, SeatrialError, UsageError
from seatrial.json_text import JsonError
from seatrial.measure.client_limits import named_limits
from seatrial.measure.client_process import ClientProcess
from seatrial.measure.counted import missing_energy
from seatrial.measure.gaps import missing_readings
from seatrial.measure.level import RunningLevel, server_gone
from seatrial.measure.local_server import serving_process
from seatrial.measure.messages import (
    ClientReady,
    Failed,
    Finished,
    LoadJob,
    PointBegins,
    PointEnds,
    Recounted,
    SetStreams,
    Tick,
    decode_event,
)
from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.recording import read_recording
from seatrial.measure.target import RemoteServer, Target, find_target
from seatrial.measure.telemetry import Telemetry
from seatrial.measure.types import Measurement, Sample
from seatrial.measure.workload import Workload, levels_of
from seatrial.measure.workload_check import check_workload
from seatrial.printable import shortened

if TYPE_CHECKING:  # the client's process starts faster without it
    from seatrial.server.metrics import ServerMetrics
    from seatrial.server.running import Server

_logger = logging.getLogger("seatrial")

_OnEvent = Callable[[LoadProgress], None]


def measure_server(
    target: Server | RemoteServer | str,
    workload: Workload | None = None,
    *,
    api_key: str | None = None,
    model: str | None = None,
    on_event: _OnEvent | None = None,
) -> Measurement:
    """Send a workload to a server, wait for its end, and sum it up.

    Args:
        target: A server from ``launch`` or ``open_server``, or the URL of an OpenAI-compatible one.
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
    target: Server | RemoteServer | str,
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
    if find_spec("httptools") is None:
        raise EngineMissingError(
            "The measuring client needs the package httptools, which is not installed.",
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
        recording = read_recording(workload)
        self.recorder = Recorder(workload.repeat)
        self._target = target
        # A record tells the file's name, not the folders of whoever measured.
        self._workload = replace(workload, replay=Path(workload.replay).name) if workload.replay else workload
        self._on_event = on_event
        self._model = target.model or ""
        self._notes = list(recording.notes) if recording is not None else []
        self._missing: dict[str, str] = {}
        self._error: SeatrialError | None = None
        self._stopping = False
        self._gone = ""  # why no further level is measured: the server went away
        self._level: RunningLevel | None = None
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._process = ClientProcess()
        self._thread = threading.Thread(target=self._follow, name="load", daemon=True)
        try:
            job = LoadJob(target.url, workload, time.perf_counter_ns(), target.model, target.api_key, recording)
            self._process.send(job)
            self._thread.start()
        except BaseException:  # no thread can be started: nobody would follow the client
            self._process.kill()
            self._process.wait()
            self._process.close()
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
        notes = [*self._notes, *([self._error.what] if self._error else [])]
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
            notes=tuple(dict.fromkeys(notes)),
            missing=self._missing | missing_energy(self.recorder.points, self.recorder.samples),
        )

    def set_streams(self, streams: int) -> None:
        """Keep so many streams busy from now on, until the load is stopped; do nothing if it has ended.

        Each change begins a level of its own. Levels of the workload that have not ended by then are not sent.

        Raises:
            UsageError: If requests arrive at a rate, or there is no such number of streams.

        """
        rate = 1.0 if self._workload.open_loop else None
        check_workload(Workload(concurrency=(streams,), rate=rate, until_stopped=True), self._target.engine)
        self._process.send(SetStreams(streams))

    def stop(self) -> None:
        """End the load now, process and threads; what was complete stays, the level in progress becomes a partial one.

        Does nothing if the load has ended.
        """
        self._stopping = self._stopping or not self._process.ended
        self._process.stop()
        self._thread.join()
        self._process.close()

    def _follow(self) -> None:
        try:
            pid = self._target.pid or serving_process(self._target.url)
            with Telemetry(pid, self._target.page) as telemetry:
                try:
                    self._take_all(telemetry)
                finally:
                    self._missing = missing_readings(self.recorder.samples, telemetry.missing())
        except JsonError:  # half a line: the client was killed while it wrote it
            self._process.kill()
        except Exception as error:  # noqa: BLE001 -- whoever waits for this thread is told, whatever it was
            self._process.kill()
            what = shortened(f"{type(error).__name__}: {error}")
            self._error = MeasurementError(f"The load was broken off ({what}).", remedy="Measure again.")
        code = self._process.wait()
        if self._level is not None and (point := self._level.break_off(None)) is not None:
            self.recorder.add_point(point)
        if self._gone:
            self._notes.append(self._gone)
        elif self._stopping and (self._level is not None or len(self.recorder.points) < len(levels_of(self._workload))):
            self._notes.append("Stopped before its end.")
        elif code and self._error is None:
            last = self._process.last_words()
            said = f" ({last})" if last else ""
            self._error = MeasurementError(
                f"The measuring client ended unexpectedly with code {code}{said}.", remedy="Measure again."
            )

    def _take_all(self, telemetry: Telemetry) -> None:
        for line in self._process.stdout:
            self._take(decode_event(line), telemetry)
            if self._gone:
                self._process.leave()  # nobody answers it any more
                return

    def _take(self, event: Any, telemetry: Telemetry) -> None:
        progress = self.recorder.progress
        match event:
            case ClientReady():
                self._model = event.model
                self._notes += event.notes
                telemetry.ask_server()
            case PointBegins():
                before = self.recorder.samples[-1:]
                self._level = RunningLevel(event, self._workload, self._read_metrics(), before)
                points = len(levels_of(self._workload)) if event.requests and not self._workload.find_knee else 0
                counts = (event.requests, None, 0, event.at_s, event.later, event.level.streams)
                self._report(LoadProgress(event.point, points, event.label, 0, *counts))
            case Tick():
                self._add_sample(event, telemetry)
                self._report(replace(progress, tokens_per_s=event.tokens_per_s, active_streams=event.active_streams))
            case Finished():
                # Others were sent before the streams were set anew.
                if self._level is not None and event.completion.point == progress.point:
                    self._level.completions.append(event.completion)
                self.recorder.add_completion(event.completion)
                self._report(replace(progress, done=progress.done + 1))
            case Recounted() if self._level is not None:
                self._level.completions[event.index] = event.completion
                self.recorder.replace_completion(len(self._level.completions) - event.index, event.completion)
            case PointEnds():
                self._notes += event.notes
                self._end_level(event)
            case Failed():
                kind = UsageError if event.usage else MeasurementError
                self._error = kind(event.what, remedy=event.remedy)

    def _end_level(self, event: PointEnds) -> None:
        level, self._level = self._level, None
        if level is None:
            return
        point = level.end(event, self._read_metrics())
        self.recorder.add_point(point)
        error = server_gone(level.completions)
        if error and any(one.requests.succeeded for one in self.recorder.points):
            self._gone = f"The server went away during {point.label} ({error})."

    def _read_metrics(self) -> ServerMetrics | None:
        return None if self._target.page is None else self._target.page.read()

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
        if self._level is not None:
            self._level.add_tick(tick, sample)
