"""Diagnoses why an engine failed: a named cause, the log lines that show it, and one remedy."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import EngineError
from seatrial.printable import printable
from seatrial.server.failures.reading import Finding, LogEnd, distinct
from seatrial.server.failures.table import during, failure_table
from seatrial.server.state import Exit

LOG_LINES = 4000  # last lines of a log that are read: eight ranks write hundreds after the first error
_EVIDENCE_LINES = 4
_LAST_LINES = 8
_SHELL_SIGNAL_BASE = 128
_SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}
_CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"})
UNKNOWN = "unknown"
GPU_MEMORY = "gpu out of memory"
HOST_MEMORY = "host out of memory"
MEMORY = frozenset({GPU_MEMORY, HOST_MEMORY, "out of memory"})  # the last if the log does not say which


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Cause of a failure, with its remedy.

    Attributes:
        cause: Short name; ``unknown`` if no pattern fits.
        what: The cause as a clause of a sentence.
        remedy: What to do next.
        evidence: The lines that show it; for an unknown cause the first and last error, or the last lines.
        phase: Phase of the engine's life in which it failed, by its log; empty if unknown.

    """

    cause: str
    what: str
    remedy: str
    evidence: tuple[str, ...]
    phase: str = ""


def diagnose(ended: Exit, lines: Sequence[str], engine: str, checkpoint: str | None = None) -> Diagnosis:
    """Name the cause of an engine's end.

    Args:
        ended: How it ended.
        lines: Its last log lines.
        engine: Engine id; some patterns are valid for one engine only.
        checkpoint: Checkpoint it served, for the remedy; None if that is not in the catalog.

    """
    found = _diagnosed(ended, lines, engine)
    return replace(found, remedy=_named(found.remedy, engine, checkpoint))


def _diagnosed(ended: Exit, lines: Sequence[str], engine: str) -> Diagnosis:
    if ended.error:
        return Diagnosis(
            "not started",
            f"the program could not be started ({ended.error})",
            "Install the engine again: seatrial engines install ENGINE.",
            (),
        )
    name, log = signal_of(ended), LogEnd(lines[-LOG_LINES:], engine)
    found = log.failure()
    if _killed_for_memory(ended, name, found):
        return Diagnosis(
            HOST_MEMORY,
            "the kernel killed it because memory ran out",
            "Use a smaller context (--context-tokens) or checkpoint, or raise the container's memory limit.",
            found.lines[:_EVIDENCE_LINES] if found else _last(log),
            found.phase if found else "",
        )
    if found is not None and found.row.kind == "vague":
        return _beside_vague(ended, name, found, log)
    if found is not None and found.row.kind == "consequence" and log.unexplained(found.at):
        return _unknown(ended, log)  # of the failure before it
    if found is not None:
        return _from_log(found)
    return _from_signal(name, log) or _unknown(ended, log)


def diagnose_log(log: LogEnd) -> Diagnosis | None:
    """Name the cause of an end by the log only; None if the log shows no failure that the engine did not survive."""
    found = log.failure()
    if found is None:
        return (
            Diagnosis(UNKNOWN, "the cause is not known", "Read the whole log.", _last(log)) if log.ends_badly else None
        )
    before = found.at if found.row.kind == "consequence" else None
    if found.row.kind in {"vague", "consequence"} and log.unexplained(before):
        return Diagnosis(UNKNOWN, "the cause is not known", "Read the whole log.", _last(log))
    return replace(_from_log(found), remedy=_named(found.row.remedy, log.engine, None))


def _beside_vague(ended: Exit, name: str | None, found: Finding, log: LogEnd) -> Diagnosis:
    """Diagnose an end of which the log only says that something failed.

    A crash tells more than that, and so does SIGTERM: workers that go down first leave such lines. SIGKILL tells no
    more, because engines end their own processes with it.
    """
    if name in _CRASHES:
        return _from_signal(name, log) or _from_log(found)
    if log.unexplained():
        return _unknown(ended, log)
    return (_from_signal(name, log) if name == "SIGTERM" else None) or _from_log(found)


