"""llama.cpp across GPUs and host: how many layers go to the GPUs, and whose experts stay behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from seatrial.catalog.types import Checkpoint
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.capacity import Pools
from seatrial.plan.dealt import Layers, deal, deal_evenly
from seatrial.plan.search import least

ALL_LAYERS = 999
"""llama.cpp's customary way of saying all layers, the output included."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where the layers go.

    Attributes:
        gpu_layers: Layers on GPUs; 999 is all.
        cpu_expert_layers: Layers, from the first of the model on, whose routed experts stay in host memory.
        footprint: Bytes with that split.
        shortfall_bytes: Bytes of host memory too few; 0 where it fits.
        gpu_shares: Layers of each GPU; empty where there are not several.

    """

    gpu_layers: int
    cpu_expert_layers: int
    footprint: Footprint
    shortfall_bytes: int
    gpu_shares: tuple[int, ...] = ()


def split_layers(  # noqa: PLR0913, PLR0917 -- one for each thing that changes the split
    checkpoint: Checkpoint,
    layers: int,
    pools: Pools,
    rooms: Sequence[int],
    context_tokens: int,
    concurrency: int,
    *,
    unified: bool,
) -> Split:
    """As much on the GPUs as they hold, experts moved out first, the rest in host memory.

    Args:
        checkpoint: A GGUF checkpoint.
        layers: Layers of the model.
        pools: Memory of the machine.
        rooms: Bytes that may be used of each of its GPUs.
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

    whole = measure(ALL_LAYERS, 0)
    free = _free(whole, rooms)
    experts = whole.by_class.get("experts", 0) / layers
    rest = (whole.total_bytes - whole.host_bytes - whole.reserve_bytes) / layers - experts

    def dealt(gpu_layers: int, cpu_expert_layers: int) -> Layers:
        # llama.cpp offloads the last layers, and keeps the experts of the first ones in host memory.
        offloaded = min(gpu_layers, layers)
        heavy = max(0, min(offloaded, layers - cpu_expert_layers))
        return Layers(offloaded - heavy, heavy, rest, rest + experts)

    def fits(gpu_layers: int, cpu_expert_layers: int) -> bool:
        return deal(dealt(gpu_layers, cpu_expert_layers), free) is not None

    def split(gpu_layers: int, cpu_expert_layers: int) -> Split:
        footprint, on_gpus = measure(gpu_layers, cpu_expert_layers), dealt(gpu_layers, cpu_expert_layers)
        shares = deal_evenly(on_gpus, free) if len(rooms) > 1 and gpu_layers else None
        if shares:
            footprint = _on_fullest(footprint, ceil(max(on_gpus.bytes_of(shares))))
        return _checked(footprint, gpu_layers, cpu_expert_layers, pools, shares or ())

    moved = least(layers, lambda count: fits(ALL_LAYERS, count))
    if moved is not None:
        return split(ALL_LAYERS, moved)
    left = least(layers - 1, lambda count: fits(layers - count, layers))
    kept = layers - left if left is not None else 0
    return split(kept, layers) if kept else split(0, 0)


def _free(footprint: Footprint, rooms: Sequence[int]) -> list[int]:
    reserve = footprint.per_gpu_by_part["reserve"]
    return [room - reserve for room in rooms]


def _on_fullest(footprint: Footprint, size: int) -> Footprint:
    parts = {**footprint.per_gpu_by_part, "layers": size}
    return replace(footprint, per_gpu_by_part=parts, per_gpu_bytes=sum(parts.values()))


def _checked(
    footprint: Footprint, gpu_layers: int, cpu_expert_layers: int, pools: Pools, gpu_shares: tuple[int, ...] = ()
) -> Split:
    shortfall = max(0, footprint.host_bytes - pools.host_bytes)
    return Split(gpu_layers, cpu_expert_layers, footprint, shortfall, gpu_shares)
