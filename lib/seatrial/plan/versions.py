"""Which version of each engine is safe and runs DeepSeek V4, and the holes older ones have."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """Version facts of one engine.

    Attributes:
        safe: Oldest version without known holes that runs what this kit serves; None where any does.
        v4: Oldest version that runs DeepSeek V4, None where none does.
        dspark: Oldest version that uses a DSpark draft, None where not known.
        cuda: CUDA its release is built for, None where it is not bound to one.
        worker_flag: What machines after the first add to the command, None where nothing.
        draft_flags: How a draft that no recipe uses is turned on: a sentence and its source by kind of draft.
        why: What makes ``safe`` the oldest.
        holes: Known holes, one sentence each, with their ids.
        gaps: What the engine leaves open by design.
        install: What to install.
        source: Where this stands.
        checked: When it was looked up.

    """

    safe: str | None
    v4: str | None
    dspark: str | None
    cuda: str | None
    worker_flag: str | None
    draft_flags: dict[str, dict[str, str]]
    why: str
    holes: tuple[str, ...]
    gaps: tuple[str, ...]
    install: str
    source: str
    checked: str


@cache
def engine_versions() -> dict[str, EngineVersion]:
    """Version facts of every engine."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("versions.json").read_text(encoding="utf-8"))
    return {
        name: EngineVersion(
            safe=row["safe"],
            v4=row["v4"],
            dspark=row.get("dspark"),
            cuda=row.get("cuda"),
            worker_flag=row.get("worker_flag"),
            draft_flags=row.get("draft_flags", {}),
            why=row["why"],
            holes=tuple(_hole(name, hole) for hole in row["holes"]),
            gaps=tuple(row["gaps"]),
            install=row["install"],
            source=row["source"],
            checked=document["checked"],
        )
        for name, row in document["engines"].items()
    }


def is_older(version: str, minimum: str) -> bool:
    """Whether ``version`` comes before ``minimum``; numbers are compared, anything else is ignored."""
    return _numbers(version) < _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _hole(engine: str, hole: dict[str, Any]) -> str:
    where = f"{engine} before {hole['below']}" if hole["below"] else f"every {engine}"
    return f"{where}: {hole['what']} ({', '.join(hole['ids'])})"
