"""Shares and defaults of the planner, each with its source (``limits.json``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.hardware.types import Gpu
from seatrial.json_text import parse_json
from seatrial.records import Origin, Reason

_MIN_RUNNING = 16
"""Fewest requests a plan without a recipe lets SGLang run at once; state is reserved for each."""


@dataclass(frozen=True, slots=True)
class PlanningLimits:
    """Figures of ``limits.json``."""

    gpu_fraction: float  # share of GPU memory an engine may take, by default
    gpu_fraction_highest: float  # largest share a recipe uses
    llamacpp_gpu_fraction: float  # share of GPU memory llama.cpp's layers may take
    llamacpp_tensor_fraction: float  # the same if each tensor is split over GPUs that do nothing else
    unified_apple: float  # share of unified memory a GPU may take on Apple silicon
    unified_apple_small: float  # the same on Macs with little memory
    unified_apple_small_bytes: int  # most memory that is little
    unified_other: float  # share of unified memory a GPU may take on other machines
    host_share: float  # share of host memory left to the operating system
    host_share_most_bytes: int  # most host memory left to it
    ample_host_bytes: int  # host memory to assume if it is not given
    ample_gpu_multiple: float  # the same as a multiple of all GPU memory; the larger of the two counts
    running_requests: int  # requests SGLang lets run at once by default
    window_oversubscription: float  # requests run over prompts that fit the window pool, in SGLang runs
    draft_model_bytes: int  # memory of each GPU that SGLang's draft model takes from the KV cache
    delayed_running: float  # share of the places that decode if attention replicas wait for one another's prompts
    suggested_machines: tuple[str, ...]  # machines to name if no change makes a plan fit this one
    context_tokens: int  # context by default
    context_stand_in_tokens: int  # context of stand-ins by default


@cache
def limits() -> PlanningLimits:
    """Load limits.json."""
    rows = _document()
    return PlanningLimits(
        gpu_fraction=rows["gpu_memory_fraction"]["default"],
        gpu_fraction_highest=rows["gpu_memory_fraction"]["highest"],
        llamacpp_gpu_fraction=rows["llamacpp_gpu_fraction"]["default"],
        llamacpp_tensor_fraction=rows["llamacpp_tensor_fraction"]["default"],
        unified_apple=rows["unified_fraction"]["apple"],
        unified_apple_small=rows["unified_fraction"]["apple_small"],
        unified_apple_small_bytes=rows["unified_fraction"]["apple_small_bytes"],
        unified_other=rows["unified_fraction"]["other"],
        host_share=rows["host_share"]["share"],
        host_share_most_bytes=rows["host_share"]["most_bytes"],
        ample_host_bytes=rows["host_memory"]["ample_bytes"],
        ample_gpu_multiple=rows["host_memory"]["ample_gpu_multiple"],
        running_requests=rows["running_requests"]["sglang"],
        window_oversubscription=rows["window_oversubscription"]["default"],
        draft_model_bytes=rows["draft_model"]["bytes"],
        delayed_running=rows["delayed_running"]["default"],
        suggested_machines=tuple(rows["suggested_machines"]["names"]),
        context_tokens=rows["context_tokens"]["default"],
        context_stand_in_tokens=rows["context_tokens"]["stand_in"],
    )


def running_limit(concurrency: int) -> int:
    """Return how many requests an SGLang plan without a recipe lets run at once."""
    return min(max(_MIN_RUNNING, concurrency), limits().running_requests)


def default_running_limit(engine: str, gpu: Gpu | None, replicas: int) -> int:
    """Return how many requests an engine lets run at once if no flag says so.

    Args:
        engine: ``sglang`` or ``vllm``, whose limit is that of each attention replica and depends on the GPU.
        gpu: One of the equal GPUs, None without any.
        replicas: Attention replicas.

    """
    if engine != "vllm":
        return limits().running_requests
    row: dict[str, Any] = _document()["running_requests"]["vllm"]
    large = gpu is not None and (gpu.memory_bytes or 0) >= row["from_bytes"]
    anyway = gpu is not None and gpu.accelerator in row["small_anyway"]
    return int(row["large" if large and not anyway else "small"]) * replicas


def limit_reason(name: str, text: str) -> Reason:
    """Return ``text`` with the origin and source of the figure called ``name``."""
    row = _document()[name]
    origin: Origin = row["origin"]
    return Reason(text=text, origin=origin, source=row["source"])


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = parse_json(Path(__file__).with_name("limits.json").read_bytes())
    return document
