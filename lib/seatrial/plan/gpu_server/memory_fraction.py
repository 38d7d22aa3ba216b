"""The share of GPU memory an engine must be given (``--mem-fraction-static``, ``--gpu-memory-utilization``)."""

from __future__ import annotations

from math import ceil

from seatrial.hardware.types import Gpu
from seatrial.memory.types import Footprint
from seatrial.plan.vendor.default_fraction import default_fraction_source
from seatrial.records import Reason
from seatrial.units import counted

_FLAGS = {"sglang": "--mem-fraction-static", "vllm": "--gpu-memory-utilization"}
_COUNTED = {
    "sglang": "weights and caches, of what is free after the CUDA context",
    "vllm": "everything, of the whole GPU",
}
_SOURCES = {
    "sglang": "sglang 0.5.23 takes total x (1 - fraction) off what loading left free (SemiAnalysisAI/InferenceX#2128)",
    "vllm": "vLLM gives the cache total x utilization less weights, activations, graphs and context",
}


def fraction_needed(engine: str, footprint: Footprint, gpu: Gpu) -> float | None:
    """The smallest share, in hundredths, that holds ``footprint``; None where no share does or nothing is known.

    Args:
        engine: ``sglang`` or ``vllm``.
        footprint: Bytes with the requests that are held at once.
        gpu: One of the equal GPUs.

    """
    counted, base = _counted(engine, footprint, gpu)
    if base <= 0:
        return None
    hundredths = ceil(counted / base * 100)
    return hundredths / 100 if hundredths < 100 else None  # noqa: PLR2004 -- all of it


def share_text(fraction: float) -> str:
    """A share with two places, three where the third is not zero: ``0.90``, ``0.793``."""
    return f"{fraction:.3f}".removesuffix("0")


def fraction_reasons(engine: str, footprint: Footprint, gpu: Gpu, given: float | None, used: float) -> list[Reason]:
    """Which share is taken, and the smallest whose bytes suffice.

    Args:
        engine: ``sglang`` or ``vllm``.
        footprint: Bytes with the requests that are held at once.
        gpu: One of the equal GPUs.
        given: The share the command gives, None where it leaves that to the engine.
        used: The share the engine takes.

    """
    least = fraction_needed(engine, footprint, gpu)
    if least is None:
        return []
    load = counted(footprint.concurrency, "request")
    text = (
        f"The smallest {_FLAGS[engine]} with bytes for {load} of {footprint.context_tokens:,} tokens is {least:.2f} "
        f"(it counts {_COUNTED[engine]}); {_taken(engine, given, used, least)}."
    )
    source = _SOURCES[engine] if given is not None else f"{_SOURCES[engine]}; {default_fraction_source(engine)}"
    return [Reason(text, "derived", source)]


def _taken(engine: str, given: float | None, used: float, least: float) -> str:
    if given == least:
        return "that is given"
    taken = f"{share_text(used)} is given"
    if given is None:
        taken = f"the recipe leaves it to {engine}, whose own rule takes {share_text(used)} here"
    return taken if used < least else f"{taken}, and what is above goes to a larger cache"


def _counted(engine: str, footprint: Footprint, gpu: Gpu) -> tuple[int, int]:
    """Bytes the share must cover, and the bytes it is a share of."""
    memory = gpu.memory_bytes or 0
    if engine != "sglang":
        return footprint.per_gpu_bytes, memory
    reserve = footprint.per_gpu_by_part["reserve"]
    gpus = max(1, footprint.reserve_bytes // reserve) if reserve else 1
    # The most it may take: a share that is too small does not start, one too large leaves the rest unused.
    context = int(footprint.reserve_by_part["cuda_context"].high / gpus)
    free = memory if gpu.memory_free_bytes is None else min(memory, gpu.memory_free_bytes)
    return footprint.per_gpu_bytes - reserve, free - context
