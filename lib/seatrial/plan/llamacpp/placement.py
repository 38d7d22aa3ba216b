"""Places a checkpoint, and a drafter if there is one, in the memory of one machine for llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog.types import Checkpoint
from seatrial.memory.drafter import DrafterBytes, drafter_bytes
from seatrial.memory.model_bytes import model_bytes_of
from seatrial.memory.options import Options
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pools, usable_gpu_bytes, visible_gpus
from seatrial.plan.llamacpp.drafting import drafting_of
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Offload, Split, split_layers
from seatrial.plan.llamacpp.tensor_parallel import split_tensors, tensor_pools
from seatrial.plan.vendor.limits import limits


@dataclass(frozen=True, slots=True)
class Placed:
    """What lies where, and in which memory."""

    split: Split
    pools: Pools
    drafter: Checkpoint | None = None
    draft_tokens: int = 0  # a step

    @property
    def capacity_bytes(self) -> int:
        """Memory to compare the need with: a tensor split leaves only the input embedding in host memory."""
        return self.pools.gpu_bytes + (0 if self.split.tensor > 1 else self.pools.host_bytes)

    @property
    def on_gpus(self) -> bool:
        """True if every layer with its experts is on GPUs."""
        return self.split.gpu_layers == ALL_LAYERS and not self.split.cpu_expert_layers


def place(candidate: Candidate, pools: Pools, drafter: Checkpoint | None = None, *, tensor: bool = False) -> Placed:
    """Place the checkpoint of a candidate for llama.cpp.

    Args:
        candidate: Its request names the machine, and how many tokens are drafted if anybody said.
        pools: Memory of that machine.
        drafter: Lies on the GPUs if there are any.
        tensor: Split each tensor over all GPUs, instead of dividing the layers.

    """
    if tensor:
        pools = tensor_pools(pools, candidate)
    if drafter is None:
        return Placed(_split(candidate, pools, 0, None, tensor=tensor), pools)
    facts, asked = drafting_of(candidate.engine), candidate.request.draft_tokens
    placed = _beside(candidate, pools, drafter, asked or facts.draft_tokens, tensor=tensor)
    if asked or placed.on_gpus or not pools.gpus:
        return placed
    return _beside(candidate, pools, drafter, facts.draft_tokens_host, tensor=tensor)


def _beside(candidate: Candidate, pools: Pools, drafter: Checkpoint, draft_tokens: int, *, tensor: bool) -> Placed:
    request = candidate.request
    context = request.context_for(candidate.model)
    size = drafter_bytes(drafter, context, request.concurrency, Options(draft_tokens=draft_tokens))
    split = _split(candidate, pools, draft_tokens, size, tensor=tensor)
    return Placed(split, pools, drafter, draft_tokens)


def _split(
    candidate: Candidate, pools: Pools, draft_tokens: int, drafter: DrafterBytes | None, *, tensor: bool
) -> Split:
    if tensor:
        return split_tensors(candidate, pools, draft_tokens, drafter)
    layers = int(model_bytes_of(candidate.checkpoint).config["num_hidden_layers"])
    gpus = candidate.request.hardware.gpus
    unified = any(gpu.unified for gpu in gpus)
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in visible_gpus(gpus)]
    offload = Offload(candidate, layers, pools, [pools.gpu_bytes] if unified else usable, draft_tokens, drafter)
    return split_layers(offload, unified=unified)
