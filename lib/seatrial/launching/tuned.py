"""What ``seatrial tune`` found on this machine, kept for it, and given to every plan that is launched here.

A result is one JSON file in ``<state>/tuned/``, named after what it holds for: this machine (CPU,
cores, memory, GPUs, driver), the engine's program and version, and the kind of checkpoint. When any
of these changes, the file is simply not found any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial import paths
from seatrial.errors import SeatrialError, UsageError
from seatrial.records import Reason, from_dict, read_json, to_dict, write_json
from seatrial.units import to_gib

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.hardware.types import Hardware
    from seatrial.plan.types import Plan

_SOURCE = "seatrial tune, on this machine"

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class TunedMachine:
    """What of a machine decides which settings are fast.

    Attributes:
        cpu: Model name.
        cores: Physical cores this process may use.
        memory_gib: Memory it may use, in whole GiB: the last digits change from boot to boot.
        gpus: Names, one a GPU.
        driver: GPU driver.

    """

    cpu: str | None
    cores: int | None
    memory_gib: int | None
    gpus: tuple[str, ...]
    driver: str | None


@dataclass(frozen=True, slots=True)
class TunedSubject:
    """What a tuned result holds for.

    Attributes:
        machine: This machine.
        engine: Engine id.
        program: Package or program that runs it.
        version: Its version, None where it does not tell.
        architecture: Of the model.
        precision: Of the checkpoint.
        size_class: Weights between ``2**n`` and ``2**(n+1)`` bytes; None where not known.

    """

    machine: TunedMachine
    engine: str
    program: str
    version: str | None
    architecture: str
    precision: str
    size_class: int | None

    @property
    def path(self) -> Path:
        """File of its result, whether or not there is one."""
        digest = hashlib.sha256(repr(to_dict(self)).encode()).hexdigest()[:16]
        return folder() / f"{self.engine}-{digest}.json"


@dataclass(frozen=True, slots=True)
class TunedReading:
    """One short measurement of one server.

    Attributes:
        settings: What differed from the default; empty for the default itself.
        tokens_per_s: Output tokens per second over the steady window; None where it failed.
        why: What failed.
        took_s: Seconds the load took, starting the server not counted.

    """

    settings: dict[str, str]
    tokens_per_s: float | None
    why: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """Measurements taken one right after the other, so that a busy machine was busy for all of them."""

    streams: int
    readings: tuple[TunedReading, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """What was found for a number of streams.

    Attributes:
        streams: Requests at once.
        settings: What to change; empty where nothing was better than the default beyond the noise.
        gain: Tokens per second over the default's, median of pairs; 1.0 where nothing is changed.
        gain_low: The least it is at about 95 %.
        spread: How far one pair lies from the next, as a share (one standard deviation, robust).
        pairs: Pairs the gain rests on.
        tokens_per_s: Best seen with these settings.
        default_tokens_per_s: Best seen with the default.

    """

    streams: int
    settings: dict[str, str]
    gain: float
    gain_low: float
    spread: float | None
    pairs: int
    tokens_per_s: float | None
    default_tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result for a subject, with everything it was made from. Its figures are measured.

    Attributes:
        subject: What it holds for.
        checkpoint: What was served.
        default: What the default sets, by setting.
        levels: One a number of streams, ascending.
        rounds: Every measurement.
        measured_at: UTC, ISO 8601.
        spent_s: Seconds it took, over all runs.
        complete: Whether the search came to its end; one that did not is gone on with.
        simulated: Whether no model was behind it.
        prompt_tokens: Of the load it was measured with.
        answer_tokens: Likewise.

    """

    subject: TunedSubject
    checkpoint: str
    default: dict[str, str]
    levels: tuple[Level, ...]
    rounds: tuple[Round, ...]
    measured_at: str
    spent_s: float
    complete: bool
    simulated: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0

    def level(self, streams: int) -> Level | None:
        """The level for so many requests at once: the nearest at or above, else the highest; None without any."""
        above = [level for level in self.levels if level.streams >= streams]
        return min(above, key=_streams) if above else max(self.levels, key=_streams, default=None)


def folder() -> Path:
    """Where results lie; not created here."""
    return paths.state_dir().absolute() / "tuned"


