"""The smallest change that makes it run, tried out before it is said."""

from __future__ import annotations

from dataclasses import replace

from seatrial.catalog import checkpoints
from seatrial.catalog.types import Checkpoint, Model
from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.named import named_machine
from seatrial.hardware.types import Gpu, Hardware
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import usable_host_bytes
from seatrial.plan.evaluate import weigh
from seatrial.plan.limits import limits
from seatrial.plan.prefer import engines_of, preferred
from seatrial.plan.request import MAX_NODES, Request
from seatrial.plan.search import largest
from seatrial.plan.types import Plan
from seatrial.units import GIB, format_gib

CONTEXT_STEP = 1024
NODES_TRIED = (2, 4, 8, 16)
MOST_GPUS = 8
"""In one machine, where the accelerator is not listed."""


def smallest_change(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    """What would make ``plan`` run, as one sentence; None where it runs or nothing tried helps.

    Args:
        plan: A plan that does not run.
        model: Its model.
        checkpoint: Its checkpoint.
        request: What was asked.

    """
    if plan.runs:
        return None
    if plan.verdict == "refused":
        found = [_ranks(plan, model, checkpoint, request), _context(plan, model, checkpoint, request)]
        elsewhere = _elsewhere(plan, model, request) or _other_machine(model, request)
        ways = [way for way in found if way] or ([elsewhere] if elsewhere else [])
    else:
        found = [
            _streams(plan, model, checkpoint, request),
            _context(plan, model, checkpoint, request),
            _lighter(plan, model, checkpoint, request),
            _host_memory(plan, model, checkpoint, request),
            _more_gpus(plan, model, checkpoint, request),
        ]
        # The first two change least; a new machine is named beside another checkpoint.
        ways = [way for way in found[:2] if way][:1] or [way for way in found[2:] if way][:2]
        ways = ways or [way for way in (_elsewhere(plan, model, request) or _other_machine(model, request),) if way]
    return f"Smallest change that fits: {', or '.join(ways)}." if ways else None


def _streams(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    def holds(count: int) -> bool:
        return weigh(Candidate(model, checkpoint, plan.engine, replace(request, concurrency=count))).runs

    count = largest(request.concurrency - 1, holds)
    return f"{count} request{'s' if count > 1 else ''} at once instead of {request.concurrency}" if count else None


def _context(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    def holds(steps: int) -> bool:
        smaller = replace(request, context_tokens=steps * CONTEXT_STEP)
        return weigh(Candidate(model, checkpoint, plan.engine, smaller)).runs

    steps = largest((plan.context_tokens - 1) // CONTEXT_STEP, holds)
    return f"a context of {steps * CONTEXT_STEP:,} tokens instead of {plan.context_tokens:,}" if steps else None


def _lighter(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    lighter = [
        other
        for other in preferred(model, plan.engine, checkpoints())
        if other.weights_bytes and other.weights_bytes < (checkpoint.weights_bytes or 0)
    ]
    for other in sorted(lighter, key=lambda row: -(row.weights_bytes or 0)):
        if weigh(Candidate(model, other, plan.engine, request)).runs:
            return f"the checkpoint {other.id} ({format_gib(other.weights_bytes)})"
    return None


def _host_memory(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    hardware = request.hardware
    if plan.engine != "llamacpp" or usable_host_bytes(hardware) is None or any(gpu.unified for gpu in hardware.gpus):
        return None
    have = (hardware.host.usable_memory_bytes or 0) // GIB
    # Machines are sold in steps of 8 GiB.
    for more in range(8, 4096, 8):
        size = (have // 8 * 8 + more) * GIB
        host = replace(hardware.host, memory_bytes=size, memory_available_bytes=None, memory_limit_bytes=None)
        if plan.shortfall_bytes > more * GIB:
            continue
        larger = replace(request, hardware=replace(hardware, host=host))
        if weigh(Candidate(model, checkpoint, plan.engine, larger)).runs:
            return f"{size // GIB:,} GiB of host memory"
    return None


def _more_gpus(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    gpus = request.gpus
    if not gpus or plan.engine not in {"sglang", "vllm"} or any(gpu.unified for gpu in gpus):
        return None
    free = replace(request, tensor_parallel=None)
    most = _most_in_one(gpus[0])
    for count in (2, 4, 8):
        if not len(gpus) < count <= most or request.nodes > 1:
            continue
        larger = _machine(request.hardware, gpus[0], count)
        if weigh(Candidate(model, checkpoint, plan.engine, replace(free, hardware=larger))).runs:
            return f"{count} x {gpus[0].name}"
    for nodes in NODES_TRIED:
        if request.nodes < nodes <= MAX_NODES:
            each = len(gpus) if len(gpus) in {1, 4} else max(min(8, most), len(gpus))
            machine = _machine(request.hardware, gpus[0], each)
            several = replace(free, hardware=machine, nodes=nodes)
            if weigh(Candidate(model, checkpoint, plan.engine, several)).runs:
                return f"{nodes} machines with {len(machine.gpus)} x {gpus[0].name} each"
    return None


def _most_in_one(gpu: Gpu) -> int:
    """GPUs of that kind one machine holds at most."""
    return accelerators()[gpu.accelerator].gpus_per_node_max if gpu.accelerator else MOST_GPUS


def _machine(hardware: Hardware, gpu: Gpu, count: int) -> Hardware:
    return replace(hardware, gpus=(gpu,) * count)


def _ranks(plan: Plan, model: Model, checkpoint: Checkpoint, request: Request) -> str | None:
    if request.tensor_parallel is None:
        return None
    free = weigh(Candidate(model, checkpoint, plan.engine, replace(request, tensor_parallel=None)))
    return (
        f"tensor parallel {free.plan().parallelism.tensor} instead of {request.tensor_parallel}" if free.runs else None
    )


def _other_machine(model: Model, request: Request) -> str | None:
    """A machine that runs the model, where this one cannot be made to."""
    for name in limits().suggested_machines:
        there = replace(request, hardware=named_machine(name), nodes=1, tensor_parallel=None)
        for engine in engines_of(there.hardware):
            for other in preferred(model, engine, checkpoints()):
                if weigh(Candidate(model, other, engine, there)).runs:
                    return f"another machine, such as {name} ({engine} with {other.id})"
    return None


def _elsewhere(plan: Plan, model: Model, request: Request) -> str | None:
    free = replace(request, tensor_parallel=None)
    for engine in engines_of(request.hardware):
        for other in preferred(model, engine, checkpoints()):
            if (engine, other.id) != (plan.engine, plan.checkpoint):
                trial = weigh(Candidate(model, other, engine, free))
                if trial.runs:
                    return f"{engine} with {other.id} ({trial.verdict} here)"
    return None
