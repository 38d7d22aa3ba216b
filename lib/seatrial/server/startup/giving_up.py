"""Errors of a start that was given up: the cause, the log lines that show it, one remedy."""

from __future__ import annotations

from seatrial.errors import EngineError
from seatrial.server import log, processes
from seatrial.server.failures.diagnosis import LOG_LINES, diagnose, how
from seatrial.server.failures.gpus import asks_for_gpus, without_gpus
from seatrial.server.folder import ServerFolder
from seatrial.server.state import Exit, Record

# A deliberate end needs no diagnosis.
_ON_PURPOSE = {
    "stopped": "somebody stopped it",
    "lease ended": "the process that launched it is gone",
    "record deleted": "its record was deleted",
}
_LAST_LINES = 8


class PortStolenError(EngineError):
    """Another process listens on the port that was chosen for this engine."""


def port_stolen(record: Record) -> PortStolenError:
    """Return the error of an engine on whose port somebody else listens."""
    pid, name = processes.port_owner(record.port, record.host)
    owner = f"{name} (pid {pid})" if pid else name
    return PortStolenError(
        f"Port {record.port} was taken by {owner} before {record.engine} could listen on it.",
        remedy="Leave --port out, so that a free one is chosen.",
        cause="port in use",
    )


def ended_early(folder: ServerFolder, record: Record, ended: Exit, phase: str) -> EngineError:
    """Return the error of an engine that ended before it was ready, with its diagnosis.

    Args:
        folder: Its server folder.
        record: What was started.
        ended: How it ended.
        phase: Phase last seen; a traceback in the log is more exact.

    """
    if ended.reason in _ON_PURPOSE:
        return not_ready(folder, record, _ON_PURPOSE[ended.reason], cause="stopped", remedy="", phase=phase)
    found = diagnose(ended, log.tail(folder.log_file, LOG_LINES), record.engine, record.checkpoint)
    kind = PortStolenError if found.cause == "port in use" else EngineError
    phase = found.phase or phase
    sentence = f"{record.engine} ended before it was ready, while {phase} ({how(ended)}): {found.what}."
    return kind(
        _with_lines(sentence, found.evidence),
        remedy=f"{found.remedy} The whole log: seatrial logs {record.name}",
        cause=found.cause,
        evidence=found.evidence,
        phase=phase,
    )


def on_processor(folder: ServerFolder, record: Record, phase: str) -> EngineError | None:
    """Return the error of an engine that was to use GPUs and serves without them; None if its log does not say so.

    Args:
        folder: Its server folder.
        record: What was started.
        phase: Phase it had reached.

    """
    if not asks_for_gpus(record.engine, record.argv):
        return None
    found = without_gpus(log.tail(folder.log_file, LOG_LINES), record.engine)
    if found is None:
        return None
    return not_ready(
        folder, record, found.what, cause=found.cause, remedy=found.remedy, phase=phase, evidence=found.evidence
    )


def not_ready(  # noqa: PLR0913 -- parts of an error
    folder: ServerFolder,
    record: Record,
    what: str,
    *,
    cause: str,
    remedy: str,
    phase: str,
    evidence: tuple[str, ...] = (),
) -> EngineError:
    """Return the error of an engine that runs and does not get ready.

    Args:
        folder: Its server folder.
        record: What was started.
        what: Reason, as a clause.
        cause: Short name of the reason.
        remedy: What to do, may be empty.
        phase: Phase it had reached.
        evidence: Log lines that show the reason; by default the last ones.

    """
    lines = evidence or tuple(log.tail(folder.log_file, _LAST_LINES))
    return EngineError(
        _with_lines(f"{record.engine} did not get ready: {what}.", lines),
        remedy=f"{remedy} The whole log: seatrial logs {record.name}".strip(),
        cause=cause,
        evidence=lines,
        phase=phase,
    )


def removed(folder: ServerFolder, record: Record, phase: str) -> EngineError:
    """Return the error of an engine whose server folder was removed: its supervisor ends it, its log is gone."""
    return EngineError(
        f"{record.engine} did not get ready: its folder {folder.path} was removed while it started, so it was stopped.",
        remedy="Launch it again, and leave the folder alone while the server runs.",
        cause="folder removed",
        phase=phase,
    )


def _with_lines(sentence: str, lines: tuple[str, ...]) -> str:
    return "\n".join([sentence, *(f"  | {line[:300]}" for line in lines)])
