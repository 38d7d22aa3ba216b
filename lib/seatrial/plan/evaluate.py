"""Evaluates one checkpoint on one engine on one machine: does it run, in which form, and with how much memory to spare."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.gpu_server.trial import best_layout, try_layouts
from seatrial.plan.llamacpp.trial import try_offload
from seatrial.plan.types import TENSOR_PARALLEL


def evaluate(candidate: Candidate) -> Trial:
    """Return the first form that runs, else the one that comes nearest.

    Raises:
        UsageError: If the context is longer than the model's, or nobody has published the checkpoint's size.
        RefusedError: If the checkpoint is of another architecture.

    """
    return best_layout(candidate) if candidate.engine in TENSOR_PARALLEL else try_offload(candidate)


def evaluate_all(candidate: Candidate) -> Iterator[Trial]:
    """Yield every form: each way to split it over the GPUs, vendors' recipes included."""
    if candidate.engine in TENSOR_PARALLEL:
        yield from try_layouts(candidate)
    else:
        yield try_offload(candidate)
