"""The sentences a plan explains itself with: what is needed, what there is, and where that stands."""

from __future__ import annotations

from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint, Model
from seatrial.memory.types import Footprint
from seatrial.plan.capacity import Pools
from seatrial.plan.fraction import share_text
from seatrial.plan.limits import limit_reason
from seatrial.plan.recipes import Cell
from seatrial.plan.request import Request
from seatrial.plan.split import ALL_LAYERS, Split
from seatrial.plan.types import Recipe
from seatrial.records import Reason
from seatrial.units import counted, format_gib, to_gib


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
    needs, machine = _needs(checkpoint, footprint, need, ranks), request.hardware.times(request.nodes)
    share = f"at fraction {share_text(fraction)}{_each(capacity, ranks)}"
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


def context_reason(model: Model, request: Request, context: int) -> Reason:
    """Where the context comes from."""
    if request.context_tokens is not None:
        return Reason(f"Context: {context:,} tokens a request, as asked.", "derived", "the request")
    text = f"Context: {context:,} tokens a request by default; {model.name} takes up to {model.context_tokens:,}."
    return limit_reason("context_tokens", text)


def overdrawn_reason(cell: Cell, per_gpu: int, given: int, fraction: float) -> list[Reason]:
    """That arithmetic asks for more than the recipe's share, where it does."""
    if per_gpu <= given:
        return []
    text = (
        f"Arithmetic gives {format_gib(per_gpu)} a GPU, above the recipe's fraction {fraction:.2f} "
        f"({format_gib(given)}); the vendor's run decides."
    )
    return [Reason(text, "derived", cell.source)]


def idle_reasons(engine: str, request: Request) -> list[Reason]:
    """That machines stay idle, where an engine that runs on one is given several."""
    if request.nodes == 1:
        return []
    text = f"{engine} runs on one machine: {request.nodes - 1} of the {request.nodes} asked for would stay idle."
    return [Reason(text, "derived", "this kit starts it as one process on one machine")]


def llamacpp_reasons(  # noqa: PLR0913, PLR0917 -- the numbers of one sentence
    engine: str, checkpoint: Checkpoint, request: Request, split: Split, pools: Pools, capacity: int
) -> list[Reason]:
    """What llama.cpp needs where, and what there is."""
    footprint = split.footprint
    if engine == "simulated":
        return [Reason("Simulated: nothing is loaded and every answer is made up.", "assumed", "this kit")]
    need = _needs(checkpoint, footprint, footprint.total_bytes, pools.gpus if split.gpu_layers else 0)
    machine = request.hardware.name
    pieces = [f"{format_gib(pools.gpu_bytes)} on {counted(pools.gpus, 'GPU')}"] if pools.gpus else []
    if pools.host_known and not _is_unified(request):
        pieces.append(f"{format_gib(pools.host_bytes)} of host memory")
    offers = " and ".join(pieces) or "no memory of known size"
    found: list[Reason] = []
    if split.shortfall_bytes:
        enough = bool(pools.gpus) and footprint.total_bytes <= pools.gpu_bytes + pools.host_bytes
        whole = " host memory, since layers go to the GPUs whole" if enough else ""
        text = f"{need} but {machine} has {offers} usable: {format_gib(split.shortfall_bytes)} too little{whole}."
        return [Reason(text, "derived", footprint.source)]
    spare = "" if not pools.host_known else f": {format_gib(capacity - footprint.total_bytes)} to spare"
    found.append(Reason(f"{need}; {machine} has {offers} usable{spare}.", "derived", footprint.source))
    if not pools.host_known and footprint.host_bytes:
        text = (
            f"The host memory of {machine} is not known and taken as ample ({format_gib(pools.host_bytes)}): "
            f"at least {format_gib(footprint.host_bytes)} must be free. Give --host-memory-gib to check."
        )
        found.append(limit_reason("host_memory", text))
    if pools.gpus and split.gpu_layers:
        found.append(Reason(_split_text(split, pools.gpus), "derived", "llama.cpp --gpu-layers and --n-cpu-moe"))
    return found


def _split_text(split: Split, gpus: int) -> str:
    layers = "All layers" if split.gpu_layers == ALL_LAYERS else f"{split.gpu_layers} layers"
    where = "the GPU" if gpus == 1 else "the GPUs"
    if not split.cpu_expert_layers:
        return f"{layers} lie on {where}."
    return (
        f"{layers} lie on {where}, but the routed experts of {min(split.gpu_layers, split.cpu_expert_layers)} of them in host memory "
        f"({format_gib(split.footprint.host_bytes)})."
    )


def _needs(checkpoint: Checkpoint, footprint: Footprint, need: int, ranks: int) -> str:
    cache = footprint.kv_bytes + footprint.state_bytes
    copies = need - footprint.weights_bytes - cache - footprint.reserve_bytes
    parts = [f"weights {_number(footprint.weights_bytes)}", f"KV and state {_number(cache)}"]
    if copies > 0:
        # What lies on every rank is counted once in the footprint and as often as there are ranks here.
        parts.append(f"their copies on every rank {_number(copies)}")
    parts.append(f"reserve {_number(footprint.reserve_bytes)}")
    where = f" on {counted(ranks, 'GPU')}" if ranks else ""
    # Need and capacity are compared over all ranks; the fullest GPU tells the same.
    each = _each(need, ranks) if need == footprint.per_gpu_bytes * ranks else ""
    return f"{checkpoint.id} needs {format_gib(need)}{where}{each} ({' + '.join(parts)})"


def _each(size_bytes: int, ranks: int) -> str:
    return f", {_number(size_bytes // ranks)} on each" if ranks > 1 else ""


def _number(size_bytes: int) -> str:
    return f"{to_gib(size_bytes):,.1f}"


def _is_unified(request: Request) -> bool:
    return any(gpu.unified for gpu in request.hardware.gpus)
