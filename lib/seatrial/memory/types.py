"""Memory a checkpoint needs, by class and per GPU."""

from __future__ import annotations

from dataclasses import dataclass, field

from seatrial.records import Interval, Origin


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Ranks that share the work, along each axis; all at least 1.

    Attributes:
        tensor: Ranks that split each matrix (SGLang and vLLM count total ranks here).
        data: Attention replicas (DP attention); the KV cache is split among them.
        expert: Ranks the routed experts are spread over.
        pipeline: Ranks that split the layers.

    """

    tensor: int = 1
    data: int = 1
    expert: int = 1
    pipeline: int = 1


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes a checkpoint takes while an engine serves it.

    Attributes:
        weights_bytes: All tensors, counted once.
        kv_bytes: KV cache of all requests, counted once.
        state_bytes: Fixed state beside the KV cache.
        reserve_bytes: CUDA context, graphs, activations and compute buffers, over all GPUs.
        total_bytes: Sum of the four.
        per_gpu_bytes: Bytes on the fullest GPU.
        host_bytes: Bytes in host memory.
        by_class: Weight bytes by tensor class (experts, attention, shared, embeddings, scales, draft, ...).
        kv_by_class: Bytes of each cache, by the engine's own name for the cache.
        parameters_total: Parameters without draft head; None if unknown.
        parameters_active: Parameters used for one token, input embedding not counted; None if unknown.
        context_tokens: Context each request may use.
        concurrency: Requests served at once.
        engine: Engine whose KV layout this is.
        origin: Origin of the weight bytes.
        source: Source of the weight bytes.
        notes: Assumptions and open points, one sentence each.
        reserve_interval: Bounds of the reserve in bytes, over all GPUs.
        stored_elements: Elements as a hub counts them (a byte of two FP4 values is one, a scale is one);
            None if unknown.
        reserve_by_part: The same interval by purpose (CUDA context, graphs, activations ...).
        per_gpu_by_part: ``per_gpu_bytes`` by purpose: sharded weights, weights replicated on other GPUs,
            KV cache, state and reserve; for llama.cpp layers (with their caches) and reserve.

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
