"""What is known of a launched server: who asked, what was started, who runs, how it ended. Holds no secret."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: its pid means it only as long as the start time agrees, and within one boot."""

    pid: int
    start: str


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """How long one phase of a start took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StartConditions:
    """What is started where: starts with the same one take about as long.

    Attributes:
        engine: Engine id.
        version: Of its package, empty where it does not say.
        checkpoint: Checkpoint id.
        machine: Its GPUs or cores, and over how many ranks the model is split.
        weights_bytes: Bytes of the weights, None where not known.

    """

    engine: str
    version: str
    checkpoint: str
    machine: str
    weights_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What was started, by whom. Holds no secret.

    Attributes:
        name: Name of the server.
        launch_id: Random; also in the environment of every process of this launch (SEATRIAL_LAUNCH_ID).
        engine: Engine id.
        model: Model id it must list.
        port: Port it listens on.
        argv: Program and arguments as started.
        env: Environment variables added.
        key_env: Variable the engine reads its key from, None where it takes a file.
        owner: The process whose end ends the lease.
        keep_running: Whether the engine outlives its owner.
        boot_id: Boot of the machine in which it was started.
        launched_at: UTC, ISO 8601.
        begun_s: ``time.monotonic()`` of that moment, the same for every process of this boot: it never jumps.
        health_path: See ``Command``; likewise the other paths.
        grace_s: Seconds between TERM and KILL.
        log_cap_bytes: Size past which the log's tail moves aside.
        stand_in: Whether it serves a stand-in rather than DeepSeek V4.
        simulated: Whether nothing real answers.
        host: Address it listens on.
        keyed: Whether the engine is known to refuse requests without its key.
        machine: What the machine or container calls itself that it was started on; empty where nobody noted it.

    """

    name: str
    launch_id: str
    engine: str
    model: str
    port: int
    argv: tuple[str, ...]
    env: dict[str, str]
    key_env: str | None
    owner: Identity
    keep_running: bool
    boot_id: str
    launched_at: str
    health_path: str
    models_path: str
    tokenize_path: str | None
    metrics_path: str | None
    stand_in: bool
    simulated: bool
    grace_s: float
    log_cap_bytes: int
    subject: StartConditions | None = None
    host: str = "127.0.0.1"
    keyed: bool = False
    begun_s: float = 0.0
    machine: str = ""

    @property
    def checkpoint(self) -> str | None:
        """Checkpoint of the plan that was launched, None where a command was."""
        return self.subject.checkpoint if self.subject and self.subject.weights_bytes else None


@dataclass(frozen=True, slots=True)
class Exit:
    """How an engine ended.

    Attributes:
        reason: ``exited`` by itself, ``stopped`` on request, ``lease ended``, ``record deleted``,
            ``not started``, or ``lost`` (gone without a word).
        code: Exit code, None where a signal ended it.
        signal: Signal number, None where it exited.
        error: Why it could not be started at all.
        oom_kills: Out-of-memory kills while it ran: in its ``cgroup``, on the ``machine``.
        at: UTC, ISO 8601.

    """

    reason: str
    code: int | None
    signal: int | None
    error: str
    oom_kills: dict[str, int]
    at: str


@dataclass(frozen=True, slots=True)
class Processes:
    """Who runs; what the supervisor knows.

    Attributes:
        launch_id: The launch this belongs to.
        boot_id: Boot of the machine these pids belong to.
        session: Session of supervisor and engine, numbered after the supervisor; None where that never said a word
            (older records say 0).
        supervisor: The supervisor, None where it never said a word.
        engine: The engine's first process and process group, None before it is started.
        exit: How the engine's first process ended, None while it runs.
        finished: Whether nothing of it is left.

    """

    launch_id: str
    boot_id: str
    session: int | None
    supervisor: Identity | None
    engine: Identity | None
    exit: Exit | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """That it truly answered once.

    Attributes:
        ready_after_s: Seconds from the start of the launch to the first token generated; None where that was lost.
        notes: What a person should know of the way there.
        phases: How long each phase of the start took, in order; empty where nobody watched it from the beginning.

    """

    ready_after_s: float | None
    notes: tuple[str, ...] = field(default=())
    phases: tuple[PhaseTime, ...] = ()
