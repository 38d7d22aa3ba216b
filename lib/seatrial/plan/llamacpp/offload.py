"""Places the layers of a model on GPUs and host memory for llama.cpp, and decides whose experts stay on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from math import ceil

from seatrial.memory import compute_footprint
from seatrial.memory.drafter import DrafterBytes, with_drafter
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.bisection import least
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pools
from seatrial.plan.llamacpp.tensor_split import Layers, drafter_layers, fill_evenly, fill_gpus, with_output

ALL_LAYERS = 999
"""llama.cpp's usual number for all layers, the output included."""
_TRIES = 4

Fill = Callable[[Layers, Sequence[float]], tuple[int, ...] | None]
"""Divides layers among GPUs of so many free bytes, None if they do not fit."""


@dataclass(frozen=True, slots=True)
class Split:
    """Division of the layers between GPUs and host."""

    gpu_layers: int  # on GPUs; 999 is all
    cpu_expert_layers: int  # layers, from the first of the model on, whose routed experts stay in host memory
    footprint: Footprint
    shortfall_bytes: int  # of host memory; 0 if it fits
    gpu_shares: tuple[int, ...] = ()  # layers of each GPU; empty unless there are several
    tensor: int = 1  # GPUs that share each tensor


@dataclass(frozen=True, slots=True)
class Offload:
    """A GGUF checkpoint, and the memory it is placed in."""

    candidate: Candidate
    layers: int  # of the model
    pools: Pools
    gpu_bytes: Sequence[int]  # usable of each GPU
    draft_tokens: int = 0  # a step
    drafter: DrafterBytes | None = None  # on the GPUs if there are any

    def measure(self, gpu_layers: int, cpu_expert_layers: int) -> Footprint:
        """Return the bytes of a split whose GPU layers are divided evenly, without the drafter's own."""
        request = self.candidate.request
        return compute_footprint(
            self.candidate.checkpoint,
            engine="llamacpp",
            context_tokens=request.context_for(self.candidate.model),
            concurrency=request.concurrency,
            parallelism=Parallelism(pipeline=max(1, self.pools.gpus)),
            options=Options(gpu_layers=gpu_layers, cpu_expert_layers=cpu_expert_layers, draft_tokens=self.draft_tokens),
        )

    def split(
        self, footprint: Footprint, gpu_layers: int, cpu_expert_layers: int, gpu_shares: tuple[int, ...] = ()
    ) -> Split:
        """Return a split with what it lacks of host memory."""
        if self.drafter and not (gpu_shares and gpu_layers):
            footprint = with_drafter(footprint, self.drafter)
        shortfall = max(0, footprint.host_bytes - self.pools.host_bytes)
        return Split(gpu_layers, cpu_expert_layers, footprint, shortfall, gpu_shares)


def split_layers(offload: Offload, *, unified: bool) -> Split:
    """Place as much on the GPUs as they hold: experts move to host memory first, then whole layers.

    Args:
        offload: Checkpoint, machine and load.
        unified: CPU and GPU share one memory, of which the pool of the host is what the GPU may not take.

    """
    pools, layers = offload.pools, offload.layers
    if unified:
        footprint = offload.measure(ALL_LAYERS, 0)
        if offload.drafter:
            footprint = with_drafter(footprint, offload.drafter)
        lacking = max(0, footprint.total_bytes - pools.gpu_bytes)
        if not lacking or not pools.host_bytes:
            return Split(ALL_LAYERS, 0, footprint, lacking)
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
        return self._shares(self._on_gpus(gpu_layers, cpu_expert_layers), fill_gpus) is not None

    def split(self, gpu_layers: int, cpu_expert_layers: int) -> Split:
        footprint = self.offload.measure(gpu_layers, cpu_expert_layers)
        on_gpus = self._on_gpus(gpu_layers, cpu_expert_layers)
        several = len(self.free_bytes) > 1 and gpu_layers
        shares = self.shares(on_gpus) if several else None
        if shares:
            footprint = self._divided(footprint, on_gpus, shares)
        return self.offload.split(footprint, gpu_layers, cpu_expert_layers, shares or ())

    def shares(self, on_gpus: Layers) -> tuple[int, ...] | None:
        """Return the layers of each GPU: all evenly full, unless only an uneven division leaves the drafter its place."""
        return self._shares(on_gpus, fill_evenly) or self._shares(on_gpus, fill_gpus)

    def _divided(self, footprint: Footprint, on_gpus: Layers, shares: tuple[int, ...]) -> Footprint:
        """Return the footprint with the bytes of the fullest GPU."""
        drafter = self._drafter_on(shares)
        pairs = [(ceil(size), more) for size, more in zip(on_gpus.bytes_per_gpu(shares), drafter, strict=True)]
        layers, extra = max(pairs, key=sum)
        parts = {**footprint.per_gpu_by_part, "layers": layers}
        footprint = replace(footprint, per_gpu_by_part=parts, per_gpu_bytes=sum(parts.values()))
        if self.offload.drafter is None:
            return footprint
        return with_drafter(footprint, self.offload.drafter, on_each=extra, buffers=sum(more > 0 for more in drafter))

    def _shares(self, on_gpus: Layers, fill: Fill) -> tuple[int, ...] | None:
        """Return the model's layers of each GPU if these and the drafter's have enough memory, else None.

        The drafter's places follow from those of the model, which must leave them free.
        """
        drafter, free = self.offload.drafter, self.free_bytes
        if drafter is None:
            return fill(on_gpus, free)
        if not any(free):
            return None
        counts = drafter_layers(with_output([int(size) for size in free]), drafter.layers)
        for _ in range(_TRIES):  # mostly the first places or those they lead to will do
            shares = fill(on_gpus, self._beside(counts))
            if shares is None:
                break
            if self._holds(on_gpus, shares):
                return shares
            counts = drafter_layers(with_output(shares), drafter.layers)
        for places in combinations_with_replacement(range(len(free)), drafter.layers):
            shares = fill(on_gpus, self._beside([places.count(gpu) for gpu in range(len(free))]))
            if shares is not None and self._holds(on_gpus, shares):
                return shares
        return None

    def _beside(self, counts: Sequence[int]) -> list[float]:
        """Return the bytes of each GPU that so many layers of the drafter leave."""
        taken = map(self._drafter_bytes, counts)
        return [max(0, free - size) for free, size in zip(self.free_bytes, taken, strict=True)]

    def _holds(self, on_gpus: Layers, shares: tuple[int, ...]) -> bool:
        sums = zip(on_gpus.bytes_per_gpu(shares), self._drafter_on(shares), self.free_bytes, strict=True)
        return all(size + more <= free for size, more, free in sums)

    def _drafter_on(self, shares: Sequence[int]) -> list[int]:
        """Return the drafter's bytes on each GPU."""
        drafter = self.offload.drafter
        if drafter is None:
            return [0] * len(shares)
        return [self._drafter_bytes(count) for count in drafter_layers(with_output(shares), drafter.layers)]

    def _drafter_bytes(self, layers: int) -> int:
        """Return the bytes of so many layers of the drafter, and of the buffer beside them."""
        drafter = self.offload.drafter
        if drafter is None or not layers:
            return 0
        return ceil((drafter.weights + drafter.kv) * layers / drafter.layers) + int(drafter.buffer.expected)

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
