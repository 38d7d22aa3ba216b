"""A plan for SGLang or vLLM: the first layout over equal GPUs that fits, and what it leaves for requests."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from seatrial.catalog import find_checkpoint
from seatrial.catalog.types import Checkpoint, Model
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.capacity import usable_gpu_bytes
from seatrial.plan.forecast import gpu_forecast, load_of, work_of
from seatrial.plan.layouts import Layout, layouts
from seatrial.plan.limits import limits, running_limit
from seatrial.plan.recipes import Cell, differences, nearest_cell
from seatrial.plan.request import Request, chosen_context
from seatrial.plan.rules import Case, refusals
from seatrial.plan.search import largest
from seatrial.plan.types import Plan, Recipe, Verdict
from seatrial.plan.wording import (
    cell_reason,
    context_reason,
    memory_reason,
    overdrawn_reason,
    waiting_reasons,
)
from seatrial.records import Reason
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class Room:
    """What a layout needs and what there is for it.

    Attributes:
        footprint: Bytes with ``held`` requests.
        held: Requests whose whole context the KV cache holds at once; 0 where not even one fits.
        fraction: Share of GPU memory the engine is given.
        usable: Bytes of one GPU a plan may count on.
        ranks: GPUs over all nodes.

    """

    footprint: Footprint
    held: int
    fraction: float
    usable: int
    ranks: int

    @property
    def capacity_bytes(self) -> int:
        """Over all GPUs."""
        return self.usable * self.ranks

    @property
    def need_bytes(self) -> int:
        """Over all GPUs, what lies on every rank counted as often."""
        return max(self.footprint.total_bytes, self.footprint.per_gpu_bytes * self.ranks)

    @property
    def shortfall_bytes(self) -> int:
        """Bytes too few."""
        return max(0, self.need_bytes - self.capacity_bytes)


def plan_serving(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """The first layout that runs, else the most telling one that does not.

    More requests than the KV cache holds wait for a place: that is slower, and still runs.

    Args:
        model: Model of the checkpoint.
        checkpoint: What to serve.
        engine: ``sglang`` or ``vllm``.
        request: Machine and wishes.

    """
    best: Plan | None = None
    for layout in layouts(engine, checkpoint, request):
        plan = _on_layout(model, checkpoint, engine, request, layout)
        if plan.runs:
            return plan
        best = plan if best is None else _nearer(best, plan, explicit=request.tensor_parallel is not None)
    assert best is not None  # noqa: S101 -- there is at least one layout
    return best


def _nearer(first: Plan, second: Plan, *, explicit: bool) -> Plan:
    """The more telling of two plans that do not run."""
    if first.verdict == "refused" and second.verdict == "does_not_fit":
        # What was asked for by name was refused; that another form does not fit either is beside the point.
        return first if explicit else second
    if first.verdict == second.verdict == "does_not_fit":
        return min(first, second, key=lambda plan: plan.shortfall_bytes)
    return first


def _on_layout(model: Model, checkpoint: Checkpoint, engine: str, request: Request, layout: Layout) -> Plan:
    cell = layout.cell
    gpu = request.gpus[0] if request.gpus else None
    context = chosen_context(model, request, cell.context_limit if cell else None)
    case = Case(engine, model, checkpoint, gpu, layout.parallelism, context)
    refused = refusals(case)
    # Ranks that cannot be formed have no footprint of their own.
    parallelism = None if refused else layout.parallelism
    room = _room(checkpoint, engine, request, layout, context, parallelism)
    shortfall = 0 if refused else room.shortfall_bytes
    if not refused and not shortfall:
        refused = refusals(case, late=True)
    fitting: Verdict = "verified" if cell is not None and cell.verified else "fits"
    verdict: Verdict = "refused" if refused else "does_not_fit" if shortfall else fitting
    recipe = _recipe(engine, checkpoint, request, layout)
    prediction = _forecast(model, checkpoint, engine, request, layout, room) if verdict == fitting else None
    reasons = refused or _reasons(checkpoint, request, layout, room, recipe)
    return Plan(
        verdict=verdict,
        model=model.id,
        checkpoint=checkpoint.id,
        engine=engine,
        engine_version_min=None,
        hardware=request.hardware,
        nodes=layout.nodes,
        gpus_per_node=layout.gpus_per_node,
        parallelism=layout.parallelism,
        context_tokens=context,
        concurrency=request.concurrency,
        objective=request.objective,
        gpu_memory_fraction=cell.memory_fraction if cell else room.fraction,
        gpu_layers=None,
        cpu_expert_layers=None,
        footprint=room.footprint,
        capacity_bytes=room.capacity_bytes,
        shortfall_bytes=shortfall,
        prediction=prediction,
        recipe=recipe,
        smallest_change=None,
        reasons=(*reasons, context_reason(model, request, context)),
    )


def _room(  # noqa: PLR0913, PLR0917 -- everything that changes the bytes
    checkpoint: Checkpoint, engine: str, request: Request, layout: Layout, context: int, parallelism: Parallelism | None
) -> Room:
    cell = layout.cell
    drafting = cell is not None and cell.draft_tokens > 0
    options = {
        "max_running_requests": _running(layout, request),
        "speculative": (checkpoint.draft or "none") if drafting else "none",
    }

    def measure(count: int) -> Room:
        footprint = compute_footprint(
            checkpoint,
            engine=engine,
            context_tokens=context,
            concurrency=count,
            parallelism=parallelism or Parallelism(),
            options=options,
        )
        fraction, usable = _fraction(layout, request, footprint)
        return Room(footprint, count, fraction, usable, layout.nodes * layout.gpus_per_node)

    most = min(request.concurrency, _running(layout, request))
    whole = measure(most)
    if parallelism is None or not whole.shortfall_bytes:
        return whole
    held = largest(most - 1, lambda count: not measure(count).shortfall_bytes)
    one = measure(max(1, held))
    return one if held else Room(one.footprint, 0, one.fraction, one.usable, one.ranks)


def _running(layout: Layout, request: Request) -> int:
    """Requests the engine lets run at once."""
    if layout.cell:
        return layout.cell.running_limit or limits().running_requests
    return running_limit(request.concurrency)


def _fraction(layout: Layout, request: Request, footprint: Footprint) -> tuple[float, int]:
    """The fraction flag, and the bytes of one GPU a plan may count on."""
    if not request.gpus:
        return limits().gpu_fraction, 0
    gpu = request.gpus[0]
    highest = usable_gpu_bytes(gpu, limits().gpu_fraction_highest)
    if layout.cell:
        given = layout.cell.memory_fraction or limits().gpu_fraction
        usable = usable_gpu_bytes(gpu, given)
        # A vendor ran it: what its own fraction does not cover lies in the memory beside the pool.
        overdrawn = footprint.concurrency == 1 and footprint.per_gpu_bytes > usable
        return given, highest if overdrawn else usable
    fraction = limits().gpu_fraction
    usable = usable_gpu_bytes(gpu, fraction)
    if usable < footprint.per_gpu_bytes <= highest and gpu.memory_bytes:
        # The smallest share, in hundredths, that holds it.
        fraction = ceil(footprint.per_gpu_bytes / gpu.memory_bytes * 100) / 100
        usable = usable_gpu_bytes(gpu, fraction)
    return fraction, usable


def _reasons(
    checkpoint: Checkpoint, request: Request, layout: Layout, room: Room, recipe: Recipe | None
) -> list[Reason]:
    memory = request.gpus[0].memory_bytes if request.gpus else None
    shown = room.usable / memory if memory else room.fraction
    found = [
        memory_reason(checkpoint, room.footprint, request, room.ranks, room.capacity_bytes, room.need_bytes, shown)
    ]
    if room.shortfall_bytes:
        return found
    if layout.cell and recipe:
        found.insert(0, cell_reason(layout.cell, recipe))
        given = usable_gpu_bytes(request.gpus[0], room.fraction)
        found += overdrawn_reason(layout.cell, room.footprint.per_gpu_bytes, given, room.fraction)
    return found + waiting_reasons(request, room.held, _running(layout, request))


def _recipe(engine: str, checkpoint: Checkpoint, request: Request, layout: Layout) -> Recipe | None:
    if layout.cell:
        return layout.cell.to_recipe()
    if not request.recipes or not request.gpus:
        return None
    accelerator = request.gpus[0].accelerator
    near = nearest_cell(engine, checkpoint, accelerator, layout.nodes * layout.gpus_per_node)
    if near is None:
        return None
    told = differences(near, checkpoint, accelerator, layout.nodes, layout.parallelism)
    told = told or ("Its memory fraction and limits are not used.",)
    alike = (near.accelerator, near.parallelism.data > 1) == (accelerator, layout.parallelism.data > 1)
    return near.to_recipe(told, carried=alike and _format(near) == checkpoint.precision)


def _format(cell: Cell) -> str:
    """Precision of the checkpoint a recipe is for; vLLM's recipes call the native one by its release."""
    return find_checkpoint(cell.checkpoint).precision


def _forecast(  # noqa: PLR0913, PLR0917 -- everything a speed depends on
    model: Model, checkpoint: Checkpoint, engine: str, request: Request, layout: Layout, room: Room
) -> Prediction:
    footprint, data = room.footprint, layout.parallelism.data
    limit = _running(layout, request)
    load = load_of(model, engine, footprint.context_tokens, request, running_limit=limit)
    # How many requests of that length the KV cache holds, where each fills its part of the context.
    each = footprint.kv_bytes / footprint.concurrency / footprint.context_tokens
    each = max(1.0, each * (load.prompt_tokens + load.answer_tokens))
    free = room.usable - footprint.per_gpu_bytes + footprint.kv_bytes // min(data, footprint.concurrency)
    held = max(1, int(free / each * limits().kv_room_share)) * data
    load = load_of(
        model,
        engine,
        footprint.context_tokens,
        request,
        running_limit=min(limit, held),
        draft_tokens=layout.cell.draft_tokens if layout.cell else 0,
    )
    work = work_of(model, checkpoint, footprint)
    return gpu_forecast(work, load, request.gpus[0], layout.parallelism, engine=engine, nodes=layout.nodes)
