"""Explains a plan of llama.cpp: need and capacity, what lies where, what drafts."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.hardware.unified import kernel_parameter, raised_limit
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import describe_need
from seatrial.plan.llamacpp.drafting import drafting_of
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.plan.llamacpp.placement import Placed
from seatrial.plan.vendor.limits import limit_reason
from seatrial.records import Reason
from seatrial.units import counted, format_bytes, format_gib

_GTT_SOURCE = "Linux: drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c, drivers/gpu/drm/ttm/ttm_tt.c"


def memory_reasons(candidate: Candidate, placed: Placed) -> list[Reason]:
    """Compare need and capacity of GPUs and host."""
    split, pools, capacity = placed.split, placed.pools, placed.capacity_bytes
    if candidate.engine == "simulated":
        return [Reason("Simulated: nothing is loaded and every answer is made up.", "assumed", "this kit")]
    footprint, hardware = split.footprint, candidate.request.hardware
    gpus = pools.gpus if split.gpu_layers else 0
    total = max(footprint.total_bytes, footprint.per_gpu_bytes * split.tensor)
    need = describe_need(candidate.checkpoint, footprint, total, gpus)
    pieces = [f"{format_gib(pools.gpu_bytes)} on {counted(pools.gpus, 'GPU')}"] if pools.gpus else []
    unified = any(gpu.unified for gpu in hardware.gpus)
    if pools.host_known and split.tensor == 1 and (pools.host_bytes or not unified):
        pieces.append(f"{format_gib(pools.host_bytes)} of host memory")
    usable = " and ".join(pieces) or "no memory of known size"
    if split.shortfall_bytes:
        enough = bool(pools.gpus) and split.tensor == 1 and total <= capacity
        whole = " host memory, since layers go to the GPUs whole" if enough else ""
        text = f"{need} but {hardware.name} has {usable} usable: {format_gib(split.shortfall_bytes)} too little{whole}."
        return [Reason(text, "derived", footprint.source)]
    spare = f": {format_gib(capacity - total)} to spare" if pools.host_known else ""
    found = [Reason(f"{need}; {hardware.name} has {usable} usable{spare}.", "derived", footprint.source)]
    if not pools.host_known and footprint.host_bytes:
        text = (
            f"The host memory of {hardware.name} is not known and taken as ample ({format_gib(pools.host_bytes)}): "
            f"at least {format_gib(footprint.host_bytes)} must be free. Give --host-memory-gib to check."
        )
        found.append(limit_reason("host_memory", text))
    return found


def limit_reasons(candidate: Candidate, placed: Placed) -> Iterator[Reason]:
    """Name the system's limit on an AMD GPU's part of unified memory if it keeps layers off the GPU, or would as installed."""
    hardware = candidate.request.hardware
    gpu = next((gpu for gpu in hardware.gpus if gpu.unified and gpu.vendor == "amd"), None)
    if gpu is None or gpu.memory_bytes is None:
        return
    raised, memory = raised_limit(gpu, hardware.host), format_gib(gpu.memory_bytes)
    if gpu.memory_limit_bytes is None and placed.split.footprint.total_bytes > gpu.memory_bytes // 2:
        text = f"As installed, Linux lets this GPU take half of the {memory}; the plan counts on {kernel_parameter(gpu.memory_bytes)}."
        yield Reason(text, "verified", _GTT_SOURCE)
    elif raised and (not placed.on_gpus or placed.split.shortfall_bytes):
        text = (
            f"The system lets the GPU take {format_gib(gpu.memory_limit_bytes)} of the {memory} it shares with the processor "
            f"({raised.today}). More of the model runs on the GPU with {raised.how}."
        )
        yield Reason(text, hardware.origin, f"{hardware.source}; {_GTT_SOURCE}")


def split_reason(split: Split, gpus: int) -> Reason:
    """Explain which layers are on the GPUs and whose experts are not, or that every GPU has a part of each tensor."""
    if split.tensor > 1:
        parts = split.footprint.per_gpu_by_part
        copied = format_gib(parts["weights_replicated"] + parts["kv"] + parts["state"])
        text = f"Each tensor is split over the {gpus} GPUs; what cannot be split, caches included, is on every one ({copied})."
        return Reason(
            text, "derived", "llama.cpp --split-mode tensor: llama_meta_device_get_split_state in src/llama-model.cpp"
        )
    layers = "All layers" if split.gpu_layers == ALL_LAYERS else f"{split.gpu_layers} layers"
    text = f"{layers} are on {'the GPU' if gpus == 1 else 'the GPUs'}"
    if split.cpu_expert_layers:
        host = format_gib(split.footprint.host_bytes)
        bytes_text = f" ({host})" if split.gpu_layers == ALL_LAYERS else f"; host memory holds {host} in all"
        on_host = f"{min(split.gpu_layers, split.cpu_expert_layers)} of them in host memory"
        text += f", but the routed experts of {on_host}{bytes_text}"
    return Reason(f"{text}.", "derived", "llama.cpp --gpu-layers and --n-cpu-moe")


def drafter_reasons(placed: Placed) -> Iterator[Reason]:
    """Explain what drafts, where it lies, and what published runs say about that."""
    drafter, split = placed.drafter, placed.split
    if drafter is None:
        return
    facts, footprint = drafting_of("llamacpp"), split.footprint
    where = "in host memory" if not split.gpu_layers else "on the GPU" if placed.pools.gpus == 1 else "on the GPUs"
    text = (
        f"{drafter.id} drafts {counted(placed.draft_tokens, 'token')} a step for the model: {format_gib(footprint.by_class['draft'])} "
        f"of weights and {format_bytes(footprint.kv_by_class['draft'])} of cache {where}; llama.cpp {facts.since} drafts so."
    )
    yield Reason(f"{text} {facts.note}", "verified", f"{drafter.source}; {facts.source}")
    if split.gpu_layers and not placed.on_gpus:
        yield Reason(facts.host, "verified", facts.source)
