"""The fraction of GPU memory an engine must be given (``--mem-fraction-static``, ``--gpu-memory-utilization``)."""

from __future__ import annotations

from math import ceil

from seatrial.hardware.types import Gpu
from seatrial.memory.types import Footprint
from seatrial.plan.gpu_server.kv_capacity import KvCapacity
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
    """Return the smallest fraction, in hundredths, that holds ``footprint``; None if none does or memory is unknown.

    Args:
        engine: ``sglang`` or ``vllm``.
        footprint: Bytes with all requests that run at once.
        gpu: One of the equal GPUs.

    """
    memory, need = gpu.memory_bytes or 0, footprint.per_gpu_bytes
    if engine == "sglang":
        reserve = footprint.per_gpu_by_part["reserve"]
        gpus = max(1, footprint.reserve_bytes // reserve) if reserve else 1
        # The most the context may take: a fraction too small does not start, one too large leaves memory unused.
        context = int(footprint.reserve_by_part["cuda_context"].high / gpus)
        free = memory if gpu.memory_free_bytes is None else min(memory, gpu.memory_free_bytes)
        need, memory = need - reserve, free - context
    hundredths = ceil(need / memory * 100) if memory > 0 else 100
    return hundredths / 100 if hundredths < 100 else None  # noqa: PLR2004 -- all of it


def fraction_text(fraction: float) -> str:
    """Return a fraction with two places, three if the third is not zero: ``0.90``, ``0.793``."""
    return f"{fraction:.3f}".removesuffix("0")


def fraction_reason(engine: str, capacity: KvCapacity, least: float, given: float | None) -> Reason:
    """Explain which fraction is taken, and the smallest whose bytes suffice.

    Args:
        engine: ``sglang`` or ``vllm``.
        capacity: All requests that run at once, and the fraction the engine takes.
        least: The smallest fraction, see ``fraction_needed``.
        given: The fraction in the command; None if it is left to the engine.

    """
    footprint, used = capacity.footprint, capacity.fraction
    requests = counted(footprint.concurrency, "request")
    taken = f"{fraction_text(used)} is given"
    if given is None:
        taken = f"the recipe leaves it to {engine}, whose own rule takes {fraction_text(used)}"
    if given == least:
        taken = "that is given"
    elif used >= least:
        taken += ", and what is above goes to a larger cache"
    text = (
        f"The smallest {_FLAGS[engine]} with bytes for {requests} of {footprint.context_tokens:,} tokens is {least:.2f} "
        f"(it counts {_COUNTED[engine]}); {taken}."
    )
    source = _SOURCES[engine] if given is not None else f"{_SOURCES[engine]}; {default_fraction_source(engine)}"
    return Reason(text, "derived", source)
