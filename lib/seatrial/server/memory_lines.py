"""Reads in an engine's log how much memory it took for weights, caches and buffers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.server.log import read
from seatrial.units import GIB, MIB

_BYTES = {"MiB": MIB, "GiB": GIB}
_MOST_BYTES = 1 << 50  # of a line; more is no memory of a machine


def memory_in_log(log: Path, engine: str) -> dict[str, int]:
    """Return the bytes that an engine's log says it took, by ``MemoryLine.what``; without what it does not say.

    Args:
        log: Its log file, of which the part moved past the cap comes first.
        engine: Engine id.

    """
    earlier = log.with_name(f"{log.name}.1")
    text = read(earlier if earlier.exists() else log, 0).decode(errors="replace")
    return memory_in(text.splitlines(), engine)


def memory_in(lines: Iterable[str], engine: str) -> dict[str, int]:
    """Return the bytes that lines of an engine's log tell, by what they are for."""
    if engine not in engine_ids():
        return {}
    found: dict[str, int] = {}
    rows = [(row.what, re.compile(row.pattern), _BYTES[row.unit]) for row in engine_facts(engine).memory]
    for line in lines:
        for what, pattern, unit in rows:
            match = pattern.search(line)
            if match is None:
                continue
            with suppress(ValueError):
                size = round(float(match["size"]) * unit)
                if 0 < size <= _MOST_BYTES:
                    found[what] = found.get(what, 0) + size
    return found