def _named(remedy: str, engine: str, checkpoint: str | None) -> str:
    """Return the remedy with this engine and checkpoint in its commands."""
    install = engine_facts(engine).install if engine in engine_ids() else None
    names = {"install ENGINE": install and install.name, "fetch CHECKPOINT": checkpoint and shlex.quote(checkpoint)}
    for place, name in names.items():
        if name:
            remedy = remedy.replace(place, f"{place.partition(' ')[0]} {name}")
    return remedy


def ended_error(found: Diagnosis, engine: str, name: str) -> EngineError:
    """Return the error of a server that was ready and has ended by itself.

    Args:
        found: Diagnosis of its end.
        engine: Engine id.
        name: Name of the server.

    """
    return EngineError(
        "\n".join(
            [f"{engine} ended while it served: {found.what}.", *(f"  | {line[:300]}" for line in found.evidence)]
        ),
        remedy=f"{found.remedy} The whole log: seatrial logs {name}",
        cause=found.cause,
        evidence=found.evidence,
        phase=found.phase,
    )


def signal_of(ended: Exit) -> str | None:
    """Return the signal that ended it, also if a shell in between turned it into an exit code (128 + n)."""
    number = ended.signal
    if number is None and ended.code is not None and ended.code > _SHELL_SIGNAL_BASE:
        number = ended.code - _SHELL_SIGNAL_BASE
    return None if number is None else _SIGNAL_NAMES.get(number)


def how(ended: Exit) -> str:
    """Return how it ended, in words: ``exit code 1`` or ``SIGSEGV``."""
    if ended.signal is not None:
        return _SIGNAL_NAMES.get(ended.signal, f"signal {ended.signal}")
    if ended.code is None:
        return "nobody saw how" if ended.reason == "lost" else "not started"
    return f"exit code {ended.code}"


def _killed_for_memory(ended: Exit, name: str | None, found: Finding | None) -> bool:
    """Return True if the kernel counted an out-of-memory kill, and the engine or one of its processes was killed.

    A log that names another cause counts more: engines end their own processes with SIGKILL.
    """
    counted = ended.oom_kills.get("cgroup", ended.oom_kills.get("machine", 0)) > 0
    if found is None or not counted:
        return counted and name == "SIGKILL"
    return found.row.kind in {"consequence", "vague"}


def _from_log(found: Finding) -> Diagnosis:
    row, sentence = found.row, found.row.what
    if row.cause in MEMORY and not row.phase and during(found.phase):
        sentence = f"{sentence} {during(found.phase)}"
    return Diagnosis(row.cause, sentence, row.remedy, shown(found.lines[:_EVIDENCE_LINES]), found.phase)


def _from_signal(name: str | None, log: LogEnd) -> Diagnosis | None:
    for row in failure_table().failures:
        if row.signal and row.signal == name:
            return Diagnosis(row.cause, row.what, row.remedy, _last(log))
    return None


def _unknown(ended: Exit, log: LogEnd) -> Diagnosis:
    return Diagnosis(UNKNOWN, f"the cause is not known ({how(ended)})", "Read the whole log.", _last(log))


def _last(log: LogEnd) -> tuple[str, ...]:
    """Return the exceptions of unexplained tracebacks; else the last lines that report an error; else the last lines."""
    raised = distinct(log.unexplained())
    if raised:
        return shown(tuple(dict.fromkeys([*raised[:2], raised[-1]])))
    written = [line for line in log.lines if line.text.strip()]
    errors = [line for line in written if line.reports_error]
    return shown([line.text for line in (errors or written)[-_LAST_LINES:]])


def shown(lines: Sequence[str]) -> tuple[str, ...]:
    """Return log lines as evidence, control characters escaped."""
    return tuple(printable(line) for line in lines)
