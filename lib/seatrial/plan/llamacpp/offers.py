"""Names what would make a plan of llama.cpp faster by published runs and fits too, with the option that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.catalog.find import drafter_of
from seatrial.catalog.types import Checkpoint
from seatrial.plan.candidate import Candidate
from seatrial.plan.llamacpp.drafting import drafter_problems, drafting_of
from seatrial.plan.llamacpp.placement import Placed, place
from seatrial.plan.llamacpp.tensor_parallel import tensor_problems, tensor_split_of
from seatrial.records import Reason
from seatrial.units import format_gib


def offers(candidate: Candidate, placed: Placed) -> Iterator[Reason]:
    """Yield what a person may ask for in addition, if then all of the model is on GPUs: published runs gained only so."""
    tensor = placed.split.tensor > 1
    drafter = drafter_of(candidate.checkpoint) if placed.on_gpus and placed.drafter is None else None
    if drafter and not any(drafter_problems(candidate, drafter)) and _fits(candidate, placed, drafter, tensor=tensor):
        facts = drafting_of(candidate.engine)
        text = (
            f"Faster by published runs: --drafter auto adds {drafter.id} ({format_gib(drafter.weights_bytes or 0)}), "
            f"which fits too; {facts.gain}. Answers stay the model's own, but not bit for bit."
        )
        yield Reason(text, "verified", facts.source)
    count = placed.pools.gpus
    if tensor or any(tensor_problems(candidate, count)):
        return
    if _fits(candidate, placed, placed.drafter, tensor=True):
        split = tensor_split_of(candidate.engine)
        text = (
            f"Faster by published runs: --tensor-parallel {count} splits each tensor over the GPUs, which fits{' too' if placed.on_gpus else ', with nothing left to the host'}; "
            f"{split.gain}."
        )
        yield Reason(text, "verified", split.source)


def _fits(candidate: Candidate, placed: Placed, drafter: Checkpoint | None, *, tensor: bool) -> bool:
    """Return True if all of it is on GPUs in this other form."""
    other = place(candidate, placed.pools, drafter, tensor=tensor)
    return other.on_gpus and other.split.shortfall_bytes == 0
