"""How much memory a machine offers a model: GPU memory by the engine's share, host memory by what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.hardware.types import Gpu, Hardware
from seatrial.plan.limits import limits


@dataclass(frozen=True, slots=True)
class Pools:
    """Memory llama.cpp may use.

    Attributes:
        gpu_bytes: Over all GPUs.
        host_bytes: In host memory; None where a named machine's host memory was not given.
        gpus: Number of GPUs.

    """

    gpu_bytes: int
    host_bytes: int | None
    gpus: int


def usable_gpu_bytes(gpu: Gpu, fraction: float) -> int:
    """What an engine may take of one GPU: its share, and no more than is free."""
    share = int((gpu.memory_bytes or 0) * fraction)
    return share if gpu.memory_free_bytes is None else min(share, gpu.memory_free_bytes)


def llamacpp_pools(hardware: Hardware, nodes_gpus: Sequence[Gpu]) -> Pools:
    """GPU and host memory for llama.cpp; on unified memory the two are one, counted once."""
    if any(gpu.unified for gpu in nodes_gpus):
        gpu = next(gpu for gpu in nodes_gpus if gpu.unified)
        fraction = limits().unified_apple if gpu.vendor == "apple" else limits().unified_other
        return Pools(gpu_bytes=usable_gpu_bytes(gpu, fraction), host_bytes=0, gpus=1)
    known = [gpu for gpu in nodes_gpus if gpu.memory_bytes]
    gpu_bytes = sum(usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in known)
    return Pools(gpu_bytes=gpu_bytes, host_bytes=usable_host_bytes(hardware), gpus=len(known))


def usable_host_bytes(hardware: Hardware) -> int | None:
    """Host memory a model may take, None where it is not known."""
    installed = hardware.host.usable_memory_bytes
    if installed is None:
        return None
    kept = min(int(installed * limits().host_share), limits().host_share_most_bytes)
    free = hardware.host.memory_available_bytes
    return installed - kept if free is None else min(installed - kept, free)
