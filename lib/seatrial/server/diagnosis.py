"""Why an engine failed: a named cause, the log lines it rests on, and one remedy."""

from __future__ import annotations

import re
import signal
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import Failure, engine_facts, engine_ids
from seatrial.records import from_dict
from seatrial.server.state import Exit

LOG_LINES = 400
EVIDENCE_LINES = 3
LAST_LINES = 8
SHELL_SIGNAL_BASE = 128
SIGNAL_NAMES = {number.value: number.name for number in signal.Signals}
# llama.cpp marks the level of each line: "0.00.003.630 E gguf_init: ...".
_ERROR_LINE = re.compile(r"^[\d.]+ E |\b(ERROR|CRITICAL|FATAL)\b|^\w*(Error|Exception)\b")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What went wrong.

    Attributes:
        cause: Short name; ``unknown`` where no pattern fits.
        what: The cause as a clause of a sentence.
        remedy: What to do next.
        evidence: The lines it rests on; for an unknown cause the last ones.

    """

    cause: str
    what: str
    remedy: str
    evidence: tuple[str, ...]


def diagnose(ended: Exit, lines: list[str], engine: str) -> Diagnosis:
    """Name the cause of an engine's end.

    Args:
        ended: How it ended.
        lines: Its last log lines.
        engine: Engine id; some patterns mean something for one engine only.

    """
    if ended.error:
        return Diagnosis(
            "not started", f"the program could not be started ({ended.error})", "Install the engine again.", ()
        )
    name = signal_of(ended)
    if name == "SIGKILL" and ended.oom_kills.get("cgroup", ended.oom_kills.get("machine", 0)) > 0:
        return Diagnosis(
            "host out of memory",
            "the kernel killed it because memory ran out",
            "Use a smaller context (--context-tokens) or checkpoint, or raise the container's memory limit.",
            _last(lines),
        )
    return _from_log(lines, engine) or _from_signal(name, lines) or _unknown(ended, lines)


def signal_of(ended: Exit) -> str | None:
    """The signal that ended it, also where a shell in between turned it into an exit code (128 + n)."""
    number = ended.signal
    if number is None and ended.code is not None and ended.code > SHELL_SIGNAL_BASE:
        number = ended.code - SHELL_SIGNAL_BASE
    return None if number is None else SIGNAL_NAMES.get(number)


def how(ended: Exit) -> str:
    """``exit code 1`` or ``SIGSEGV``, as it happened."""
    if ended.signal is not None:
        return SIGNAL_NAMES.get(ended.signal, f"signal {ended.signal}")
    return "not started" if ended.code is None else f"exit code {ended.code}"


@cache
def common_failures() -> tuple[Failure, ...]:
    """Rows of failures.toml: what any engine can show."""
    rows = tomllib.loads(Path(__file__).with_name("failures.toml").read_text(encoding="utf-8"))["failures"]
    return tuple(from_dict(Failure, row) for row in rows)


def known_failures(engine: str) -> tuple[Failure, ...]:
    """What this engine can show, its own first; the first that is found decides."""
    own = engine_facts(engine).failures if engine in engine_ids() else ()
    return (*own, *common_failures())


def _from_log(lines: list[str], engine: str) -> Diagnosis | None:
    recent = lines[-LOG_LINES:]
    for row in known_failures(engine):
        found = tuple(line for line in recent if row.pattern and re.search(row.pattern, line))
        if found:
            return Diagnosis(row.cause, row.what, row.remedy, found[-EVIDENCE_LINES:])
    return None


def _from_signal(name: str | None, lines: list[str]) -> Diagnosis | None:
    for row in common_failures():
        if row.signal and row.signal == name:
            return Diagnosis(row.cause, row.what, row.remedy, _last(lines))
    return None


def _unknown(ended: Exit, lines: list[str]) -> Diagnosis:
    return Diagnosis("unknown", f"the cause is not known ({how(ended)})", "Read the whole log.", _last(lines))


def _last(lines: list[str]) -> tuple[str, ...]:
    """The last lines that report an error, else the last ones at all."""
    written = [line for line in lines[-LOG_LINES:] if line.strip()]
    errors = [line for line in written if _ERROR_LINE.search(line)]
    return tuple((errors or written)[-LAST_LINES:])
