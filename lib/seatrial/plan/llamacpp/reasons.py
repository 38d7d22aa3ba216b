"""The sentences a plan for llama.cpp, MLX or the simulator explains its memory with."""

from __future__ import annotations

from seatrial.catalog.types import Checkpoint
from seatrial.plan.capacity import Pools, describe_need
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.plan.request import Request
from seatrial.plan.vendor.limits import limit_reason
from seatrial.records import Reason
from seatrial.units import counted, format_gib


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
    need = describe_need(checkpoint, footprint, footprint.total_bytes, pools.gpus if split.gpu_layers else 0)
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


def _is_unified(request: Request) -> bool:
    return any(gpu.unified for gpu in request.hardware.gpus)
