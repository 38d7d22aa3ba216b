"""How much memory a machine offers a model: GPU memory by the engine's share, host memory by what is left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from seatrial.catalog.types import Checkpoint
from seatrial.hardware.types import Gpu, Hardware
from seatrial.memory.types import Footprint
from seatrial.plan.vendor.limits import limits
from seatrial.units import counted, format_gib, to_gib

_REMEMBERED = 256
"""Machines whose pools are kept: every checkpoint asks for the same."""


@dataclass(frozen=True, slots=True)
class Pools:
    """Memory llama.cpp may use.

    Attributes:
        gpu_bytes: Over all GPUs.
        host_bytes: In host memory.
        gpus: Number of GPUs.
        host_known: Whether the host memory was measured or given; else it is taken as ample.

    """

    gpu_bytes: int
    host_bytes: int
    gpus: int
    host_known: bool = True


def usable_gpu_bytes(gpu: Gpu, fraction: float) -> int:
    """What an engine may take of one GPU: its share, and no more than is free."""
    share = int((gpu.memory_bytes or 0) * fraction)
    return share if gpu.memory_free_bytes is None else min(share, gpu.memory_free_bytes)


def seen_gpus(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """GPUs a process of llama.cpp is planned with: those of known memory; where all are MIG slices CUDA shows it one."""
    known = tuple(gpu for gpu in gpus if gpu.memory_bytes)
    return known[:1] if all(gpu.mig for gpu in known) else known


@lru_cache(maxsize=_REMEMBERED)
def llamacpp_pools(hardware: Hardware, nodes_gpus: tuple[Gpu, ...]) -> Pools:
    """GPU and host memory for llama.cpp; on unified memory the two are one, counted once."""
    if any(gpu.unified for gpu in nodes_gpus):
        gpu = next(gpu for gpu in nodes_gpus if gpu.unified)
        fraction = limits().unified_apple if gpu.vendor == "apple" else limits().unified_other
        return Pools(gpu_bytes=usable_gpu_bytes(gpu, fraction), host_bytes=0, gpus=1)
    known = seen_gpus(nodes_gpus)
    gpu_bytes = sum(usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in known)
    host = usable_host_bytes(hardware)
    if host is not None:
        return Pools(gpu_bytes=gpu_bytes, host_bytes=host, gpus=len(known))
    installed = sum(gpu.memory_bytes or 0 for gpu in known)
    # A machine without GPUs whose memory nobody gave offers nothing one could count on.
    ample = max(limits().ample_host_bytes, int(installed * limits().ample_gpu_multiple)) if known else 0
    return Pools(gpu_bytes=gpu_bytes, host_bytes=ample, gpus=len(known), host_known=False)


def usable_host_bytes(hardware: Hardware) -> int | None:
    """Host memory a model may take, None where it is not known."""
    installed = hardware.host.usable_memory_bytes
    if installed is None:
        return None
    kept = min(int(installed * limits().host_share), limits().host_share_most_bytes)
    free = hardware.host.memory_available_bytes
    return installed - kept if free is None else min(installed - kept, free)


def describe_need(checkpoint: Checkpoint, footprint: Footprint, need: int, ranks: int) -> str:
    """Return what a checkpoint needs as the first half of a sentence: the total and its parts."""
    cache = footprint.kv_bytes + footprint.state_bytes
    copies = need - footprint.weights_bytes - cache - footprint.reserve_bytes
    parts = [f"weights {_number(footprint.weights_bytes)}", f"KV and state {_number(cache)}"]
    if copies > 0:
        # What lies on every rank is counted once in the footprint and as often as there are ranks here.
        parts.append(f"their copies on every rank {_number(copies)}")
    parts.append(f"reserve {_number(footprint.reserve_bytes)}")
    where = f" on {counted(ranks, 'GPU')}" if ranks else ""
    # Need and capacity are compared over all ranks; the fullest GPU tells the same.
    each = describe_share(need, ranks) if need == footprint.per_gpu_bytes * ranks else ""
    return f"{checkpoint.id} needs {format_gib(need)}{where}{each} ({' + '.join(parts)})"


def describe_share(size_bytes: int, ranks: int) -> str:
    """Return the share of one GPU as the end of a phrase; empty for a single GPU."""
    return f", {_number(size_bytes // ranks)} on each" if ranks > 1 else ""


def _number(size_bytes: int) -> str:
    return f"{to_gib(size_bytes):,.1f}"
