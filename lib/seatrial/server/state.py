"""Records of a launched server: who asked, what was started, who runs, how it ended. They hold no secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its pid is valid only while the start time agrees, and within one boot."""

    pid: int
    start: str


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """Duration of one phase of a start."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StartConditions:
    """What is started where: starts under the same conditions take about as long."""

    engine: str  # engine id
    version: str  # of its package, empty if unknown
    checkpoint: str  # checkpoint id
    machine: str  # its GPUs or cores, and over how many ranks the model is split
    weights_bytes: int | None = None  # of the checkpoint, None if unknown


@dataclass(frozen=True, slots=True)
class Record:
    """What was started, by whom. Holds no secret."""

    name: str
    launch_id: str  # random; in the environment of every process of this launch as SEATRIAL_LAUNCH_ID
    engine: str  # engine id
    model: str  # model id it must list
    port: int
    argv: tuple[str, ...]  # program and arguments as started
    env: dict[str, str]  # variables added to the environment
    key_env: str | None  # variable the engine reads its key from, None if it takes a file
    owner: Identity  # the process whose end ends the lease
    keep_running: bool  # True if the engine outlives its owner
    boot_id: str  # boot of the machine in which it was started
    launched_at: str  # UTC, ISO 8601
    health_path: str  # paths as in ``Command``
    models_path: str
    tokenize_path: str | None
    metrics_path: str | None
    stand_in: bool  # True if it serves a stand-in rather than DeepSeek V4
    simulated: bool  # True if nothing real answers
    grace_s: float  # between TERM and KILL
    log_cap_bytes: int  # past which the log's tail moves aside
    subject: StartConditions | None = None
    host: str = "127.0.0.1"  # address it listens on
    keyed: bool = False  # True if the engine is known to refuse requests without its key
    begun_s: float = 0.0  # time.monotonic() at the launch: it never jumps, and is the same for every process of a boot
    machine: str = ""  # own name of the machine or container it was started on; empty if unknown
    shared: bool = True  # False if only whoever launched it is to use it

    @property
    def checkpoint(self) -> str | None:
        """Checkpoint of the plan that was launched, None if a command was."""
        return self.subject.checkpoint if self.subject and self.subject.weights_bytes else None


@dataclass(frozen=True, slots=True)
class Exit:
    """How an engine ended.

    ``reason`` is ``exited`` by itself, ``stopped`` on request, ``lease ended``, ``record deleted``, ``not started``, or
    ``lost`` (its processes are gone and nobody recorded their end).
    """

    reason: str
    code: int | None  # exit code, None if a signal ended it
    signal: int | None  # its number, None if the engine exited
    error: str  # why it could not be started at all
    oom_kills: dict[str, int]  # out-of-memory kills while it ran: in its ``cgroup``, on the ``machine``
    at: str  # UTC, ISO 8601


@dataclass(frozen=True, slots=True)
class Processes:
    """Who runs: the supervisor's record."""

    launch_id: str  # the launch this belongs to
    boot_id: str  # boot of the machine these pids belong to
    session: int | None  # of supervisor and engine, numbered after the supervisor; None if unknown (older records: 0)
    supervisor: Identity | None  # None if it never wrote a record
    engine: Identity | None  # first process and process group of the engine, None before its start
    exit: Exit | None  # end of the engine's first process, None while it runs
    finished: bool  # True once nothing of it is left


@dataclass(frozen=True, slots=True)
class Ready:
    """First answer of an engine."""

    ready_after_s: float | None  # from the start of the launch to the first token generated; None if that was lost
    phases: tuple[PhaseTime, ...] = ()  # in order; empty if nobody watched the start from its beginning
