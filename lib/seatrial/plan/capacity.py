"""Memory a machine has for a model: GPU memory by the engine's fraction, and the host memory that is left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from seatrial.catalog.types import Checkpoint
from seatrial.hardware.types import Gpu, Hardware
from seatrial.memory.types import Footprint
from seatrial.plan.vendor.limits import limits
from seatrial.units import counted, format_gib, to_gib


@dataclass(frozen=True, slots=True)
class Pools:
    """Memory llama.cpp may use."""

    gpu_bytes: int  # over all GPUs
    host_bytes: int
    gpus: int  # their number
    host_known: bool = True  # the host memory was measured or given; else it is taken as ample


def usable_gpu_bytes(gpu: Gpu, fraction: float) -> int:
    """Return the bytes an engine may take of one GPU: its limit or else its fraction, and no more than is free."""
    share = int((gpu.memory_bytes or 0) * fraction) if gpu.memory_limit_bytes is None else gpu.memory_limit_bytes
    return share if gpu.memory_free_bytes is None else min(share, gpu.memory_free_bytes)


def visible_gpus(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Return the GPUs a process of llama.cpp is planned with: those of known memory; of MIG slices CUDA shows only one."""
    known = tuple(gpu for gpu in gpus if gpu.memory_bytes)
    return known[:1] if all(gpu.mig for gpu in known) else known


@lru_cache(maxsize=256)  # every checkpoint asks for the same machine
def llamacpp_pools(hardware: Hardware, gpus: tuple[Gpu, ...]) -> Pools:
    """Return GPU and host memory for llama.cpp; unified memory is counted once."""
    unified = next((gpu for gpu in gpus if gpu.unified), None)
    if unified is not None:
        return _unified_pools(unified, hardware)
    known = visible_gpus(gpus)
    gpu_bytes = sum(usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in known)
    host = usable_host_bytes(hardware)
    if host is not None:
        return Pools(gpu_bytes=gpu_bytes, host_bytes=host, gpus=len(known))
    installed = sum(gpu.memory_bytes or 0 for gpu in known)
    # A machine without GPUs whose memory nobody gave has nothing a plan could count on.
    ample = max(limits().ample_host_bytes, int(installed * limits().ample_gpu_multiple)) if known else 0
    return Pools(gpu_bytes=gpu_bytes, host_bytes=ample, gpus=len(known), host_known=False)


def unified_fraction(gpu: Gpu) -> float:
    """Return the share of unified memory that a GPU may take if nobody set a limit."""
    if gpu.vendor != "apple":
        return limits().unified_other
    small = (gpu.memory_bytes or 0) <= limits().unified_apple_small_bytes
    return limits().unified_apple_small if small else limits().unified_apple


def _unified_pools(gpu: Gpu, hardware: Hardware) -> Pools:
    """Return one pool; if amdgpu limits the GPU's part of it, a second one of what only the processor can use."""
    usable, host = usable_gpu_bytes(gpu, unified_fraction(gpu)), usable_host_bytes(hardware)
    if gpu.vendor != "amd" or gpu.memory_limit_bytes is None or host is None:
        return Pools(gpu_bytes=usable, host_bytes=0, gpus=1)
    set_aside = (gpu.memory_bytes or 0) - (hardware.host.memory_bytes or 0)
    if gpu.memory_limit_bytes <= set_aside:  # the GPU has what the firmware set aside, and the host has the rest
        return Pools(gpu_bytes=usable, host_bytes=host, gpus=1)
    usable = min(usable, host)
    return Pools(gpu_bytes=usable, host_bytes=host - usable, gpus=1)


def usable_host_bytes(hardware: Hardware) -> int | None:
    """Return the host memory a model may take; None if unknown."""
    installed = hardware.host.usable_memory_bytes
    if installed is None:
        return None
    usable = beside_system(installed)
    free = hardware.host.memory_available_bytes
    return usable if free is None else min(usable, free)


def beside_system(installed: int) -> int:
    """Return the bytes of a memory that the operating system leaves to a model."""
    return installed - min(int(installed * limits().host_share), limits().host_share_most_bytes)


def describe_need(checkpoint: Checkpoint, footprint: Footprint, need: int, ranks: int) -> str:
    """Return what a checkpoint needs as the first half of a sentence: the total and its parts."""
    cache = footprint.kv_bytes + footprint.state_bytes
    # What a server of several GPUs keeps in host memory is no part of its need; llama.cpp's need has both.
    weights = footprint.weights_bytes - (footprint.host_bytes if need < footprint.total_bytes else 0)
    copies = need - weights - cache - footprint.reserve_bytes
    parts = [f"weights {_gib(weights)}", f"KV and state {_gib(cache)}"]
    if copies > 0:
        # The footprint counts once what lies on every rank.
        parts.append(f"their copies on every GPU {_gib(copies)}")
    parts.append(f"reserve {_gib(footprint.reserve_bytes)}")
    gpus = f" on {counted(ranks, 'GPU')}" if ranks else ""
    # Need and capacity are compared over all ranks; the fullest GPU tells the same.
    each = describe_share(need, ranks) if need == footprint.per_gpu_bytes * ranks else ""
    return f"{checkpoint.id} needs {format_gib(need)}{gpus}{each} ({' + '.join(parts)})"


def describe_share(size_bytes: int, ranks: int) -> str:
    """Return the share of one GPU as the end of a phrase; empty for a single GPU."""
    return f", {_gib(size_bytes // ranks)} on each" if ranks > 1 else ""


def _gib(size_bytes: int) -> str:
    return f"{to_gib(size_bytes):,.1f}"
