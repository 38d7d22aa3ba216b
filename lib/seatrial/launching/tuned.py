"""Keeps what ``seatrial tune`` found on this machine, and gives it to every plan that is launched on it.

A result is one JSON file in ``<state>/tuned/``, named after its subject: this machine (CPU, cores, memory, GPUs,
driver), the engine's program and version, and the kind of checkpoint. After a change of any of these nobody finds the
file any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial import paths
from seatrial.catalog import find_checkpoint
from seatrial.catalog.find import model_of
from seatrial.engines.settings import check_value, settings_of
from seatrial.errors import SeatrialError, UsageError
from seatrial.hardware.types import Hardware
from seatrial.plan.types import Plan
from seatrial.programs.find import find_program, installed_command
from seatrial.records import Reason, from_dict, read_json, to_dict, write_json
from seatrial.units import to_gib

_SOURCE = "seatrial tune, on this machine"

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class TunedMachine:
    """Properties of a machine that decide which settings are fast."""

    cpu: str | None  # model name
    cores: int | None  # physical ones this process may use
    memory_gib: int | None  # memory it may use, in full GiB: the last digits change from boot to boot
    gpus: tuple[str, ...]  # names, one a GPU
    driver: str | None  # of the GPUs


@dataclass(frozen=True, slots=True)
class TunedSubject:
    """Machine, engine and kind of checkpoint that a result is valid for."""

    machine: TunedMachine
    engine: str
    program: str  # package or program that runs it
    version: str | None  # of the program, None if unknown
    architecture: str  # of the model
    precision: str  # of the checkpoint
    size_class: int | None  # weights between 2**n and 2**(n+1) bytes; None if unknown

    @property
    def path(self) -> Path:
        """File of its result, which need not exist."""
        digest = hashlib.sha256(repr(to_dict(self)).encode()).hexdigest()[:16]
        return folder() / f"{self.engine}-{digest}.json"


@dataclass(frozen=True, slots=True)
class TunedReading:
    """One short measurement of one server."""

    settings: dict[str, str]  # difference from the default; empty for the default itself
    tokens_per_s: float | None  # output tokens over the steady window; None if it failed
    why: str = ""  # why it failed
    took_s: float = 0.0  # duration of the load, without the start of the server


@dataclass(frozen=True, slots=True)
class Round:
    """Measurements taken one right after the other, so that a busy machine was busy for all of them."""

    streams: int
    readings: tuple[TunedReading, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """Result for a number of streams."""

    streams: int  # requests at once
    settings: dict[str, str]  # changes to make; empty if nothing beat the default beyond the noise
    gain: float  # tokens per second over the default's, median of pairs; 1.0 without changes
    gain_low: float  # lower end of the 95 % range
    spread: float | None  # from pair to pair, as a share (one standard deviation, robust)
    pairs: int  # that the gain rests on
    tokens_per_s: float | None  # best seen with these settings
    default_tokens_per_s: float | None  # best seen with the default


@dataclass(frozen=True, slots=True)
class Tuned:
    """Result for a subject, with every measurement behind it."""

    subject: TunedSubject
    checkpoint: str  # that was served
    default: dict[str, str]  # values of the default, by setting
    levels: tuple[Level, ...]  # one a number of streams, ascending
    rounds: tuple[Round, ...]  # every measurement
    measured_at: str  # UTC, ISO 8601
    spent_s: float  # over all runs
    complete: bool  # False if the search goes on at the next run
    simulated: bool = False
    prompt_tokens: int = 0  # of the load it was measured with
    answer_tokens: int = 0

    def level(self, streams: int) -> Level | None:
        """Return the level for so many requests at once: the nearest at or above, else the highest; None without any."""
        above = [level for level in self.levels if level.streams >= streams]
        return min(above, key=_streams) if above else max(self.levels, key=_streams, default=None)


def folder() -> Path:
    """Return the folder of results, which need not exist."""
    return paths.state_dir() / "tuned"


def subject_of(plan: Plan, runner: str | None = None) -> TunedSubject:
    """Return the subject of a plan, with the program that is installed on this machine.

    Args:
        plan: A plan for this machine.
        runner: The way to run llama.cpp, None for an installed one.

    Raises:
        EngineMissingError: If the engine is not installed.
        RefusedError: If it is too old.

    """
    command = installed_command(plan, runner=runner)
    checkpoint = find_checkpoint(plan.checkpoint)
    weights = checkpoint.weights_bytes
    return TunedSubject(
        machine=_machine_of(plan.hardware),
        engine=plan.engine,
        program=command.program,
        version=find_program(command).version,
        architecture=model_of(checkpoint).architecture,
        precision=checkpoint.precision,
        size_class=weights.bit_length() - 1 if weights else None,
    )


def _machine_of(hardware: Hardware) -> TunedMachine:
    """Return the properties that decide which settings are fast."""
    memory = hardware.host.usable_memory_bytes
    return TunedMachine(
        cpu=hardware.host.cpu,
        cores=hardware.host.cores,
        memory_gib=None if memory is None else round(to_gib(memory)),
        gpus=tuple(gpu.name for gpu in hardware.gpus),
        driver=hardware.driver,
    )


def read_tuned(subject: TunedSubject) -> Tuned | None:
    """Return the result for a subject; None without one, or if it made no sense and was therefore set aside.

    Raises:
        UsageError: If this user cannot read it.

    """
    path = subject.path
    try:
        found = from_dict(Tuned, read_json(path))
        _check_values(found)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        if isinstance(error.__cause__, OSError):
            raise paths.cannot_read(path, error.__cause__) from error
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".unreadable"))
        log.warning("The tuned settings in %s are not used: %s", path, error.what)
        return None
    return found if found.subject == subject else None


def _check_values(tuned: Tuned) -> None:
    for level in tuned.levels:
        for name, value in level.settings.items():
            check_value(name, value)


def write_tuned(tuned: Tuned) -> Path:
    """Write a result in place of an earlier one, atomically.

    Raises:
        UsageError: If the folder cannot be written.

    """
    paths.private_dir(folder())
    write_json(tuned.subject.path, tuned, mode=0o600)
    return tuned.subject.path


def forget_tuned(subject: TunedSubject) -> bool:
    """Remove the result for a subject, and return True if there was one."""
    try:
        subject.path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise paths.cannot_read(subject.path, error) from error
    return True


def tuned_plan(plan: Plan, runner: str | None = None) -> Plan:
    """Return the plan with the settings measured to be the fastest on this machine, and a reason that names them.

    Args:
        plan: Any plan; one for another machine, or without a result, comes back unchanged.
        runner: The way to run llama.cpp, None for an installed one.

    """
    if not plan.runs or plan.settings or plan.hardware.only_named or not _any_for(plan.engine):
        return plan
    try:
        subject = subject_of(plan, runner)
    except SeatrialError:  # the engine is missing or too old: its launch explains that
        return plan
    found = read_tuned(subject)
    level = found.level(plan.concurrency) if found else None
    settings = _carried(plan, level) if level else {}
    if found is None or level is None or not settings:
        return plan
    return replace(plan, settings=settings, reasons=(*plan.reasons, _reason(found, level, settings)))


def _any_for(engine: str) -> bool:
    return any(path.name.startswith(f"{engine}-") and path.suffix == ".json" for path in paths.content_of(folder()))


def _carried(plan: Plan, level: Level) -> dict[str, str]:
    """Return a level's settings; those that follow from its number of streams only for a plan with that number."""
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
