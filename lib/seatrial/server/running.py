"""One server: ask how it is, read its log, stop it for good."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import UsageError
from seatrial.server import log, loopback, processes
from seatrial.server.address import reachable, url_host
from seatrial.server.failures.diagnosis import LOG_LINES, Diagnosis, diagnose
from seatrial.server.folder import folder_of
from seatrial.server.metrics import ServerMetrics, read_metrics
from seatrial.server.state import Identity, Processes, Ready, Record
from seatrial.server.stopping import STOP_S, Stopped, Stopping

_HEALTH_S = 2.0
_PUBLIC = (
    *("name", "url", "model", "engine", "pid", "port", "api_key_file", "log", "ready_after_s", "stand_in", "simulated"),
    *("keep_running", "launched_at", "launch_id", "health_path", "tokenize_path", "metrics_path", "host", "phases"),
)
_DELIBERATE = frozenset({"stopped", "lease ended", "record deleted", "lost"})
T = TypeVar("T")


class _Recorded(Generic[T]):
    """A field of the record, read through the server that holds it."""

    def __set_name__(self, owner: type[Server], name: str) -> None:
        self._name = name

    def __get__(self, server: Server, owner: type[Server]) -> T:
        value: T = getattr(server.record, self._name)
        return value


class Server:
    """One engine process on this machine, launched by this process or another.

    As a context manager it stops the server at the end.

    Args:
        record: What was started.
        engine: The engine's first process, None if it never started.
        ready: When the engine first answered, None before that.

    Attributes:
        name: Name, as in ``seatrial ps``.
        url: ``http://127.0.0.1:PORT``, without ``/v1``.
        model: Model id to ask for.
        engine: Engine id.
        pid: First process and process group of the engine, None if it never started.
        port: Port it listens on.
        api_key_file: File with the API key, readable by this user only.
        log: File with the engine's output.
        ready_after_s: Seconds from launch to the first token generated, None while it starts or if that was lost.
        stand_in: True if it serves a stand-in rather than DeepSeek V4.
        simulated: True if nothing real answers.
        keep_running: True if it outlives the process that launched it.
        launched_at: UTC, ISO 8601.
        launch_id: Tells this launch from later ones of the same name.
        health_path: Path that answers 200 when the engine is up.
        tokenize_path: Path that counts tokens, None if the engine has none.
        metrics_path: Path with Prometheus text, None if the engine has none.
        phases: Seconds of each phase of its start, in order; empty if unknown.
        host: Address it listens on.

    """

    name = _Recorded[str]()
    model = _Recorded[str]()
    engine = _Recorded[str]()
    port = _Recorded[int]()
    stand_in = _Recorded[bool]()
    simulated = _Recorded[bool]()
    keep_running = _Recorded[bool]()
    launched_at = _Recorded[str]()
    launch_id = _Recorded[str]()
    health_path = _Recorded[str]()
    tokenize_path = _Recorded[str | None]()
    metrics_path = _Recorded[str | None]()
    host = _Recorded[str]()

    def __init__(self, record: Record, engine: Identity | None = None, ready: Ready | None = None) -> None:
        self.record = record
        self._folder = folder_of(record.name)
        self.url = f"http://{url_host(record.host)}:{record.port}"
        self.pid = engine.pid if engine else None
        self.api_key_file, self.log = str(self._folder.key_file), str(self._folder.log_file)
        self.ready_after_s = ready.ready_after_s if ready else None
        self.phases = ready.phases if ready else ()

    def to_dict(self) -> dict[str, Any]:
        """Return the public fields by name: what of a server is kept in records."""
        return {name: getattr(self, name) for name in _PUBLIC}

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"Server({', '.join(fields)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Server) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.launch_id)

    @property
    def state(self) -> str:
        """``starting``, ``ready``, ``unsupervised`` (its supervisor is lost), ``ending``, ``ended``, ``stale`` or ``elsewhere``.

        ``stale`` is a record whose processes are gone without a word: a reboot, or a kill of both. ``elsewhere`` is one
        of another machine or container, whose processes cannot be seen from here: it may run.
        """
        record, known = self._record(), self._processes()
        if record is None or _of_another_machine(record):
            return "elsewhere" if record and not (known and known.finished) else "ended"
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
        """True if any process of it runs."""
        record, known = self._record(), self._processes()
        if record is None or record.boot_id != processes.this_boot():
            return False
        if known is None:
            return bool(processes.members(None, self.launch_id))
        return processes.lives(known.engine) or (not known.finished and processes.lives(known.supervisor))

    @property
    def age_s(self) -> float:
        """Seconds since its launch began."""
        return max(0.0, time.monotonic() - self.record.begun_s)

    @property
    def ours(self) -> bool:
        """True if this process launched it."""
        return self.record.owner == processes.myself()

    @property
    def abandoned(self) -> bool:
        """True if the process that launched it has ended and it was not to outlive that: it ends within seconds."""
        record = self._record()
        return record is not None and not record.keep_running and not processes.lives(record.owner, record.boot_id)

    def keep(self) -> None:
        """Let it outlive the process that launched it, from now on; end it with ``stop``."""
        record = self._record()
        if record is not None and not record.keep_running:
            self.record = replace(record, keep_running=True)
            self._folder.write_record(self.record)

    def api_key(self) -> str:
        """Return the API key of this launch.

        Raises:
            UsageError: If the server has ended, and its key with it.

        """
        with contextlib.suppress(OSError):
            if self._record() is not None:
                return self._folder.key_file.read_text(encoding="utf-8").strip()
        raise UsageError(f"The server {self.name!r} has ended, and its key with it.", remedy="Launch it again.")

    def alive(self) -> bool:
        """Return True if its engine process runs; the engine may still hang: see ``responds``."""
        record, known = self._record(), self._processes()
        return record is not None and known is not None and processes.lives(known.engine, record.boot_id)

    def responds(self, timeout_s: float = _HEALTH_S) -> bool:
        """Return True if it answers its health check within ``timeout_s`` seconds."""
        return self._ask(self.health_path, timeout_s) is not None

    def metrics(self, timeout_s: float = _HEALTH_S) -> ServerMetrics | None:
        """Return its requests, queue, KV cache and tokens; None if it does not answer within ``timeout_s`` seconds."""
        if self.metrics_path is None or self.engine not in engine_ids():
            return None
        reply = self._ask(self.metrics_path, timeout_s)
        if reply is None:
            return None
        return read_metrics(reply.body.decode(errors="replace"), engine_facts(self.engine).metrics)

    def why_ended(self) -> Diagnosis | None:
        """Return why it ended by itself; None while it runs, and if somebody stopped it."""
        known = self._processes()
        if known is None or known.exit is None or known.exit.reason in _DELIBERATE:
            return None
        return diagnose(known.exit, self.read_log(LOG_LINES), self.engine, self.record.checkpoint)

    def read_log(self, lines: int = 100) -> list[str]:
        """Return the last lines of the engine's output, control characters escaped."""
        return log.tail(Path(self.log), lines)

    def follow_log(self, lines: int = 0) -> Iterator[str]:
        """Yield the last lines of the engine's output, then new ones until it ends, control characters escaped."""
        return log.follow(Path(self.log), ended=lambda: not self.alive(), lines=lines)

    def stop(self, timeout_s: float = STOP_S) -> Stopped:
        """Stop it, and prove that every process of it is gone and its port is free.

        Only processes that are this launch's by identity are ever signalled.

        Raises:
            EngineError: If something of it still runs after ``timeout_s`` seconds.

        """
        stopping = Stopping(self._folder, self._record(), self.record, timeout_s)
        return stopping.run(was_running=self.running)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, path: str, timeout_s: float) -> loopback.HttpReply | None:
        try:
            if not self.alive():
                return None
            key, host = self.api_key(), reachable(self.host)
            reply = loopback.ask(self.port, path, key=key, host=host, timeout_s=timeout_s)
        except (*loopback.NO_ANSWER, UsageError):
            return None
        return reply if reply.status == HTTPStatus.OK else None

    def _record(self) -> Record | None:
        """Return the record; None if a later launch took the name, or somebody removed it."""
        record = self._folder.record()
        return record if record is not None and record.launch_id == self.launch_id else None

    def _processes(self) -> Processes | None:
        return self._folder.processes(self.launch_id)


def _of_another_machine(record: Record) -> bool:
    return record.boot_id != processes.this_boot() and record.machine not in {"", platform.node()}


@dataclass(frozen=True, slots=True)
class NotLaunched:
    """Stands in for a server if none was launched.

    Attributes:
        why: What is missing or too small.
        remedy: What would change that.

    """

    why: str
    remedy: str

    def __repr__(self) -> str:
        """Return a sentence: a notebook shows this."""
        return f"Nothing was launched: {self.why} {self.remedy}".strip()

    def stop(self) -> NotLaunched:
        """Do nothing: there is no server to stop."""
        return self
