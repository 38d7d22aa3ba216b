"""llama.cpp across GPUs and host: how many layers go to the GPUs, and whose experts stay behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from seatrial.catalog.types import Checkpoint
from seatrial.memory import compute_footprint
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.bisection import least
from seatrial.plan.capacity import Pools
from seatrial.plan.llamacpp.tensor_split import Layers, deal, deal_evenly

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


@dataclass(frozen=True, slots=True)
class Placing:
    """A GGUF checkpoint to be placed on one machine.

    Attributes:
        checkpoint: What is served.
        layers: Layers of the model.
        pools: Memory of the machine.
        rooms: Bytes that may be used of each of its GPUs.
        context_tokens: Context of each request.
        concurrency: Requests at once.

    """

    checkpoint: Checkpoint
    layers: int
    pools: Pools
    rooms: Sequence[int]
    context_tokens: int
    concurrency: int

    def measure(self, gpu_layers: int, cpu_expert_layers: int) -> Footprint:
        """Bytes with that split, the GPUs' layers taken to be shared out evenly."""
        return compute_footprint(
            self.checkpoint,
            engine="llamacpp",
            context_tokens=self.context_tokens,
            concurrency=self.concurrency,
            parallelism=Parallelism(pipeline=max(1, self.pools.gpus)),
            options=Options(gpu_layers=gpu_layers, cpu_expert_layers=cpu_expert_layers),
        )


def split_layers(placing: Placing, *, unified: bool) -> Split:
    """As much on the GPUs as they hold, experts moved out first, the rest in host memory.

    Args:
        placing: Checkpoint, machine and load.
        unified: CPU and GPU share one memory.

    """
    pools, layers = placing.pools, placing.layers
    if unified:
        whole = placing.measure(ALL_LAYERS, 0)
        return Split(ALL_LAYERS, 0, whole, max(0, whole.total_bytes - pools.gpu_bytes))
    if pools.gpus == 0:
        return _checked(placing.measure(0, 0), 0, 0, pools)
    dealing = _dealing(placing)
    moved = least(layers, lambda count: dealing.fits(ALL_LAYERS, count))
    if moved is not None:
        return dealing.split(ALL_LAYERS, moved)
    left = least(layers - 1, lambda count: dealing.fits(layers - count, layers))
    kept = layers - left if left is not None else 0
    return dealing.split(kept, layers) if kept else dealing.split(0, 0)


@dataclass(frozen=True, slots=True)
class _Dealing:
    """Layers dealt out to GPUs: room for them on each, and bytes of one without and with its experts."""

    placing: Placing
    free: list[int]
    light_bytes: float
    heavy_bytes: float

    def fits(self, gpu_layers: int, cpu_expert_layers: int) -> bool:
        return deal(self._dealt(gpu_layers, cpu_expert_layers), self.free) is not None

    def split(self, gpu_layers: int, cpu_expert_layers: int) -> Split:
        footprint = self.placing.measure(gpu_layers, cpu_expert_layers)
        on_gpus = self._dealt(gpu_layers, cpu_expert_layers)
        shares = deal_evenly(on_gpus, self.free) if len(self.free) > 1 and gpu_layers else None
        if shares:
            footprint = _on_fullest(footprint, ceil(max(on_gpus.bytes_of(shares))))
        return _checked(footprint, gpu_layers, cpu_expert_layers, self.placing.pools, shares or ())

    def _dealt(self, gpu_layers: int, cpu_expert_layers: int) -> Layers:
        # llama.cpp offloads the last layers, and keeps the experts of the first ones in host memory.
        offloaded = min(gpu_layers, self.placing.layers)
        heavy = max(0, min(offloaded, self.placing.layers - cpu_expert_layers))
        return Layers(offloaded - heavy, heavy, self.light_bytes, self.heavy_bytes)


def _dealing(placing: Placing) -> _Dealing:
    whole = placing.measure(ALL_LAYERS, 0)
    reserve = whole.per_gpu_by_part["reserve"]
    experts = whole.by_class.get("experts", 0) / placing.layers
    rest = (whole.total_bytes - whole.host_bytes - whole.reserve_bytes) / placing.layers - experts
    # A GPU that others have filled has no room, and takes none of its neighbours'.
    free = [max(0, room - reserve) for room in placing.rooms]
    return _Dealing(placing, free, rest, rest + experts)


def _on_fullest(footprint: Footprint, size: int) -> Footprint:
    parts = {**footprint.per_gpu_by_part, "layers": size}
    return replace(footprint, per_gpu_by_part=parts, per_gpu_bytes=sum(parts.values()))


def _checked(
    footprint: Footprint, gpu_layers: int, cpu_expert_layers: int, pools: Pools, gpu_shares: tuple[int, ...] = ()
) -> Split:
    shortfall = max(0, footprint.host_bytes - pools.host_bytes)
    return Split(gpu_layers, cpu_expert_layers, footprint, shortfall, gpu_shares)
