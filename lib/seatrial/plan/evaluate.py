"""One checkpoint on one engine on one machine: does it run, with what room, how fast, and why."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.plan.gpu_server.weigh import weigh_layouts, weigh_serving
from seatrial.plan.llamacpp.weigh import weigh_workstation
from seatrial.plan.trial import Candidate, Trial
from seatrial.plan.types import TENSOR_PARALLEL


def weigh(candidate: Candidate) -> Trial:
    """The first form that runs, else the one that comes nearest.

    Raises:
        UsageError: The context is beyond the model's, or nobody has published the checkpoint's size.
        RefusedError: The checkpoint is of another architecture.

    """
    return weigh_serving(candidate) if candidate.engine in TENSOR_PARALLEL else weigh_workstation(candidate)


def weigh_all(candidate: Candidate) -> Iterator[Trial]:
    """Every form: each way to split it over the GPUs, with the recipes of vendors among them."""
    if candidate.engine in TENSOR_PARALLEL:
        yield from weigh_layouts(candidate)
    else:
        yield weigh_workstation(candidate)
