"""How much memory a machine offers a model: GPU memory by the engine's share, host memory by what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from seatrial.catalog.types import Checkpoint
from seatrial.hardware.types import Gpu, Hardware
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.vendor.default_fraction import RUNNING_FLAG, prefill_tokens
from seatrial.plan.vendor.limits import limits
from seatrial.units import counted, format_gib, to_gib

WINDOW_FLAG = "--swa-full-tokens-ratio"
_REMEMBERED = 256
"""Machines whose pools are kept: every checkpoint asks for the same."""
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


@dataclass(frozen=True, slots=True)
class Pool:
    """Room of one attention replica for the caches of requests.

    Attributes:
        tokens: Tokens its KV cache holds.
        window_tokens: Tokens whose windows SGLang's second pool holds; None for engines without one.
        prompt_tokens: Most tokens of one prompt that lie there at once: pieces of prompts are read one by one.

    """

    tokens: float
    window_tokens: float | None = None
    prompt_tokens: int = 1

    def requests(self, tokens: float) -> int:
        """Requests of so many tokens that are held at once, at least one; longer ones are never more.

        SGLang keeps a window pool of a tenth of the other pool's tokens (``--swa-full-tokens-ratio``), and the piece
        of a prompt that was read last lies in it whole until its window has moved on. That, not the bytes of
        compressed KV, was the limit in every published run that had one. vLLM frees what lies before the window.
        """
        held = self.tokens / tokens
        if self.window_tokens is not None:
            held = min(held, self.window_tokens / min(tokens, self.prompt_tokens))
        return max(1, int(held))

    def lacks_windows(self, tokens: float) -> bool:
        """Whether windows, not the KV cache, limit requests of so many tokens."""
        windows = self.window_tokens
        return windows is not None and windows / min(tokens, self.prompt_tokens) < self.tokens / tokens


def pool_of(  # noqa: PLR0913 -- everything the room depends on
    engine: str,
    footprint: Footprint,
    *,
    gpu: Gpu,
    usable: int,
    ranks: Parallelism,
    flags: Mapping[str, str | None],
    drafting: bool,
) -> Pool:
    """What the memory beside weights, state and reserve holds.

    Args:
        engine: ``sglang`` or ``vllm``.
        footprint: Bytes with the requests that are held at once.
        gpu: One of the equal GPUs.
        usable: Bytes of it a plan may count on.
        ranks: How the work is split.
        flags: Flags of the recipe.
        drafting: Whether a draft model runs beside.

    """
    cache = footprint.per_gpu_by_part["kv"]
    each = max(cache / ceil(footprint.concurrency / ranks.data) / footprint.context_tokens, 1.0)
    free = max(0, usable - footprint.per_gpu_bytes + cache)
    if engine != "sglang":
        return Pool(free / each)
    tokens = max(0, free - (limits().draft_model_bytes if drafting else 0)) / each
    if RUNNING_FLAG in flags and WINDOW_FLAG not in flags:
        # Then SGLang makes the window pool for so many requests, not for a share of the tokens.
        return Pool(tokens)
    return Pool(
        tokens, tokens * window_share(flags) * limits().window_oversubscription, prefill_tokens(gpu, ranks, flags)
    )


def window_share(flags: Mapping[str, str | None]) -> float:
    """Tokens of SGLang's window pool over those of the other one."""
    return float(flags.get(WINDOW_FLAG) or Options().swa_ratio)


def decoding(places: int, flags: Mapping[str, str | None]) -> int:
    """Requests of so many places that decode at once: fewer where replicas wait for one another's prompts."""
    return max(1, round(places * limits().delayed_running)) if DELAYER_FLAG in flags else places


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
