"""Places the layers of a model on GPUs and host memory for llama.cpp, and decides whose experts stay on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from seatrial.memory import compute_footprint
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.bisection import least
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pools
from seatrial.plan.llamacpp.tensor_split import Layers, fill_evenly, fill_gpus

ALL_LAYERS = 999
"""llama.cpp's usual number for all layers, the output included."""


@dataclass(frozen=True, slots=True)
class Split:
    """Division of the layers between GPUs and host."""

    gpu_layers: int  # on GPUs; 999 is all
    cpu_expert_layers: int  # layers, from the first of the model on, whose routed experts stay in host memory
    footprint: Footprint
    shortfall_bytes: int  # of host memory; 0 if it fits
    gpu_shares: tuple[int, ...] = ()  # layers of each GPU; empty unless there are several


@dataclass(frozen=True, slots=True)
class Offload:
    """A GGUF checkpoint, and the memory it is placed in."""

    candidate: Candidate
    layers: int  # of the model
    pools: Pools
    gpu_bytes: Sequence[int]  # usable of each GPU

    def measure(self, gpu_layers: int, cpu_expert_layers: int) -> Footprint:
        """Return the bytes of a split whose GPU layers are divided evenly."""
        request = self.candidate.request
        return compute_footprint(
            self.candidate.checkpoint,
            engine="llamacpp",
            context_tokens=request.context_for(self.candidate.model),
            concurrency=request.concurrency,
            parallelism=Parallelism(pipeline=max(1, self.pools.gpus)),
            options=Options(gpu_layers=gpu_layers, cpu_expert_layers=cpu_expert_layers),
        )

    def split(
        self, footprint: Footprint, gpu_layers: int, cpu_expert_layers: int, gpu_shares: tuple[int, ...] = ()
    ) -> Split:
        """Return a split with what it lacks of host memory."""
        shortfall = max(0, footprint.host_bytes - self.pools.host_bytes)
        return Split(gpu_layers, cpu_expert_layers, footprint, shortfall, gpu_shares)


def split_layers(offload: Offload, *, unified: bool) -> Split:
    """Place as much on the GPUs as they hold: experts move to host memory first, then whole layers.

    Args:
        offload: Checkpoint, machine and load.
        unified: CPU and GPU share one memory.

    """
    pools, layers = offload.pools, offload.layers
    if unified:
        footprint = offload.measure(ALL_LAYERS, 0)
        return Split(ALL_LAYERS, 0, footprint, max(0, footprint.total_bytes - pools.gpu_bytes))
    if pools.gpus == 0:
        return offload.split(offload.measure(0, 0), 0, 0)
    division = _division(offload)
    moved = least(layers, lambda count: division.fits(ALL_LAYERS, count))
    if moved is not None:
        return division.split(ALL_LAYERS, moved)
    on_host = least(layers - 1, lambda count: division.fits(layers - count, layers))
    return division.split(0, 0) if on_host is None else division.split(layers - on_host, layers)


@dataclass(frozen=True, slots=True)
class _Division:
    """Layers divided among GPUs."""

    offload: Offload
    free_bytes: list[int]  # of each GPU, for layers
    light_bytes: float  # of one layer without its experts
    heavy_bytes: float  # of one layer with its experts

    def fits(self, gpu_layers: int, cpu_expert_layers: int) -> bool:
        return fill_gpus(self._on_gpus(gpu_layers, cpu_expert_layers), self.free_bytes) is not None

    def split(self, gpu_layers: int, cpu_expert_layers: int) -> Split:
        footprint = self.offload.measure(gpu_layers, cpu_expert_layers)
        on_gpus = self._on_gpus(gpu_layers, cpu_expert_layers)
        shares = fill_evenly(on_gpus, self.free_bytes) if len(self.free_bytes) > 1 and gpu_layers else None
        if shares:
            fullest = ceil(max(on_gpus.bytes_per_gpu(shares)))
            parts = {**footprint.per_gpu_by_part, "layers": fullest}
            footprint = replace(footprint, per_gpu_by_part=parts, per_gpu_bytes=sum(parts.values()))
        return self.offload.split(footprint, gpu_layers, cpu_expert_layers, shares or ())

    def _on_gpus(self, gpu_layers: int, cpu_expert_layers: int) -> Layers:
        # llama.cpp offloads the last layers, and keeps the experts of the first ones in host memory.
        offloaded = min(gpu_layers, self.offload.layers)
        heavy = max(0, min(offloaded, self.offload.layers - cpu_expert_layers))
        return Layers(offloaded - heavy, heavy, self.light_bytes, self.heavy_bytes)


def _division(offload: Offload) -> _Division:
    footprint = offload.measure(ALL_LAYERS, 0)
    reserve = footprint.per_gpu_by_part["reserve"]
    experts = footprint.by_class.get("experts", 0) / offload.layers
    rest = (footprint.total_bytes - footprint.host_bytes - footprint.reserve_bytes) / offload.layers - experts
    # A GPU that other programs have filled takes no layers, and no memory of the other GPUs.
    free = [max(0, usable - reserve) for usable in offload.gpu_bytes]
    return _Division(offload, free, rest, rest + experts)
