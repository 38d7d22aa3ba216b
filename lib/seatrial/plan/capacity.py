"""How much memory a machine offers a model: GPU memory by the engine's share, host memory by what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.hardware.types import Gpu, Hardware
from seatrial.memory.options import Options
from seatrial.plan.limits import limits
from seatrial.speed.work import Load

WINDOW_FLAG = "--swa-full-tokens-ratio"
DELAYER_FLAG = "--enable-prefill-delayer"


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


def llamacpp_pools(hardware: Hardware, nodes_gpus: Sequence[Gpu]) -> Pools:
    """GPU and host memory for llama.cpp; on unified memory the two are one, counted once."""
    if any(gpu.unified for gpu in nodes_gpus):
        gpu = next(gpu for gpu in nodes_gpus if gpu.unified)
        fraction = limits().unified_apple if gpu.vendor == "apple" else limits().unified_other
        return Pools(gpu_bytes=usable_gpu_bytes(gpu, fraction), host_bytes=0, gpus=1)
    known = [gpu for gpu in nodes_gpus if gpu.memory_bytes]
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


def requests_held(engine: str, free_bytes: int, bytes_per_token: float, load: Load, flags: Mapping[str, str]) -> int:
    """Requests of this load whose caches one attention replica holds at once.

    SGLang keeps a window pool of a tenth of the other pool's tokens (``--swa-full-tokens-ratio``), and a prompt lies
    in it whole until its window has moved on. That, not the bytes of compressed KV, was the limit in every published
    run that had one. vLLM frees what lies before the window.

    Args:
        engine: Engine id.
        free_bytes: Of one GPU, for the KV cache.
        bytes_per_token: Of the KV cache, on one GPU.
        load: The requests.
        flags: Flags of the recipe.

    """
    share = 1.0
    if engine == "sglang":
        free_bytes -= limits().draft_room_bytes if load.draft_tokens else 0
        share = float(flags.get(WINDOW_FLAG) or Options().swa_ratio) * limits().window_room
    tokens = free_bytes / max(bytes_per_token, 1.0) * share
    return max(1, int(tokens / (load.mean_prompt + load.mean_answer)))
