"""Explains any engine's log, also one of another machine: what failed and what to do, or that it is well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import UnknownNameError
from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET, masked, secrets_of
from seatrial.server.failures.diagnosis import UNKNOWN, Diagnosis, diagnose_log
from seatrial.server.failures.gpus import processor_lines, without_gpus
from seatrial.server.failures.log_file import read_log_text
from seatrial.server.failures.reading import LogEnd
from seatrial.server.failures.table import WEIGHTS
from seatrial.server.failures.wrapping import WrittenLine, unwrapped
from seatrial.server.phases import compiled

_SIGN_WEIGHT = 3  # of a line that only this engine writes, against one that looks like one of its phases
_LONGEST = 300
_LAST_LINES = 4
_MOST_STARTS = 10  # that are looked at, the last ones
_NO_START = "the cause is not known, and the log shows no start of an engine known here"
_NAME_IT = "Give the whole log, or name the engine: --engine."
_STOPPED = re.compile(
    r"Application shutdown complete|Finished server process|\b[Ss]hutting down\b|cleaning up before exit|"
    r"[Rr]eceived (SIGTERM|SIGINT|signal to terminate)|Gracefully stopping"
)
_KILLED = re.compile(
    r"\bKilled process (?P<pid>\d+)\b[^(]*\((?P<process>[^)]*)\)|"
    r"^(?P<unit>\S+): (?:Failed with result 'oom-kill'|.*killed by the OOM killer)"
)
_NO_ENGINES = {"systemd", "init.scope"}  # they name an engine's unit
_OWN_PIDS = re.compile(r"\bpid=(\d+)|\bprocess \[(\d+)\]")  # (EngineCore pid=91), Started server process [7]
State = Literal["failed", "unknown", "stopped", "serving", "starting", "unrecognised"]
_STATES = get_args(State)  # the one that tells most first
_LOOKS_BAD = re.compile(
    r"\b(error|fatal|traceback|exception|killed|denied|abort(ed)?|segfault|core dumped|no such file|not found)\b",
    re.IGNORECASE,
)
_WELL = {
    "stopped": "Its log shows no failure: it was ready, and was asked to end.",
    "serving": "Its log shows no failure: it is ready and serves.",
    "unrecognised": "It names no failure, and no engine known here wrote it.",
    "starting": "Its log shows no failure: it is still starting, as far as the log goes ({place}).",
}
_LONG = "The log is long: only its beginning and its end were read."
_NEXT = {
    "starting": "If it does not run any more, something ended it without a word: look at dmesg and the container's memory.",
    "unrecognised": _NAME_IT,
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a log shows.

    Attributes:
        log: Path of the file as given, ``-`` for standard input.
        engine: Engine id; None if the log does not show which engine wrote it.
        guessed: True if the log shows the engine, False if it was given.
        state: ``failed``, ``unknown`` (it failed, and nothing known fits), ``stopped``, ``serving``,
            ``starting``, or ``unrecognised`` (no failure, and no engine known here).
        cause: Short name of the cause as in docs/failures.md; None if nothing failed.
        what: The finding as a sentence.
        remedy: What to do next; empty if nothing failed.
        evidence: The lines that show it, control characters escaped.
        phase: Phase of the engine's life in which it failed or is, empty if unknown.
        who: Container, unit or rank that wrote these lines; empty if one process wrote the log.
        notes: What else a person should know, one sentence each.

    """

    log: str
    engine: str | None
    guessed: bool
    state: State
    cause: str | None
    what: str
    remedy: str = ""
    evidence: tuple[str, ...] = ()
    phase: str = ""
    who: str = ""
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """True if the log shows a failure, known or not."""
        return self.state in {"failed", "unknown"}


