"""Explains the memory and the recipe of a plan for SGLang or vLLM."""

from __future__ import annotations

from seatrial.catalog.engine_facts import engine_facts
from seatrial.hardware.types import Gpu
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import describe_need, describe_share, usable_gpu_bytes
from seatrial.plan.gpu_server.kv_capacity import KvCapacity
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.gpu_server.nearest_recipe import nearest_recipe
from seatrial.plan.vendor.default_fraction import default_fraction_source
from seatrial.plan.vendor.recipes import Cell
from seatrial.records import Reason
from seatrial.units import counted, format_gib

_FLAGS = {"sglang": "--mem-fraction-static", "vllm": "--gpu-memory-utilization"}
_COUNTED = {
    "sglang": "weights and caches, of what is free after the CUDA context",
    "vllm": "everything, of the whole GPU",
}
_SOURCES = {
    "sglang": "sglang 0.5.23 takes total x (1 - fraction) off what loading left free (SemiAnalysisAI/InferenceX#2128)",
    "vllm": "vLLM gives the cache total x utilization less weights, activations, graphs and context",
}


def memory_reason(candidate: Candidate, capacity: KvCapacity, nodes: int) -> Reason:
    """Compare need and capacity: how much stays free, or how much is missing."""
    request, ranks, need, usable = candidate.request, capacity.ranks, capacity.need_bytes, capacity.capacity_bytes
    memory = request.gpus[0].memory_bytes if request.gpus else None
    fraction = capacity.usable_bytes / memory if memory else capacity.fraction
    needs = describe_need(candidate.checkpoint, capacity.footprint, need, ranks)
    machine = request.hardware.times(nodes)
    share = f"at fraction {fraction_text(fraction)}{describe_share(usable, ranks)}"
    if need > usable:
        text = (
            f"{needs} but {machine} offers {format_gib((memory or 0) * ranks)}, of which {format_gib(usable)} are usable "
            f"{share}: {format_gib(need - usable)} too little."
        )
    else:
        text = (
            f"{needs}; {machine} has {format_gib(usable)} usable on {counted(ranks, 'GPU')} {share}: "
            f"{format_gib(usable - need)} to spare."
        )
    if capacity.host_lacking_bytes:
        text += (
            f" The Engram tables need {format_gib(capacity.footprint.host_bytes)} of host memory: "
            f"{format_gib(capacity.host_lacking_bytes)} too little."
        )
    return Reason(text, "derived", capacity.footprint.source)


def unchecked_reason(candidate: Candidate, layout: Layout) -> Reason:
    """Explain that only a vendor's recipe counts for this architecture and that none is for these GPUs."""
    recipe, model = nearest_recipe(candidate, layout), candidate.model
    text = (
        f"{model.name} on {candidate.engine} is planned by vendors' recipes only, and none is for "
        f"{candidate.request.hardware.times(candidate.request.nodes)}: {candidate.unchecked}."
    )
    if recipe is not None:
        text += f" The nearest recipe is {recipe.cell}."
    return Reason(text, "derived", recipe.source if recipe is not None else model.source)


def uncertain_reason(candidate: Candidate, capacity: KvCapacity) -> Reason:
    """Say what the formulas give although nothing has confirmed them for this architecture on this engine."""
    each = describe_share(capacity.need_bytes, capacity.ranks)
    text = (
        f"Arithmetic gives {format_gib(capacity.need_bytes)} on {counted(capacity.ranks, 'GPU')}{each}, and only the "
        f"vendor's run decides: {candidate.unchecked}."
    )
    return Reason(text, "assumed", capacity.footprint.source)


def tables_reason(capacity: KvCapacity) -> Reason:
    """Explain that the Engram tables are in host memory, and how much they take."""
    text = (
        f"The Engram tables ({format_gib(capacity.footprint.host_bytes)}) are in host memory "
        "(SGLANG_ENABLE_DSV41_ENGRAM_HOST_TABLE=1), since all weights together do not fit on the GPUs."
    )
    return Reason(text, "derived", "sglang 0.5.23 wheel (PyPI): srt/layers/engram.py, test/dsv41_flash_common.py")


def cell_reason(cell: Cell, context_tokens: int, verified: Cell | None) -> Reason:
    """Name who published this recipe, if it ran, and what differed in the vendor's run.

    Args:
        cell: The recipe the plan follows.
        context_tokens: Context of the plan.
        verified: A verified recipe for another objective, if this one is not verified.

    """
    if cell.verified:
        text = f"{cell.catalogue.team} ran exactly this: {cell.name}."
    else:
        text = f"{cell.catalogue.title} lists this configuration as {cell.listed_as}: {cell.name}. Its flags are used."
    if verified:
        text += f" A verified one is for another objective: {verified.name} (--objective {verified.objective})."
    if cell.image:
        text += _image_text(cell, cell.image)
    if cell.context_limit and context_tokens < cell.context_limit:
        text += f" It ran with a context of {cell.context_limit:,}; the {context_tokens:,} of this plan need less."
    if cell.host_memory_gib:
        text += f" Each machine needs {cell.host_memory_gib:,.0f} GiB of host memory for it."
    if cell.site_env:
        text += f" Between the machines it also sets {', '.join(cell.site_env)} to names of network interfaces: set those of your own."
    return Reason(text, "verified" if cell.verified else "derived", cell.source)


def _image_text(cell: Cell, image: str) -> str:
    engine, newest = engine_facts(cell.engine).title, engine_facts(cell.engine).versions.safe
    if cell.image_flags:
        flags = " and ".join(f"{name}={cell.flags[name]}" for name in cell.image_flags)
        return f" It needs the container {image}: {engine} {newest} does not take {flags}."
    return (
        f" It ran in the container {image}; the plan's flags are those of {cell.engine} {newest}: "
        "use a build at least that new, since a plain release may lack what the container adds."
    )


def run_reasons(cell: Cell) -> list[Reason]:
    """Tell what the vendor says of its own run, and its notes."""
    title, run, found = cell.catalogue.title, cell.run, []
    if run is not None:
        facts = (
            f"on {run.date}" if run.date else None,
            f"with {cell.engine} {run.engine_version}" if run.engine_version else None,
            f"driver {run.driver}" if run.driver else None,
            f"{counted(run.concurrency, 'request')} at once" if run.concurrency else None,
            f"{run.kv_tokens:,} tokens of KV cache in all" if run.kv_tokens else None,
        )
        found.append(Reason(f"{title} tells of its run: {', '.join(filter(None, facts))}.", "verified", cell.source))
    if cell.note:
        found.append(Reason(f"{title}: {cell.note.rstrip('.')}.", "verified", cell.source))
    return found


def overdrawn_reasons(cell: Cell, capacity: KvCapacity, gpu: Gpu) -> list[Reason]:
    """Explain that arithmetic asks for more than the recipe's fraction of each GPU, if it does."""
    need, given = capacity.footprint.per_gpu_bytes, usable_gpu_bytes(gpu, capacity.fraction)
    if need <= given:
        return []
    text = (
        f"Arithmetic gives {format_gib(need)} a GPU, above the recipe's fraction {capacity.fraction:.2f} "
        f"({format_gib(given)}); the vendor's run decides."
    )
    return [Reason(text, "derived", cell.source)]


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
