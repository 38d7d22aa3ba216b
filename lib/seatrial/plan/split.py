"""llama.cpp across GPUs and host: how many layers go to the GPUs, and whose experts stay behind."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog.types import Checkpoint
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.capacity import Pools
from seatrial.plan.search import least

ALL_LAYERS = 999
"""llama.cpp's customary way of saying all layers, the output included."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where the layers go.

    Attributes:
        gpu_layers: Layers on GPUs; 999 is all.
        cpu_expert_layers: Of those, layers whose routed experts stay in host memory.
        footprint: Bytes with that split.
        shortfall_bytes: Bytes of host memory too few; 0 where it fits.

    """

    gpu_layers: int
    cpu_expert_layers: int
    footprint: Footprint
    shortfall_bytes: int


def split_layers(  # noqa: PLR0913 -- one for each thing that changes the split
    checkpoint: Checkpoint, layers: int, pools: Pools, context_tokens: int, concurrency: int, *, unified: bool
) -> Split:
    """As much on the GPUs as they hold, experts moved out first, the rest in host memory.

    Args:
        checkpoint: A GGUF checkpoint.
        layers: Layers of the model.
        pools: Memory of the machine.
        context_tokens: Context of each request.
        concurrency: Requests at once.
        unified: CPU and GPU share one memory.

    """

    def measure(gpu_layers: int, cpu_expert_layers: int) -> Footprint:
        return compute_footprint(
            checkpoint,
            engine="llamacpp",
            context_tokens=context_tokens,
            concurrency=concurrency,
            parallelism=Parallelism(pipeline=max(1, pools.gpus)),
            options={"gpu_layers": gpu_layers, "cpu_expert_layers": cpu_expert_layers},
        )

    if unified:
        whole = measure(ALL_LAYERS, 0)
        return Split(ALL_LAYERS, 0, whole, max(0, whole.total_bytes - pools.gpu_bytes))
    if pools.gpus == 0:
        return _checked(measure(0, 0), 0, 0, pools)
    share = pools.gpu_bytes // pools.gpus

    def fits(footprint: Footprint) -> bool:
        # Whole layers cannot be divided evenly, so one GPU may hold one more than the average.
        margin = footprint.weights_bytes // layers if pools.gpus > 1 else 0
        return footprint.per_gpu_bytes + margin <= share

    moved = least(layers, lambda count: fits(measure(ALL_LAYERS, count)))
    if moved is not None:
        return _checked(measure(ALL_LAYERS, moved), ALL_LAYERS, moved, pools)
    left = least(layers, lambda count: fits(measure(layers - count, layers - count)))
    kept = layers - left if left is not None else 0
    return _checked(measure(kept, kept), kept, kept, pools)


def _checked(footprint: Footprint, gpu_layers: int, cpu_expert_layers: int, pools: Pools) -> Split:
    return Split(gpu_layers, cpu_expert_layers, footprint, max(0, footprint.host_bytes - pools.host_bytes))