@dataclass(frozen=True, slots=True)
class _Part:
    """The lines of one writer: what they show."""

    who: str
    log: LogEnd
    places: tuple[int, ...]  # of the lines in the file
    recognised: bool  # True if they look like the engine's
    found: Diagnosis | None
    starts: int = 1
    earlier: bool = False  # True if there are more, of which nobody looked how they went

    @property
    def state(self) -> State:
        if self.found is not None:
            return "unknown" if self.found.cause == UNKNOWN else "failed"
        if not self.recognised and not self.log.works:
            return "unrecognised"
        if any(_STOPPED.search(line.text) for line in self.log.lines[self.log.begin :]):
            return "stopped"
        return "serving" if self.log.works else "starting"

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sort key: what failed for a known reason first, then what is the least a consequence, then what came first."""
        failure = self.log.failure()
        at = self.places[failure.at] if failure else 0
        return _STATES.index(self.state), _weight(self.log), at


def explain(log: str | Path, engine: str | None = None) -> Explanation:
    """Explain the log of an engine, of any machine or container: its failure and the remedy, or that it is well.

    Prefixes of Docker, Kubernetes, journald and Slurm are taken off; the file may be compressed or in UTF-16. Of a long
    one both ends are read.

    Args:
        log: Path of the file; ``-`` reads standard input.
        engine: Engine id; by default the log shows which engine wrote it.

    Raises:
        UnknownNameError: If there is no such engine.
        UsageError: If the file is no ordinary file, cannot be read, is empty, or holds no text.

    """
    if engine is not None and engine not in engine_ids():
        raise UnknownNameError("engine", engine, engine_ids())
    name = str(log)
    text = read_log_text(name)
    written = unwrapped(text.lines)
    guess = engine or guess_engine([row.text for rows in written.values() for row in rows])
    parts = [_part(who, rows, guess) for who, rows in written.items()]
    if engine and not any(part.recognised for part in parts):
        parts = [replace(part, recognised=True) for part in parts]
    part = _processor_found(_killed_found(_worst(parts), written, guess), guess)
    notes = [_LONG] if text.left_out else []
    if part.starts > 1:
        least = "at least " if part.earlier else ""
        notes.append(f"The log holds {least}{part.starts} starts; this is the last one that shows how it went.")
    if not part.found and guess and (said := processor_lines([line.text for line in part.log.lines], guess)):
        notes.append(f"It computes on the processor: {_safe(said[-1])}")
    return _explained(name, guess, part, guessed=engine is None, notes=notes)


def guess_engine(lines: Sequence[str]) -> str | None:
    """Return the engine whose own words are in these lines most often, None if none are."""
    scores = {engine: _score(engine, lines) for engine in engine_ids()}
    best = max(scores, key=lambda engine: scores[engine])
    return best if scores[best] else None


def _score(engine: str, lines: Sequence[str]) -> int:
    facts = engine_facts(engine)
    words = [facts.log.names] if facts.log else []
    own_words = [compiled(pattern) for pattern in (*words, *(row.pattern for row in facts.failures if row.pattern))]
    phases = [compiled(row.pattern) for row in facts.phases]
    cut = [line[:_LONGEST] for line in lines]
    own = sum(any(pattern.search(line) for pattern in own_words) for line in cut)
    return own and own * _SIGN_WEIGHT + sum(any(pattern.search(line) for pattern in phases) for line in cut)


def _part(who: str, rows: Sequence[WrittenLine], engine: str | None) -> _Part:
    """Return what the lines of one writer show: of several starts the last one that tells more than that it began."""
    signs = engine_facts(engine).log if engine else None
    starts, earlier = _starts(rows, engine or "", signs.begins if signs else "")
    for chosen in reversed(starts):
        lines = [row.text for row in chosen]
        log = LogEnd(lines, engine or "")
        own = engine is not None and who not in _NO_ENGINES and _score(engine, lines) > 0
        begun = log.works or (own and (log.place.index >= 0 or any(line.informs for line in log.lines)))
        found = diagnose_log(log) or (None if begun else _bad_looking(log))
        part = _Part(who, log, tuple(row.at for row in chosen), own, found, len(starts), earlier)
        if part.state != "starting":
            break
    return part


def _bad_looking(log: LogEnd) -> Diagnosis | None:
    """Return the lines that look like a failure of an engine that did not even begin; None if there are none."""
    bad = [log.lines[at].text for at in log.candidates if _LOOKS_BAD.search(log.lines[at].message)]
    return Diagnosis(UNKNOWN, _NO_START, _NAME_IT, tuple(bad[-_LAST_LINES:])) if bad else None


def _starts(rows: Sequence[WrittenLine], engine: str, begins: str) -> tuple[list[Sequence[WrittenLine]], bool]:
    """Return the lines of each start, and True if the first of them may be several.

    One begins if the one before was ready or failed.
    """
    found, begin = [], 0
    places = [at for at, row in enumerate(rows) if begins and compiled(begins).search(row.text)]
    for at in places[-_MOST_STARTS:]:
        before = LogEnd([each.text for each in rows[begin:at]], engine)
        if before.works or diagnose_log(before) is not None:
            found.append(rows[begin:at])
            begin = at
    return [*found, rows[begin:]], len(places) > _MOST_STARTS


def _worst(parts: Sequence[_Part]) -> _Part:
    """Return the part that tells the most: the engine's own, unless another (the kernel's) names why it ended."""
    own = [part for part in parts if part.recognised]
    if own and min(own, key=lambda part: part.rank).state in {"serving", "stopped"}:
        return min(own, key=lambda part: part.rank)
    failed = [part for part in parts if part.state == "failed" or (part.state == UNKNOWN and part in own)]
    return min(failed or own or parts, key=lambda part: part.rank)


def _killed_found(part: _Part, written: dict[str, list[WrittenLine]], engine: str | None) -> _Part:
    """Return the part of a server that was up, failed if the kernel or systemd says later that memory killed it."""
    signs = engine_facts(engine).log if engine else None
    if part.state not in {"serving", "stopped"} or signs is None:
        return part
    up, own = part.places[max(0, part.log.begin - 1)], signs.processes
    pids = {pid for line in part.log.lines for found in _OWN_PIDS.findall(line.text) for pid in found if pid}
    later = sorted((row for rows in written.values() for row in rows if row.at > up), key=lambda row: row.at)
    killed = []
    for row in later:
        found = _KILLED.search(row.text)
        named = (found["process"] or found["unit"] or "") if found else ""
        if found and (found["pid"] in pids or found["unit"] == part.who or (own and compiled(own).search(named))):
            killed.append(row)
    if not killed:
        return part
    log = LogEnd([*(line.text for line in part.log.lines), *(row.text for row in killed)], engine or "")
    return replace(part, log=log, found=diagnose_log(log), places=(*part.places, *(row.at for row in killed)))


def _explained(log: str, engine: str | None, part: _Part, *, guessed: bool, notes: Sequence[str]) -> Explanation:
    found = part.found
    if found is None:
        place = part.log.place.name
        what, remedy = _WELL[part.state].format(place=place), _NEXT.get(part.state, "")
        return Explanation(
            log, engine, guessed, part.state, None, what, remedy, phase=place, who=part.who, notes=tuple(notes)
        )
    evidence = tuple(_safe(line) for line in found.evidence)
    what = f"{found.what[:1].upper()}{found.what[1:]}."
    return Explanation(
        log, engine, guessed, part.state, found.cause, what, found.remedy, evidence, found.phase, part.who, tuple(notes)
    )


def _processor_found(part: _Part, engine: str | None) -> _Part:
    """Return the part of a server that is up, failed if its GPU did not start and it computes on the processor."""
    signs = engine_facts(engine).log if engine else None
    lines = [line.text for line in part.log.lines]
    found = without_gpus(lines, engine) if engine and signs and part.found is None else None
    return replace(part, found=found) if found is not None and part.log.root() is not None else part


def _safe(line: str) -> str:
    """Return a line without secrets, escaped and cut."""
    return masked(SECRET.sub(MASK, printable(line)), secrets_of())[:_LONGEST]


def _weight(log: LogEnd) -> int:
    found = log.failure()
    return WEIGHTS[found.row.kind] if found else len(WEIGHTS)
