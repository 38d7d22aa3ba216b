"""Explains the memory of a plan for llama.cpp, MLX or the simulator."""

from __future__ import annotations

from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pools, describe_need
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.plan.vendor.limits import limit_reason
from seatrial.records import Reason
from seatrial.units import counted, format_gib


def memory_reasons(candidate: Candidate, split: Split, pools: Pools) -> list[Reason]:
    """Compare need and capacity of GPUs and host."""
    if candidate.engine == "simulated":
        return [Reason("Simulated: nothing is loaded and every answer is made up.", "assumed", "this kit")]
    footprint, hardware, capacity = split.footprint, candidate.request.hardware, pools.gpu_bytes + pools.host_bytes
    gpus = pools.gpus if split.gpu_layers else 0
    need = describe_need(candidate.checkpoint, footprint, footprint.total_bytes, gpus)
    pieces = [f"{format_gib(pools.gpu_bytes)} on {counted(pools.gpus, 'GPU')}"] if pools.gpus else []
    if pools.host_known and not any(gpu.unified for gpu in hardware.gpus):
        pieces.append(f"{format_gib(pools.host_bytes)} of host memory")
    usable = " and ".join(pieces) or "no memory of known size"
    if split.shortfall_bytes:
        enough = bool(pools.gpus) and footprint.total_bytes <= capacity
        whole = " host memory, since layers go to the GPUs whole" if enough else ""
        text = f"{need} but {hardware.name} has {usable} usable: {format_gib(split.shortfall_bytes)} too little{whole}."
        return [Reason(text, "derived", footprint.source)]
    spare = f": {format_gib(capacity - footprint.total_bytes)} to spare" if pools.host_known else ""
    found = [Reason(f"{need}; {hardware.name} has {usable} usable{spare}.", "derived", footprint.source)]
    if not pools.host_known and footprint.host_bytes:
        text = (
            f"The host memory of {hardware.name} is not known and taken as ample ({format_gib(pools.host_bytes)}): "
            f"at least {format_gib(footprint.host_bytes)} must be free. Give --host-memory-gib to check."
        )
        found.append(limit_reason("host_memory", text))
    return found


def single_machine_reasons(candidate: Candidate) -> list[Reason]:
    """Explain that an engine for one machine leaves the others idle, if there are several."""
    nodes = candidate.request.nodes
    if nodes == 1:
        return []
    text = f"{candidate.engine} runs on one machine: {nodes - 1} of the {nodes} asked for would stay idle."
    return [Reason(text, "derived", "this kit starts it as one process on one machine")]


def split_reason(split: Split, gpus: int) -> Reason:
    """Explain which layers are on the GPUs and whose experts are not."""
    layers = "All layers" if split.gpu_layers == ALL_LAYERS else f"{split.gpu_layers} layers"
    text = f"{layers} are on {'the GPU' if gpus == 1 else 'the GPUs'}"
    if split.cpu_expert_layers:
        on_host = f"{min(split.gpu_layers, split.cpu_expert_layers)} of them in host memory"
        text += f", but the routed experts of {on_host} ({format_gib(split.footprint.host_bytes)})"
    return Reason(f"{text}.", "derived", "llama.cpp --gpu-layers and --n-cpu-moe")
