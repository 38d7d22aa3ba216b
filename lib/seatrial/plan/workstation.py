"""A plan for llama.cpp, MLX or the simulator: one machine, GPU and host memory together."""

from __future__ import annotations

from seatrial.catalog.types import Checkpoint, Model
from seatrial.memory import compute_footprint
from seatrial.memory.types import Parallelism
from seatrial.plan.capacity import Pools, llamacpp_pools
from seatrial.plan.forecast import llamacpp_forecast, load_of, work_of
from seatrial.plan.request import Request, chosen_context
from seatrial.plan.rules import Case, refusals
from seatrial.plan.split import Split, split_layers
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.wording import context_reason, idle_reasons, llamacpp_reasons


def plan_workstation(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """Whether it fits into GPU and host memory together, and which layers go where.

    Args:
        model: Model of the checkpoint.
        checkpoint: What to serve.
        engine: ``llamacpp``, ``mlx`` or ``simulated``.
        request: Machine and wishes.

    """
    hardware = request.hardware
    context = chosen_context(model, request)
    gpu = hardware.gpus[0] if hardware.gpus else None
    refused = refusals(Case(engine, model, checkpoint, gpu, Parallelism(tensor=request.tensor_parallel or 1), context))
    pools = llamacpp_pools(hardware, hardware.gpus)
    split = _split(model, checkpoint, engine, request, pools)
    footprint = split.footprint
    capacity = pools.gpu_bytes + pools.host_bytes
    if engine == "simulated":
        capacity = max(capacity, footprint.total_bytes)
    shortfall = 0 if refused else split.shortfall_bytes
    verdict: Verdict = "refused" if refused else "does_not_fit" if shortfall else "fits"
    prediction = None
    if verdict == "fits" and engine != "mlx":
        load = load_of(model, engine, context, request, running_limit=request.concurrency)
        prediction = llamacpp_forecast(work_of(model, checkpoint, footprint), load, hardware, split, pools.gpus)
    on_gpus = pools.gpus if split.gpu_layers else 0
    reasons = refused or llamacpp_reasons(engine, checkpoint, request, split, pools, capacity)
    reasons += idle_reasons(engine, request)
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


def _split(model: Model, checkpoint: Checkpoint, engine: str, request: Request, pools: Pools) -> Split:
    context = chosen_context(model, request)
    if engine == "llamacpp":
        config = {**model.config, **checkpoint.config}
        unified = any(gpu.unified for gpu in request.hardware.gpus)
        layers = int(config["num_hidden_layers"])
        return split_layers(checkpoint, layers, pools, context, request.concurrency, unified=unified)
    footprint = compute_footprint(checkpoint, engine=engine, context_tokens=context, concurrency=request.concurrency)
    room = pools.gpu_bytes + pools.host_bytes
    return Split(0, 0, footprint, 0 if engine == "simulated" else max(0, footprint.total_bytes - room))
