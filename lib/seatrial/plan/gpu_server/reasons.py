"""The sentences a plan for SGLang or vLLM explains its memory and its recipe with."""

from __future__ import annotations

from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint
from seatrial.memory.types import Footprint
from seatrial.plan.capacity import describe_need, describe_share
from seatrial.plan.gpu_server.memory_fraction import share_text
from seatrial.plan.request import Request
from seatrial.plan.types import Recipe
from seatrial.plan.vendor.recipes import Cell
from seatrial.records import Reason
from seatrial.units import counted, format_gib


def memory_reason(  # noqa: PLR0913, PLR0917 -- the numbers of one sentence
    checkpoint: Checkpoint,
    footprint: Footprint,
    request: Request,
    ranks: int,
    capacity: int,
    need: int,
    fraction: float,
) -> Reason:
    """What is needed against what there is: how much stays free, or by how much it does not fit."""
    needs, machine = describe_need(checkpoint, footprint, need, ranks), request.hardware.times(request.nodes)
    share = f"at fraction {share_text(fraction)}{describe_share(capacity, ranks)}"
    if need > capacity:
        offered = sum(gpu.memory_bytes or 0 for gpu in request.gpus[:1]) * ranks
        text = (
            f"{needs} but {machine} offers {format_gib(offered)}, of which {format_gib(capacity)} are usable "
            f"{share}: {format_gib(need - capacity)} too little."
        )
    else:
        text = (
            f"{needs}; {machine} has {format_gib(capacity)} usable on {counted(ranks, 'GPU')} {share}: "
            f"{format_gib(capacity - need)} to spare."
        )
    return Reason(text, "derived", footprint.source)


def cell_reason(cell: Cell, recipe: Recipe, context_tokens: int) -> Reason:
    """Who ran it; where a shorter context is planned than it was run with, that is said."""
    team = f"The {engine_facts(cell.engine).title} team"
    if not cell.verified:
        return Reason(
            f"The vLLM recipe reports this one configuration for the GPU: {cell.name}.", "derived", recipe.source
        )
    text = f"{team} ran exactly this: {cell.name}."
    if cell.image:
        newer = engine_facts(cell.engine).versions.safe
        text += f" It ran in the container {cell.image}; the flags here are those of {cell.engine} {newer}: "
        text += "take a build of it that is as new, since a plain release may lack what the container adds."
    if cell.context_limit and context_tokens < cell.context_limit:
        text += f" It ran with --max-model-len {cell.context_limit:,}; the {context_tokens:,} here need less."
    if cell.site_env:
        text += f" Between the machines it also sets {', '.join(cell.site_env)} to names of network interfaces: set those of your own."
    return Reason(text, "verified", recipe.source)


def overdrawn_reason(cell: Cell, per_gpu: int, given: int, fraction: float) -> list[Reason]:
    """That arithmetic asks for more than the recipe's share, where it does."""
    if per_gpu <= given:
        return []
    text = (
        f"Arithmetic gives {format_gib(per_gpu)} a GPU, above the recipe's fraction {fraction:.2f} "
        f"({format_gib(given)}); the vendor's run decides."
    )
    return [Reason(text, "derived", cell.source)]
