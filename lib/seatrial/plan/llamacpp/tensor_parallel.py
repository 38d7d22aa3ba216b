"""Splits each tensor over all GPUs of a machine for llama.cpp (``--split-mode tensor``), instead of dividing layers."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from seatrial.catalog.engine_facts import TensorSplit, engine_facts
from seatrial.errors import UsageError
from seatrial.memory import compute_footprint
from seatrial.memory.drafter import DrafterBytes, with_drafter
from seatrial.memory.model_bytes import model_bytes_of
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pools, usable_gpu_bytes, visible_gpus
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.plan.vendor.limits import limits
from seatrial.records import Reason
from seatrial.units import counted


def tensor_split_of(engine: str) -> TensorSplit:
    """Return what is known about the tensor split of an engine that has one."""
    facts = engine_facts(engine).tensor_split
    if facts is None:
        raise UsageError(f"{engine} has no tensor split.", remedy="Leave --tensor-parallel out.")
    return facts


def tensor_problems(candidate: Candidate, ranks: int) -> Iterator[Reason]:
    """Yield why llama.cpp cannot split the tensors of a checkpoint over so many GPUs of the machine."""
    hardware, source = candidate.request.hardware, tensor_split_of(candidate.engine).source
    gpus = visible_gpus(hardware.gpus)
    kinds = {(gpu.name, gpu.memory_bytes) for gpu in hardware.gpus}
    if model_bytes_of(candidate.checkpoint).shape is None:
        text = f"This kit plans llama.cpp's tensor split for DeepSeek V4 only, not for {candidate.model.name}."
    elif len(gpus) < 2 or any(gpu.unified for gpu in gpus):  # noqa: PLR2004 -- one GPU has nothing to share with
        text = f"llama.cpp splits tensors over several GPUs, and {hardware.name} offers {counted(min(1, len(gpus)), 'GPU')}."
    elif len(kinds) > 1 or len(gpus) < len(hardware.gpus):
        text = f"llama.cpp gives every GPU the same part of each tensor, and those of {hardware.name} are not equal."
    elif ranks != len(gpus):
        text = (
            f"llama.cpp splits tensors over all {len(gpus)} GPUs it sees: --tensor-parallel {len(gpus)}, not {ranks}."
        )
    else:
        return
    yield Reason(f"{text} Without --tensor-parallel it divides the layers.", "verified", source)


def tensor_pools(pools: Pools, candidate: Candidate) -> Pools:
    """Return the memory for a tensor split: the same of every GPU, and host memory."""
    usable = min(_usable(candidate))
    return Pools(usable * pools.gpus, pools.host_bytes, pools.gpus, pools.host_known)


def split_tensors(candidate: Candidate, pools: Pools, draft_tokens: int, drafter: DrafterBytes | None) -> Split:
    """Return the split with what it lacks: every GPU holds its part of the tensors, and all of the caches."""
    request, count = candidate.request, pools.gpus
    footprint = compute_footprint(
        candidate.checkpoint,
        engine=candidate.engine,
        context_tokens=request.context_for(candidate.model),
        concurrency=request.concurrency,
        parallelism=Parallelism(tensor=count),
        options=Options(draft_tokens=draft_tokens, ubatch_tokens=tensor_split_of(candidate.engine).ubatch_tokens),
    )
    if drafter:
        footprint = _beside(footprint, drafter, count)
    lacking = max(0, footprint.per_gpu_bytes - min(_usable(candidate))) * count
    lacking += max(0, footprint.host_bytes - pools.host_bytes)
    return Split(ALL_LAYERS, 0, footprint, lacking, tensor=count)


def _beside(footprint: Footprint, drafter: DrafterBytes, count: int) -> Footprint:
    """Return the footprint with a drafter, whose experts are divided as the model's are; each GPU holds all the rest."""
    alone = drafter.weights - drafter.experts + drafter.kv + int(drafter.buffer.expected)
    return with_drafter(footprint, drafter, on_each=ceil(drafter.experts / count) + alone, buffers=count)


def _usable(candidate: Candidate) -> list[int]:
    gpus = visible_gpus(candidate.request.hardware.gpus)
    return [usable_gpu_bytes(gpu, limits().llamacpp_tensor_fraction) for gpu in gpus]
