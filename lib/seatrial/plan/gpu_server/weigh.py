"""A plan for SGLang or vLLM: layouts over equal GPUs weighed, and what the chosen one leaves for requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from seatrial.memory.types import Parallelism
from seatrial.plan.capacity import DELAYER_FLAG, usable_gpu_bytes
from seatrial.plan.gpu_server.admission import Admission, running_of, waiting_reasons
from seatrial.plan.gpu_server.forecast import gpu_forecast
from seatrial.plan.gpu_server.kv_capacity import KvCapacity, Offer, offer_of
from seatrial.plan.gpu_server.layouts import Layout, layouts
from seatrial.plan.gpu_server.memory_fraction import fraction_needed, fraction_reasons
from seatrial.plan.gpu_server.nearest_recipe import nearest_recipe
from seatrial.plan.gpu_server.reasons import cell_reason, memory_reason, overdrawn_reason
from seatrial.plan.gpu_server.stages import staged_forecast
from seatrial.plan.load import work_of
from seatrial.plan.request import Request
from seatrial.plan.trial import Candidate, Outcome, planned
from seatrial.plan.types import Plan, Recipe, Verdict
from seatrial.plan.vendor.rules import Case, refusals, refused_anyhow
from seatrial.records import Reason
from seatrial.speed import Prediction, ServingLoad


@dataclass(frozen=True, slots=True)
class Weighed:
    """One layout, and whether it runs.

    Attributes:
        candidate: What is served.
        layout: GPUs used and how the work is split.
        context_tokens: Context of each request.
        refused: Rules that refuse it; empty where none does.
        offer: The room it has for requests; how many fit is worked out for a plan alone.
        first: The room with one of them.

    """

    candidate: Candidate
    layout: Layout
    context_tokens: int
    refused: list[Reason]
    offer: Offer
    first: KvCapacity

    @property
    def verdict(self) -> Verdict:
        """What the rules and the memory say."""
        if self.refused:
            return "refused"
        if self.shortfall_bytes:
            return "does_not_fit"
        return "verified" if self.layout.cell is not None and self.layout.cell.verified else "fits"

    @property
    def runs(self) -> bool:
        """Whether the verdict says it runs."""
        return not self.refused and not self.shortfall_bytes

    @property
    def shortfall_bytes(self) -> int:
        """Bytes too few; what is refused has none."""
        return 0 if self.refused else self.first.shortfall_bytes

    def with_load(self, request: Request) -> Weighed:
        """The same for a request that differs in the load of the prediction alone."""
        return replace(self, candidate=replace(self.candidate, request=request))

    def plan(self) -> Plan:
        """The plan, with its reasons and prediction."""
        candidate, layout, room = self.candidate, self.layout, self.offer.room(self.first)
        gpus = candidate.request.gpus
        recipe = _recipe(candidate, layout)
        running = running_of(candidate, layout, room) if self.runs else None
        return planned(
            candidate,
            Outcome(
                verdict=self.verdict,
                context_tokens=self.context_tokens,
                footprint=room.footprint,
                capacity_bytes=room.capacity_bytes,
                shortfall_bytes=self.shortfall_bytes,
                reasons=self.refused or _reasons(candidate, layout, room, recipe, running),
                parallelism=layout.parallelism,
                nodes=layout.nodes,
                gpus_per_node=layout.gpus_per_node,
                prediction=_forecast(candidate, layout, running.load) if running else None,
                recipe=recipe,
                gpu_memory_fraction=_given(layout, room),
                gpu_memory_fraction_used=room.fraction if gpus else None,
                gpu_memory_fraction_min=fraction_needed(candidate.engine, room.footprint, gpus[0]) if running else None,
                running_requests=running.load.running if running else None,
                running_requests_full=running.full if running else None,
            ),
        )


def weigh_serving(candidate: Candidate) -> Weighed:
    """The first layout that runs, else the most telling one that does not.

    Args:
        candidate: What to serve with ``sglang`` or ``vllm``.

    """
    best: Weighed | None = None
    for weighed in weigh_layouts(candidate):
        if weighed.runs:
            return weighed
        explicit = candidate.request.tensor_parallel is not None
        best = weighed if best is None else _nearer(best, weighed, explicit=explicit)
    assert best is not None  # noqa: S101 -- there is at least one layout
    return best


def weigh_layouts(candidate: Candidate) -> Iterator[Weighed]:
    """Layouts in order of preference, whether they run or not; what a recipe that runs has settled comes once.

    Where no form over so many GPUs has the memory, fewer GPUs are not looked at; where one is not refused, no fewer
    machines. What is refused whatever the split is looked at once.
    """
    settled: set[tuple[int, int, Parallelism]] = set()
    place, fitted, machines = (0, 0), True, 1
    for layout in layouts(candidate.engine, candidate.checkpoint, candidate.request):
        here = (layout.nodes, layout.gpus_per_node)
        if layout.cell is None and here != place:
            if layout.nodes < machines:
                continue
            if not fitted:
                return
            place, fitted = here, False
        if layout.cell is None and (*here, layout.parallelism) in settled:
            fitted = True
            continue
        weighed = _weigh(candidate, layout)
        if weighed.runs:
            settled.add((*here, layout.parallelism))
        if not weighed.refused:
            machines = max(machines, layout.nodes)
        fitted = fitted or not weighed.shortfall_bytes
        yield weighed
        if weighed.refused and refused_anyhow(_case(candidate, layout, weighed.context_tokens)):
            return


def _weigh(candidate: Candidate, layout: Layout) -> Weighed:
    context = candidate.request.context_for(candidate.model, layout.cell.context_limit if layout.cell else None)
    case = _case(candidate, layout, context)
    refused = refusals(case)
    # Ranks that cannot be formed have no footprint of their own.
    offer = offer_of(candidate, layout, context, None if refused else layout.parallelism)
    first = offer.first()
    if not refused and not first.shortfall_bytes:
        refused = refusals(case, late=True)
    return Weighed(candidate, layout, context, refused, offer, first)


def _case(candidate: Candidate, layout: Layout, context: int) -> Case:
    gpus = candidate.request.gpus
    gpu = gpus[0] if gpus else None
    return Case(candidate.engine, candidate.model, candidate.checkpoint, gpu, layout.parallelism, context)


def _nearer(first: Weighed, second: Weighed, *, explicit: bool) -> Weighed:
    """The more telling of two layouts that do not run."""
    if first.verdict == "refused" and second.verdict == "does_not_fit":
        # What was asked for by name, or what the memory would suffice for, was refused; that another form does not
        # fit either is beside the point.
        return first if explicit or not first.first.shortfall_bytes else second
    if first.verdict == second.verdict == "does_not_fit":
        return min(first, second, key=lambda weighed: weighed.shortfall_bytes)
    return first


def _given(layout: Layout, room: KvCapacity) -> float | None:
    return layout.cell.memory_fraction if layout.cell else room.fraction


def _reasons(
    candidate: Candidate, layout: Layout, room: KvCapacity, recipe: Recipe | None, running: Admission | None
) -> list[Reason]:
    request = candidate.request
    memory = request.gpus[0].memory_bytes if request.gpus else None
    shown = room.usable / memory if memory else room.fraction
    found = [
        memory_reason(
            candidate.checkpoint, room.footprint, request, room.ranks, room.capacity_bytes, room.need_bytes, shown
        )
    ]
    if not running:
        return found
    if layout.cell and recipe:
        found.insert(0, cell_reason(layout.cell, recipe, room.footprint.context_tokens))
        given = usable_gpu_bytes(request.gpus[0], room.fraction)
        found += overdrawn_reason(layout.cell, room.footprint.per_gpu_bytes, given, room.fraction)
    found += fraction_reasons(candidate.engine, room.footprint, request.gpus[0], _given(layout, room), room.fraction)
    return found + waiting_reasons(running)


def _recipe(candidate: Candidate, layout: Layout) -> Recipe | None:
    request, checkpoint = candidate.request, candidate.checkpoint
    if layout.cell:
        return layout.cell.to_recipe()
    if not request.recipes or not request.gpus:
        return None
    return nearest_recipe(candidate.engine, checkpoint, layout, request)


def _forecast(candidate: Candidate, layout: Layout, load: ServingLoad) -> Prediction:
    request, ranks = candidate.request, layout.parallelism
    work = work_of(candidate.checkpoint)
    gpu, engine = request.gpus[0], candidate.engine
    if ranks.pipeline > 1:
        return staged_forecast(work, load, gpu, ranks, engine=engine, nodes=layout.nodes)
    together = layout.cell is not None and DELAYER_FLAG in layout.cell.flags
    return gpu_forecast(work, load, gpu, ranks, engine=engine, nodes=layout.nodes, prefill_together=together)
