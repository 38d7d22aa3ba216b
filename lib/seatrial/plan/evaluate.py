"""One checkpoint on one engine on one machine: does it run, with what room, how fast, and why."""

from __future__ import annotations

from math import ceil

from seatrial.catalog import find_checkpoint
from seatrial.catalog.types import Checkpoint, Model
from seatrial.hardware.types import Gpu
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.capacity import llamacpp_pools, usable_gpu_bytes
from seatrial.plan.forecast import RUNNING_DEFAULT, gpu_forecast, llamacpp_forecast, load_of, work_of
from seatrial.plan.layouts import Layout, layouts
from seatrial.plan.limits import limits, running_limit
from seatrial.plan.recipes import Cell, differences, nearest_cell
from seatrial.plan.request import Request
from seatrial.plan.rules import Case, refusals
from seatrial.plan.split import Split, split_layers
from seatrial.plan.types import Plan, Recipe, Verdict
from seatrial.plan.wording import (
    cell_reason,
    context_reason,
    fits_reason,
    llamacpp_reasons,
    short_reason,
    waiting_reason,
)
from seatrial.records import Reason
from seatrial.speed.types import Prediction
from seatrial.units import format_gib


def evaluate(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """The best plan for this pair: the first layout that fits, else the one that comes nearest.

    Args:
        model: Model of the checkpoint.
        checkpoint: What to serve.
        engine: Engine id.
        request: Machine and wishes.

    Raises:
        UsageError: The context is beyond the model's, or nobody has published the checkpoint's size.
        RefusedError: The checkpoint is of another architecture.

    """
    if engine in {"sglang", "vllm"}:
        return _on_gpus(model, checkpoint, engine, request)
    return _on_one_machine(model, checkpoint, engine, request)


def chosen_context(model: Model, request: Request, most: int | None = None) -> int:
    """Context the plan gives each request."""
    if request.context_tokens is not None:
        return request.context_tokens
    wished = limits().context_stand_in_tokens if model.role == "stand-in" else limits().context_tokens
    return min(wished, model.context_tokens, most or wished)


def _on_gpus(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    best: Plan | None = None
    refused_first = False
    for layout in layouts(engine, checkpoint, request):
        plan = _on_layout(model, checkpoint, engine, request, layout)
        if plan.runs:
            return plan
        refused_first = refused_first or (best is None and plan.verdict == "refused")
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
    limit = (cell.running_limit or RUNNING_DEFAULT) if cell else running_limit(request.concurrency)
    drafting = cell is not None and cell.draft_tokens > 0
    options = {"max_running_requests": limit, "speculative": (checkpoint.draft or "none") if drafting else "none"}
    # Ranks that cannot be formed have no footprint of their own.
    parallelism = Parallelism() if refused else layout.parallelism
    footprint = compute_footprint(
        checkpoint,
        engine=engine,
        context_tokens=context,
        concurrency=request.concurrency,
        parallelism=parallelism,
        options=options,
    )
    ranks = layout.nodes * layout.gpus_per_node
    fraction, usable = _fraction(layout, request, footprint)
    shown = usable / gpu.memory_bytes if gpu and gpu.memory_bytes else fraction
    capacity = usable * ranks
    need = max(footprint.total_bytes, footprint.per_gpu_bytes * ranks)
    shortfall = 0 if refused else max(0, need - capacity)
    if not refused and not shortfall:
        refused = refusals(case, late=True)
    exact = cell is not None and cell.verified
    verdict: Verdict = "refused" if refused else "does_not_fit" if shortfall else "verified" if exact else "fits"
    runs = verdict in {"verified", "fits"}
    recipe = _recipe(engine, checkpoint, request, layout)
    prediction = _forecast(model, checkpoint, engine, request, layout, footprint, limit, usable) if runs else None
    if refused:
        reasons = refused
    elif shortfall:
        reasons = [short_reason(checkpoint, footprint, request, ranks, capacity, need, shown)]
    else:
        reasons = [
            *([cell_reason(cell, recipe)] if cell and recipe else []),
            fits_reason(checkpoint, footprint, request, ranks, capacity, need, shown),
            *_overdrawn(layout, footprint, gpu, fraction),
            *waiting_reason(prediction),
        ]
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
        gpu_memory_fraction=cell.memory_fraction if cell else fraction,
        gpu_layers=None,
        cpu_expert_layers=None,
        footprint=footprint,
        capacity_bytes=capacity,
        shortfall_bytes=shortfall,
        prediction=prediction,
        recipe=recipe,
        smallest_change=None,
        reasons=(*reasons, context_reason(model, request, context)),
    )


def _fraction(layout: Layout, request: Request, footprint: Footprint) -> tuple[float, int]:
    """The fraction flag, and the bytes of one GPU a plan may count on."""
    if not request.gpus:
        return limits().gpu_fraction, 0
    gpu = request.gpus[0]
    highest = usable_gpu_bytes(gpu, limits().gpu_fraction_highest)
    if layout.cell:
        given = layout.cell.memory_fraction or limits().gpu_fraction
        usable = usable_gpu_bytes(gpu, given)
        # The vendor ran it: what its own fraction does not cover lies in the memory beside the pool.
        return given, usable if footprint.per_gpu_bytes <= usable else highest
    fraction = limits().gpu_fraction
    usable = usable_gpu_bytes(gpu, fraction)
    if usable < footprint.per_gpu_bytes <= highest and gpu.memory_bytes:
        # The smallest share, in hundredths, that holds it.
        fraction = ceil(footprint.per_gpu_bytes / gpu.memory_bytes * 100) / 100
        usable = usable_gpu_bytes(gpu, fraction)
    return fraction, usable


def _overdrawn(layout: Layout, footprint: Footprint, gpu: Gpu | None, fraction: float) -> list[Reason]:
    """That our arithmetic asks for more than the recipe's share, where it does."""
    cell = layout.cell
    if cell is None or gpu is None or footprint.per_gpu_bytes <= usable_gpu_bytes(gpu, fraction):
        return []
    text = (
        f"Arithmetic gives {format_gib(footprint.per_gpu_bytes)} a GPU, above the recipe's fraction {fraction:.2f} "
        f"({format_gib(usable_gpu_bytes(gpu, fraction))}); the vendor's run decides."
    )
    return [Reason(text, "derived", cell.source)]


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
    model: Model,
    checkpoint: Checkpoint,
    engine: str,
    request: Request,
    layout: Layout,
    footprint: Footprint,
    limit: int,
    usable: int,
) -> Prediction:
    load = load_of(model, engine, footprint.context_tokens, request.concurrency, running_limit=limit)
    # How many requests of that length the KV cache holds, where each fills its part of the context.
    caches = footprint.kv_bytes / footprint.concurrency / footprint.context_tokens
    each = max(1.0, caches * (load.prompt_tokens + load.answer_tokens))
    data = layout.parallelism.data
    taken = (footprint.kv_bytes + footprint.state_bytes) // min(data, request.concurrency)
    room = usable - footprint.per_gpu_bytes + taken
    held = max(1, int(room / each) * data)
    draft = layout.cell.draft_tokens if layout.cell else 0
    load = load_of(
        model,
        engine,
        footprint.context_tokens,
        request.concurrency,
        running_limit=min(limit, held),
        draft_tokens=draft,
    )
    work = work_of(model, checkpoint, footprint)
    return gpu_forecast(work, load, request.gpus[0], layout.parallelism, engine=engine, nodes=layout.nodes)


