"""Shares and defaults the planner works with, each with its source (``limits.json``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.records import Origin, Reason

_MIN_RUNNING = 16
"""Requests a plan of our own lets SGLang run at once, at least; state is reserved for each."""


@dataclass(frozen=True, slots=True)
class PlanningLimits:
    """The figures of ``limits.json``.

    Attributes:
        gpu_fraction: Share of GPU memory an engine may take, by default.
        gpu_fraction_highest: Largest share a recipe uses.
        llamacpp_gpu_fraction: Share of GPU memory llama.cpp's layers may take.
        unified_apple: Share of unified memory a GPU may take on Apple silicon.
        unified_other: The same elsewhere.
        host_share: Share of host memory left to the operating system.
        host_share_most_bytes: At most that much.
        ample_host_bytes: Host memory taken for granted where it was not given.
        ample_gpu_multiple: The same as a multiple of all GPU memory; the larger of the two counts.
        running_requests: Requests an engine lets run at once where nothing else is said.
        window_room: Requests that ran in published SGLang runs over those whose prompts its window pool holds.
        draft_room_bytes: Memory of each GPU that SGLang's draft model takes from the KV room.
        delayed_running: Share of the places that decode where attention replicas wait for one another's prompts.
        suggested_machines: Machines to name where this one cannot be made to do.
        context_tokens: Context where none was asked for.
        context_stand_in_tokens: The same for stand-ins.

    """

    gpu_fraction: float
    gpu_fraction_highest: float
    llamacpp_gpu_fraction: float
    unified_apple: float
    unified_other: float
    host_share: float
    host_share_most_bytes: int
    ample_host_bytes: int
    ample_gpu_multiple: float
    running_requests: int
    window_room: float
    draft_room_bytes: int
    delayed_running: float
    suggested_machines: tuple[str, ...]
    context_tokens: int
    context_stand_in_tokens: int


@cache
def limits() -> PlanningLimits:
    """The figures."""
    rows = _document()
    return PlanningLimits(
        gpu_fraction=rows["gpu_memory_fraction"]["default"],
        gpu_fraction_highest=rows["gpu_memory_fraction"]["highest"],
        llamacpp_gpu_fraction=rows["llamacpp_gpu_fraction"]["default"],
        unified_apple=rows["unified_fraction"]["apple"],
        unified_other=rows["unified_fraction"]["other"],
        host_share=rows["host_share"]["share"],
        host_share_most_bytes=rows["host_share"]["most_bytes"],
        ample_host_bytes=rows["host_memory"]["ample_bytes"],
        ample_gpu_multiple=rows["host_memory"]["ample_gpu_multiple"],
        running_requests=rows["running_requests"]["default"],
        window_room=rows["window_room"]["default"],
        draft_room_bytes=rows["draft_room"]["bytes"],
        delayed_running=rows["delayed_running"]["default"],
        suggested_machines=tuple(rows["suggested_machines"]["names"]),
        context_tokens=rows["context_tokens"]["default"],
        context_stand_in_tokens=rows["context_tokens"]["stand_in"],
    )


def running_limit(concurrency: int) -> int:
    """Requests an SGLang plan without a recipe lets run at once."""
    return min(max(_MIN_RUNNING, concurrency), limits().running_requests)


def limit_reason(name: str, text: str) -> Reason:
    """``text`` with the origin and source of the figure called ``name``."""
    row = _document()[name]
    origin: Origin = row["origin"]
    return Reason(text=text, origin=origin, source=row["source"])


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("limits.json").read_text(encoding="utf-8"))
    return document
