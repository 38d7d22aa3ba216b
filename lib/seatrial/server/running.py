"""One server: ask how it is, read its log, stop it for good."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from seatrial.errors import UsageError
from seatrial.server import log, loopback, processes
from seatrial.server.address import near
from seatrial.server.failures.diagnosis import LOG_LINES, MEMORY, Diagnosis, diagnose
from seatrial.server.folder import ServerFolder, folder_of
from seatrial.server.state import PhaseTime, Processes, Record
from seatrial.server.stopping import STOP_S, Stopped, Stopping

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.metrics import ServerMetrics
    from seatrial.server.startup.watch import Event

HEALTH_S = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """One engine process that was launched here, by this process or another.

    As a context manager it stops the server at the end.

    Attributes:
        name: Its name, as in ``seatrial ps``.
        url: ``http://127.0.0.1:PORT``, without ``/v1``.
        model: Model id to ask for.
        engine: Engine id.
        pid: First process and process group of the engine, None where it never started.
        port: Port it listens on.
        api_key_file: File with the API key, readable by this user alone.
        log: File with the engine's output.
        ready_after_s: Seconds from launch to the first token generated, None while it starts and where that was lost.
        stand_in: Whether it serves a stand-in rather than DeepSeek V4.
        simulated: Whether nothing real answers.
        keep_running: Whether it outlives the process that launched it.
        launched_at: UTC, ISO 8601.
        launch_id: Tells this launch from later ones of the same name.
        health_path: Answers 200 when it is up.
        tokenize_path: Counts tokens, None where the engine has none.
        metrics_path: Prometheus text, None where the engine has none.
        phases: How long each phase of its start took, in order; empty where that is not known.
        host: Address it listens on.

    """

    name: str
    url: str
    model: str
    engine: str
    pid: int | None
    port: int
    api_key_file: str
    log: str
    ready_after_s: float | None
    stand_in: bool
    simulated: bool
    keep_running: bool
    launched_at: str
    launch_id: str
    health_path: str
    tokenize_path: str | None
    metrics_path: str | None
    host: str = processes.LOOPBACK
    phases: tuple[PhaseTime, ...] = ()

    @property
    def state(self) -> str:
        """``starting``, ``ready``, ``unsupervised`` (its supervisor is lost), ``ending``, ``ended`` or ``stale``.

        ``stale`` is a record whose processes are gone without a word: a reboot, or a kill of both.
        """
        record, running = self._record(), self.running
        known = self._processes()  # read last: the supervisor writes the end and goes
        if record is None:
            return "ended"
        closed = known is not None and known.finished
        if running and not (closed and known and not processes.lives(known.engine)):  # closed from elsewhere: it runs
            if known and not closed and (known.exit or (known.engine and not processes.lives(known.engine))):
                return "ending"
            if known is None or not processes.lives(known.supervisor, record.boot_id):
                return "unsupervised"
            return "ready" if self._folder.ready() else "starting"
        if known is not None and known.exit is not None:
            return "ended"
        return "starting" if known is None and self._folder.is_fresh() else "stale"

    @property
    def running(self) -> bool:
        """Whether any process of it runs."""
        record, known = self._record(), self._processes()
        if record is None or record.boot_id != processes.this_boot():
            return False
        if known is None:
            return bool(processes.members(None, self.launch_id))
        return processes.lives(known.engine) or (not known.finished and processes.lives(known.supervisor))

    def api_key(self) -> str:
        """The API key of this launch.

        Raises:
            UsageError: The server has ended, and its key with it.

        """
        with contextlib.suppress(OSError):
            if self._record() is not None:
                return Path(self.api_key_file).read_text(encoding="utf-8").strip()
        raise UsageError(f"The server {self.name!r} has ended, and its key with it.", remedy="Launch it again.")

    def wait_ready(self, on_event: Callable[[Event], None] | None = None) -> Server:
        """This server once it answers, where it is still starting; ``on_event`` is told as by ``launch``.

        Raises:
            UsageError: It has ended.
            EngineError: It ended before it was ready, or stalled.

        """
        from seatrial.server.waiting import wait_ready  # noqa: PLC0415 -- it needs this module

        return wait_ready(self, on_event=on_event)

    def alive(self) -> bool:
        """Whether its engine process runs; it may still hang: see ``responds``."""
        record, known = self._record(), self._processes()
        return record is not None and known is not None and processes.lives(known.engine, record.boot_id)

    def responds(self, timeout_s: float = HEALTH_S) -> bool:
        """Whether it answers its health check within ``timeout_s`` seconds."""
        if not self.alive():
            return False
        try:
            key, host = self.api_key(), near(self.host)
            reply = loopback.ask(self.port, self.health_path, key=key, host=host, timeout_s=timeout_s)
        except (*loopback.NO_ANSWER, UsageError):
            return False
        return reply.status == 200  # noqa: PLR2004 -- OK

    def metrics(self, timeout_s: float = HEALTH_S) -> ServerMetrics | None:
        """What it says of its requests, queue and KV cache; None where it says nothing within ``timeout_s`` seconds."""
        from seatrial.server.metrics import metrics_of  # noqa: PLC0415 -- only who asks needs it

        return metrics_of(self, timeout_s)

    def why_ended(self) -> Diagnosis | None:
        """Why it ended by itself; None while it runs, and where it was stopped on purpose."""
        known = self._processes()
        if (
            known is None
            or known.exit is None
            or known.exit.reason in {"stopped", "lease ended", "record deleted", "lost"}
        ):
            return None
        record = self._record()
        found = diagnose(known.exit, self.read_log(LOG_LINES), self.engine, record.checkpoint if record else None)
        plan = self._folder.plan() if found.cause in MEMORY else None
        if plan is None:
            return found
        from seatrial.server.failures.next_plan import next_step  # noqa: PLC0415 -- see the top

        return replace(found, remedy=next_step(plan, found)[0] or found.remedy)

    def read_log(self, lines: int = 100) -> list[str]:
        """The last lines of the engine's output, control characters escaped."""
        return log.tail(Path(self.log), lines)

    def follow_log(self, lines: int = 0) -> Iterator[str]:
        """The last lines of the engine's output, then new ones until it ends, control characters escaped."""
        return log.follow(Path(self.log), ended=lambda: not self.alive(), lines=lines)

    def stop(self, timeout_s: float = STOP_S) -> Stopped:
        """Stop it, and prove that every process of it is gone and its port is free.

        Only processes that are this launch's by identity are ever signalled.

        Raises:
            EngineError: Something of it is still there after ``timeout_s`` seconds.

        """
        stopping = Stopping(self._folder, self._record(), self.launch_id, self.port, self.host, timeout_s)
        return stopping.run(was_running=self.running)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _folder(self) -> ServerFolder:
        return folder_of(self.name)

    def _record(self) -> Record | None:
        """The record, None where a later launch took the name or it was cleared away."""
        record = self._folder.record()
        return record if record is not None and record.launch_id == self.launch_id else None

    def _processes(self) -> Processes | None:
        known = self._folder.processes()
        return known if known is not None and known.launch_id == self.launch_id else None