def _on_one_machine(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """llama.cpp, MLX and the simulator: one machine, GPU and host memory together."""
    hardware = request.hardware
    context = chosen_context(model, request)
    gpu = hardware.gpus[0] if hardware.gpus else None
    case = Case(engine, model, checkpoint, gpu, Parallelism(), context)
    refused = refusals(case)
    pools = llamacpp_pools(hardware, hardware.gpus)
    unified = any(one.unified for one in hardware.gpus)
    config = {**model.config, **checkpoint.config}
    if engine == "llamacpp":
        split = split_layers(
            checkpoint, int(config["num_hidden_layers"]), pools, context, request.concurrency, unified=unified
        )
    else:
        footprint = compute_footprint(
            checkpoint, engine=engine, context_tokens=context, concurrency=request.concurrency
        )
        room = pools.gpu_bytes + pools.host_bytes
        missing = 0 if engine == "simulated" else max(0, footprint.total_bytes - room)
        split = Split(0, 0, footprint, missing)
    footprint = split.footprint
    capacity = pools.gpu_bytes + pools.host_bytes
    if engine == "simulated":
        capacity = max(capacity, footprint.total_bytes)
    shortfall = 0 if refused else split.shortfall_bytes
    verdict: Verdict = "refused" if refused else "does_not_fit" if shortfall else "fits"
    prediction = None
    if verdict == "fits" and engine != "mlx":
        load = load_of(model, engine, context, request.concurrency, running_limit=request.concurrency)
        work = work_of(model, checkpoint, footprint)
        prediction = llamacpp_forecast(work, load, hardware, split, pools.gpus)
    reasons = refused or llamacpp_reasons(engine, checkpoint, request, split, pools, capacity)
    on_gpus = pools.gpus if split.gpu_layers else 0
    return Plan(
        verdict=verdict,
        model=model.id,
        checkpoint=checkpoint.id,
        engine=engine,
        engine_version_min=None,
        hardware=hardware,
        nodes=1,
        gpus_per_node=on_gpus,
        parallelism=Parallelism(pipeline=max(1, on_gpus)),
        context_tokens=context,
        concurrency=request.concurrency,
        objective=request.objective,
        gpu_memory_fraction=None,
        gpu_layers=split.gpu_layers if engine == "llamacpp" else None,
        cpu_expert_layers=split.cpu_expert_layers if engine == "llamacpp" else None,
        footprint=footprint,
        capacity_bytes=capacity,
        shortfall_bytes=shortfall,
        prediction=prediction,
        recipe=None,
        smallest_change=None,
        reasons=(*reasons, context_reason(model, request, context)),
    )
