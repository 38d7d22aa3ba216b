"""One checkpoint on one engine for one wish: what is weighed, and the plan it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint, Model
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.request import Request, context_reason
from seatrial.plan.types import Plan, Recipe, Verdict
from seatrial.plan.vendor.chat import chat_of
from seatrial.records import Reason
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class Candidate:
    """What could be run.

    Attributes:
        model: Model of the checkpoint.
        checkpoint: What to serve.
        engine: Engine id.
        request: Machine and wishes.

    """

    model: Model
    checkpoint: Checkpoint
    engine: str
    request: Request


class Trial(Protocol):
    """A candidate weighed in one form; only the one that is chosen is worth explaining and predicting."""

    @property
    def candidate(self) -> Candidate:
        """What was weighed."""

    @property
    def verdict(self) -> Verdict:
        """What the rules and the memory say."""

    @property
    def shortfall_bytes(self) -> int:
        """Bytes too few; 0 where it runs or is refused."""

    @property
    def runs(self) -> bool:
        """Whether the verdict says it runs."""

    def plan(self) -> Plan:
        """The plan, with its reasons and prediction."""

    def with_load(self, request: Request) -> Trial:
        """The same for a request that differs in the load of the prediction alone; that changes no bytes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of weighing a candidate in one form.

    Attributes:
        verdict: Whether it runs.
        context_tokens: Context of each request.
        footprint: Bytes needed.
        capacity_bytes: Bytes there are.
        shortfall_bytes: Bytes too few, 0 where it runs or is refused.
        reasons: Why, but for the context.
        parallelism: Ranks along each axis.
        nodes: Machines used.
        gpus_per_node: GPUs used in each.
        prediction: Expected speed, None where it does not run.
        recipe: Vendor recipe used or nearest.
        gpu_memory_fraction: Share of GPU memory the engine is told to take, None where it is told none.
        gpu_memory_fraction_used: The share it takes.
        gpu_memory_fraction_min: The smallest share that works.
        running_requests: Requests of the predicted lengths that run at once.
        running_requests_full: Those that run at once where each fills its context.
        gpu_layers: llama.cpp: layers on GPUs.
        cpu_expert_layers: llama.cpp: layers whose experts stay in host memory.

    """

    verdict: Verdict
    context_tokens: int
    footprint: Footprint
    capacity_bytes: int
    shortfall_bytes: int
    reasons: list[Reason]
    parallelism: Parallelism
    nodes: int
    gpus_per_node: int
    prediction: Prediction | None = None
    recipe: Recipe | None = None
    gpu_memory_fraction: float | None = None
    gpu_memory_fraction_used: float | None = None
    gpu_memory_fraction_min: float | None = None
    running_requests: int | None = None
    running_requests_full: int | None = None
    gpu_layers: int | None = None
    cpu_expert_layers: int | None = None


def planned(candidate: Candidate, outcome: Outcome) -> Plan:
    """The plan, without what only the chosen one is told (how it compares, what would help, how to talk to it)."""
    request, recipe = candidate.request, outcome.recipe
    flags = recipe.argv if recipe else ()
    return Plan(
        verdict=outcome.verdict,
        model=candidate.model.id,
        checkpoint=candidate.checkpoint.id,
        engine=candidate.engine,
        engine_version_min=engine_facts(candidate.engine).versions.safe,
        hardware=request.hardware,
        nodes=outcome.nodes,
        gpus_per_node=outcome.gpus_per_node,
        parallelism=outcome.parallelism,
        context_tokens=outcome.context_tokens,
        concurrency=request.concurrency,
        objective=request.objective,
        gpu_memory_fraction=outcome.gpu_memory_fraction,
        gpu_memory_fraction_used=outcome.gpu_memory_fraction_used,
        gpu_memory_fraction_min=outcome.gpu_memory_fraction_min,
        running_requests=outcome.running_requests,
        running_requests_full=outcome.running_requests_full,
        gpu_layers=outcome.gpu_layers,
        cpu_expert_layers=outcome.cpu_expert_layers,
        footprint=outcome.footprint,
        capacity_bytes=outcome.capacity_bytes,
        shortfall_bytes=outcome.shortfall_bytes,
        prediction=outcome.prediction,
        recipe=recipe,
        smallest_change=None,
        reasons=(*outcome.reasons, context_reason(candidate.model, request, outcome.context_tokens)),
        chat=chat_of(candidate.engine, candidate.model, candidate.checkpoint, outcome.context_tokens, flags),
    )
