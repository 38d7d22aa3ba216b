"""One server: ask how it is, read its log, stop it for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.engines.metrics import ServerMetrics, read_metrics
from seatrial.errors import UsageError
from seatrial.server import log, loopback, processes
from seatrial.server.address import near
from seatrial.server.failures.diagnosis import LOG_LINES, Diagnosis, diagnose
from seatrial.server.folder import ServerFolder, folder_of
from seatrial.server.state import PhaseTime, Processes, Record
from seatrial.server.stopping import STOP_S, Stopped, Stopping

_HEALTH_S = 2.0


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
        record, known = self._record(), self._processes()
        if record is None:
            return "ended"
        watched = known is not None and processes.lives(known.supervisor, record.boot_id)
        running, known = self.running, self._processes()  # read last: the supervisor writes the end, then goes
        closed = known is not None and known.finished
        if running and not (closed and known and not processes.lives(known.engine)):  # closed from elsewhere: it runs
            if known and not closed and (known.exit or (known.engine and not processes.lives(known.engine))):
                return "ending"
            if not watched:
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

    def alive(self) -> bool:
        """Whether its engine process runs; it may still hang: see ``responds``."""
        record, known = self._record(), self._processes()
        return record is not None and known is not None and processes.lives(known.engine, record.boot_id)

    def responds(self, timeout_s: float = _HEALTH_S) -> bool:
        """Return True if it answers its health check within ``timeout_s`` seconds."""
        return self._ask(self.health_path, timeout_s) is not None

    def metrics(self, timeout_s: float = _HEALTH_S) -> ServerMetrics | None:
        """Return its requests, queue and KV cache; None if it says nothing within ``timeout_s`` seconds."""
        if self.metrics_path is None or self.engine not in engine_ids():
            return None
        reply = self._ask(self.metrics_path, timeout_s)
        if reply is None:
            return None
        return read_metrics(reply.body.decode(errors="replace"), engine_facts(self.engine).metrics)

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
        return diagnose(known.exit, self.read_log(LOG_LINES), self.engine, record.checkpoint if record else None)

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

    def _ask(self, path: str, timeout_s: float) -> loopback.HttpReply | None:
        if not self.alive():
            return None
        try:
            key, host = self.api_key(), near(self.host)
            reply = loopback.ask(self.port, path, key=key, host=host, timeout_s=timeout_s)
        except (*loopback.NO_ANSWER, UsageError):
            return None
        return reply if reply.status == HTTPStatus.OK else None

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


@dataclass(frozen=True, slots=True)
class NotLaunched:
    """In place of a server where none was launched.

    Attributes:
        why: What is missing or too small.
        remedy: What would change that.

    """

    why: str
    remedy: str

    def __repr__(self) -> str:
        """As a sentence: this is what a notebook shows."""
        return f"Nothing was launched: {self.why} {self.remedy}".strip()

    def stop(self) -> NotLaunched:
        """Nothing to stop."""
        return self