def subject_of(plan: Plan, runner: str | None = None) -> TunedSubject:
    """What a plan would be tuned for, with the program that is installed here.

    Args:
        plan: For this machine.
        runner: For llama.cpp the way it is run, None for what is here.

    Raises:
        EngineMissingError: The engine is not here.
        RefusedError: It is too old.

    """
    from seatrial.catalog import find_checkpoint, find_model
    from seatrial.programs.find import find_program, installed_command

    command = installed_command(plan, runner=runner)
    checkpoint = find_checkpoint(plan.checkpoint)
    weights = checkpoint.weights_bytes
    return TunedSubject(
        machine=_machine_of(plan.hardware),
        engine=plan.engine,
        program=command.program,
        version=find_program(command).version,
        architecture=find_model(plan.model).architecture,
        precision=checkpoint.precision,
        size_class=weights.bit_length() - 1 if weights else None,
    )


def _machine_of(hardware: Hardware) -> TunedMachine:
    """What of it decides which settings are fast."""
    memory = hardware.host.usable_memory_bytes
    return TunedMachine(
        cpu=hardware.host.cpu,
        cores=hardware.host.cores,
        memory_gib=None if memory is None else round(to_gib(memory)),
        gpus=tuple(gpu.name for gpu in hardware.gpus),
        driver=hardware.driver,
    )


def read_tuned(subject: TunedSubject) -> Tuned | None:
    """The result for a subject; None where there is none, or none that makes sense (which is set aside)."""
    path = subject.path
    try:
        found = from_dict(Tuned, read_json(path))
        _check_values(found)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        if not isinstance(error.__cause__, OSError):
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(".unreadable"))
        log.warning("The tuned settings in %s are not used: %s", path, error.what)
        return None
    return found if found.subject == subject else None


def _check_values(tuned: Tuned) -> None:
    from seatrial.engines.settings import check_value

    for level in tuned.levels:
        for name, value in level.settings.items():
            check_value(name, value)


def write_tuned(tuned: Tuned) -> Path:
    """Keep a result in place of an earlier one, whole or not at all.

    Raises:
        UsageError: The folder cannot be written.

    """
    paths.private_dir(folder())
    write_json(tuned.subject.path, tuned, mode=0o600)
    return tuned.subject.path


def forget_tuned(subject: TunedSubject) -> bool:
    """Remove the result for a subject; whether there was one."""
    try:
        subject.path.unlink()
    except FileNotFoundError:
        return False
    return True


def tuned_plan(plan: Plan, runner: str | None = None) -> Plan:
    """The plan with the settings that were measured to be the fastest here, and a reason that says so.

    Args:
        plan: Any plan; one for another machine, or without a result, comes back as it is.
        runner: For llama.cpp the way it will be run, None for what is here.

    """
    if not plan.runs or plan.settings or plan.hardware.only_named or not _any_for(plan.engine):
        return plan
    try:
        found = read_tuned(subject_of(plan, runner))
    except SeatrialError:  # the engine is missing or too old: whoever launches it will be told
        return plan
    level = found.level(plan.concurrency) if found else None
    settings = _carried(plan, level) if level else {}
    if found is None or level is None or not settings:
        return plan
    return replace(plan, settings=settings, reasons=(*plan.reasons, _reason(found, level, settings)))


def _any_for(engine: str) -> bool:
    return any(folder().glob(f"{engine}-*.json"))


def _carried(plan: Plan, level: Level) -> dict[str, str]:
    """The settings of a level; those that follow from its number of streams only for a plan with that number."""
    from seatrial.engines.settings import settings_of

    rows = settings_of(plan.engine)
    same = level.streams == plan.concurrency
    return {
        name: value
        for name, value in level.settings.items()
        if name in rows and (same or not (rows[name].with_flag or any("streams" in text for text in rows[name].values)))
    }


def _reason(tuned: Tuned, level: Level, settings: dict[str, str]) -> Reason:
    changed = ", ".join(f"{name} {value}" for name, value in settings.items())
    gain = f"{level.gain - 1:.0%} more tokens/s than the defaults at {level.streams} at once"
    what = " on the simulator" if tuned.simulated else ""
    return Reason(f"{changed}: {gain}, measured here{what} on {tuned.measured_at[:10]}.", "measured", _SOURCE)


def _streams(level: Level) -> int:
    return level.streams
