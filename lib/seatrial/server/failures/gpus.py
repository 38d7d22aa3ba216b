"""Tells from an engine's log whether it serves on the processor although it was to use GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.catalog.engine_facts import LogSigns, engine_facts, engine_ids
from seatrial.server.failures.diagnosis import Diagnosis, shown
from seatrial.server.failures.reading import LogEnd
from seatrial.server.phases import compiled

_CAUSE = "serves on the processor"
_EVIDENCE_LINES = 4


def asks_for_gpus(engine: str, argv: Sequence[str]) -> bool:
    """Return True if a command gives its engine GPUs.

    Args:
        engine: Engine id.
        argv: Program and arguments.

    """
    signs = _signs(engine)
    if signs is None or not signs.on_processor:
        return False
    if not signs.layers_flags:
        return _value(argv, ("--device",)) != "cpu"
    layers = _value(argv, signs.layers_flags)
    return layers == "all" or (layers.isdecimal() and int(layers) > 0)


def without_gpus(lines: Sequence[str], engine: str) -> Diagnosis | None:
    """Return why it serves on the processor; None if its log shows a GPU at work, or says nothing of GPUs.

    Args:
        lines: The log from the start on.
        engine: Engine id.

    """
    signs, said = _signs(engine), processor_lines(lines, engine)
    if signs is None or not said:
        return None
    root = LogEnd(lines, engine).root()
    what = f"it serves on the processor, and not on the GPUs that it was to use{f': {root.row.what}' if root else ''}"
    evidence = tuple(dict.fromkeys([*(root.lines if root else ()), *said]))[:_EVIDENCE_LINES]
    return Diagnosis(
        root.row.cause if root else _CAUSE, what, root.row.remedy if root else signs.remedy, shown(evidence)
    )


def processor_lines(lines: Sequence[str], engine: str) -> tuple[str, ...]:
    """Return the lines that say that the weights are in host memory, or that no GPU was found; none if one is at work."""
    signs = _signs(engine)
    if signs is None or not signs.on_processor or _any(signs.on_gpu, lines):
        return ()
    missing = [line for line in lines if signs.gpu_missing and compiled(signs.gpu_missing).search(line)]
    if placed := [line for line in lines if compiled(signs.on_processor).search(line)]:
        return (*missing, placed[0])
    return () if _any(signs.gpu_found, lines) else tuple(missing)


def _signs(engine: str) -> LogSigns | None:
    return engine_facts(engine).log if engine in engine_ids() else None


def _value(argv: Sequence[str], names: Sequence[str]) -> str:
    for at, word in enumerate(argv):
        name, joined, value = word.partition("=")
        if name in names:
            return value if joined else next(iter(argv[at + 1 : at + 2]), "")
    return ""


def _any(pattern: str, lines: Sequence[str]) -> bool:
    return bool(pattern) and any(map(compiled(pattern).search, lines))
