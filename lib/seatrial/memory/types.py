"""How much memory a checkpoint needs, by class and per GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from seatrial.records import Interval, Origin


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How many ranks share the work, along each axis; all at least 1.

    Attributes:
        tensor: Ranks that split each matrix (SGLang and vLLM count total ranks here).
        data: Attention replicas (DP attention); KV is split among them.
        expert: Ranks the routed experts are spread over.
        pipeline: Ranks that split the layers.

    """

    tensor: int = 1
    data: int = 1
    expert: int = 1
    pipeline: int = 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes a checkpoint takes while it is served.

    Attributes:
        weights_bytes: All tensors, once.
        kv_bytes: KV cache of all requests, once.
        state_bytes: Fixed state beside the KV cache.
        reserve_bytes: CUDA context, graphs, activations and compute buffers over all GPUs.
        total_bytes: Sum of the four.
        per_gpu_bytes: What the fullest GPU holds.
        host_bytes: What lies in host memory.
        by_class: Weight bytes by tensor class (experts, attention, shared, embeddings, scales, draft, ...).
        kv_by_class: One entry for each cache the engine itself reports.
        parameters_total: Parameters without draft head.
        parameters_active: Parameters used for one token, input embedding not counted.
        context_tokens: Context each request may use.
        concurrency: Requests held at once.
        engine: Whose KV layout this is.
        origin: Origin of the weight bytes.
        source: Source of the weight bytes.
        notes: What is assumed or left open, one sentence each.
        reserve_interval: Between which bytes the reserve lies, over all GPUs.
        stored_elements: Elements as a hub counts them (a byte of two FP4 values is one, a scale is one);
            None where that is not known.
        reserve_by_part: The same interval by what it is for (CUDA context, graphs, activations ...).
        per_gpu_by_part: ``per_gpu_bytes`` by what it is: weights this GPU alone holds, weights others hold as
            well, KV cache, state and reserve; for llama.cpp layers (with their caches) and reserve.

    """

    weights_bytes: int
    kv_bytes: int
    state_bytes: int
    reserve_bytes: int
    total_bytes: int
    per_gpu_bytes: int
    host_bytes: int
    by_class: dict[str, int]
    kv_by_class: dict[str, int]
    parameters_total: int | None
    parameters_active: int | None
    context_tokens: int
    concurrency: int
    engine: str
    origin: Origin
    source: str
    notes: tuple[str, ...] = field(default=())
    reserve_interval: Interval | None = None
    stored_elements: int | None = None
    reserve_by_part: dict[str, Interval] = field(default_factory=dict)
    per_gpu_by_part: dict[str, int] = field(default_factory=dict)
