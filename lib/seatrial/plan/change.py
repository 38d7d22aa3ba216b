"""The smallest change that makes it run, tried out before it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from seatrial.catalog import checkpoints
from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.named import named_machine
from seatrial.hardware.types import Gpu, Hardware
from seatrial.plan.bisection import largest, least
from seatrial.plan.candidate import Candidate, Trial, engines_for, preferred_checkpoints
from seatrial.plan.capacity import usable_host_bytes
from seatrial.plan.evaluate import evaluate
from seatrial.plan.request import Request
from seatrial.plan.types import TENSOR_PARALLEL, Plan
from seatrial.plan.vendor.limits import limits
from seatrial.units import GIB, counted, format_gib

_CONTEXT_STEP = 1024
_HOST_STEP_GIB = 8
"""Machines are sold in steps of that."""
_HOST_STEPS = 512
_GPUS_TRIED = (2, 4, 8)
_NODES_TRIED = (2, 4, 8, 16)
_MOST_GPUS = 8
"""In one machine, where the accelerator is not listed."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was tried and runs.

    Attributes:
        text: What to change, as part of a sentence.
        candidate: What runs then.

    """

    text: str
    candidate: Candidate


def smallest_change(plan: Plan, candidate: Candidate, trials: Iterable[Trial] = ()) -> str | None:
    """What would make ``plan`` run, as one sentence; None where it runs or nothing tried helps.

    Args:
        plan: The plan.
        candidate: What it is of.
        trials: What was weighed for the same request on the way to it.

    """
    ways = [change.text for change in changes(plan, candidate, trials)]
    return f"Smallest change that fits: {', or '.join(ways)}." if ways else None


def changes(plan: Plan, candidate: Candidate, trials: Iterable[Trial] = ()) -> list[Change]:
    """The smallest changes that help, the least first.

    What needs nothing new comes alone: other ranks, fewer requests, a shorter context. Else up to two of another
    checkpoint, more host memory and more GPUs. Where none of these helps another engine, then another machine.
    """
    if plan.runs:
        return []
    refused = plan.verdict == "refused"
    for way in (_ranks, _context) if refused else (_ranks, _streams, _context):
        if change := way(plan, candidate):
            return [change]
    failed = {_pair(trial.candidate) for trial in trials if not trial.runs}
    lighter = None if refused else _lighter(plan, candidate, failed)
    bought = [] if refused else [lighter, *(way(plan, candidate) for way in (_host_memory, _more_gpus))]
    found = [change for change in bought if change][:2]
    if not found and (other := _elsewhere(plan, candidate, failed) or _other_machine(candidate)):
        found = [other]
    return found


def _pair(candidate: Candidate) -> tuple[str, str]:
    return candidate.engine, candidate.checkpoint.id


def _with(candidate: Candidate, request: Request) -> Candidate:
    return replace(candidate, request=request)


def _ranks(plan: Plan, candidate: Candidate) -> Change | None:
    asked = candidate.request.tensor_parallel
    if asked is None:
        return None
    free = _with(candidate, replace(candidate.request, tensor_parallel=None))
    trial = evaluate(free)
    if not trial.runs or plan.engine not in TENSOR_PARALLEL:
        return None
    ranks = trial.plan().parallelism.tensor
    same = _with(candidate, replace(candidate.request, tensor_parallel=ranks))
    if ranks == asked or not evaluate(same).runs:
        return Change(f"the ranks left to the planner instead of tensor parallel {asked}", free)
    return Change(f"tensor parallel {ranks} instead of {asked}", same)


def _streams(plan: Plan, candidate: Candidate) -> Change | None:
    request = candidate.request

    def asking(count: int) -> Candidate:
        return _with(candidate, replace(request, concurrency=count))

    cache = plan.footprint.kv_bytes + plan.footprint.state_bytes
    near = (cache - plan.shortfall_bytes) * plan.footprint.concurrency // max(1, cache)
    count = largest(
        request.concurrency - 1,
        lambda count: evaluate(asking(count)).runs,
        (near, near + 1, near - near // 16, near + near // 16),
    )
    if not count:
        return None
    text = f"{counted(count, 'request')} at once instead of {request.concurrency}"
    return Change(text, asking(count))


def _context(plan: Plan, candidate: Candidate) -> Change | None:
    def asking(steps: int) -> Candidate:
        return _with(candidate, replace(candidate.request, context_tokens=steps * _CONTEXT_STEP))

    steps = largest((plan.context_tokens - 1) // _CONTEXT_STEP, lambda steps: evaluate(asking(steps)).runs)
    if not steps:
        return None
    text = f"a context of {steps * _CONTEXT_STEP:,} tokens instead of {plan.context_tokens:,}"
    return Change(text, asking(steps))


def _lighter(plan: Plan, candidate: Candidate, failed: set[tuple[str, str]]) -> Change | None:
    have = candidate.checkpoint.weights_bytes or 0
    rows = [
        row
        for row in preferred_checkpoints(candidate.model, plan.engine, checkpoints())
        if (row.weights_bytes or 0) < have
    ]
    for row in sorted(rows, key=lambda row: -(row.weights_bytes or 0)):
        other = replace(candidate, checkpoint=row)
        if _pair(other) not in failed and evaluate(other).runs:
            return Change(f"the checkpoint {row.id} ({format_gib(row.weights_bytes)})", other)
    return None


def _host_memory(plan: Plan, candidate: Candidate) -> Change | None:
    hardware = candidate.request.hardware
    if plan.engine != "llamacpp" or usable_host_bytes(hardware) is None or any(gpu.unified for gpu in hardware.gpus):
        return None
    have = (hardware.host.usable_memory_bytes or 0) // GIB // _HOST_STEP_GIB

    def having(more: int) -> Candidate:
        size = (have + 1 + more) * _HOST_STEP_GIB * GIB
        host = replace(hardware.host, memory_bytes=size, memory_available_bytes=None, memory_limit_bytes=None)
        return _with(candidate, replace(candidate.request, hardware=replace(hardware, host=host)))

    more = least(_HOST_STEPS, lambda more: evaluate(having(more)).runs)
    if more is None:
        return None
    return Change(f"{(have + 1 + more) * _HOST_STEP_GIB:,} GiB of host memory", having(more))


def _more_gpus(plan: Plan, candidate: Candidate) -> Change | None:
    gpus = candidate.request.gpus
    if not gpus or plan.engine not in {*TENSOR_PARALLEL, "llamacpp"} or any(gpu.unified for gpu in gpus):
        return None
    for text, request in _larger(plan, candidate.request, gpus[0]):
        more = _with(candidate, replace(request, tensor_parallel=None))
        if evaluate(more).runs:
            without = " without --tensor-parallel" if candidate.request.tensor_parallel else ""
            return Change(f"{text}{without}", more)
    return None


def _larger(plan: Plan, request: Request, gpu: Gpu) -> Iterator[tuple[str, Request]]:
    """The same machine with more GPUs, then more machines, the fewest first."""
    have, most = len(request.gpus), _most_in_one(gpu)
    if request.nodes == 1:
        for count in _GPUS_TRIED:
            if have < count <= most:
                yield f"{count} x {gpu.name}", replace(request, hardware=_machine(request, gpu, count))
    if plan.engine == "llamacpp":
        return
    each = have if have in {1, 4} else max(min(_MOST_GPUS, most), have)
    for nodes in _NODES_TRIED:
        if request.nodes < nodes:
            text = f"{nodes} machines with {each} x {gpu.name} each"
            yield text, replace(request, hardware=_machine(request, gpu, each), nodes=nodes)


def _most_in_one(gpu: Gpu) -> int:
    """GPUs of that kind one machine holds at most."""
    return accelerators()[gpu.accelerator].gpus_per_node_max if gpu.accelerator else _MOST_GPUS


def _machine(request: Request, gpu: Gpu, count: int) -> Hardware:
    return replace(request.hardware, gpus=(gpu,) * count)


def _elsewhere(plan: Plan, candidate: Candidate, failed: set[tuple[str, str]]) -> Change | None:
    """Another checkpoint or engine on this machine."""
    asked = candidate.request.tensor_parallel
    free = replace(candidate.request, tensor_parallel=None)
    for engine in engines_for(free.hardware):
        for row in preferred_checkpoints(candidate.model, engine, checkpoints()):
            known = asked is None and (engine, row.id) in failed
            if not known and (engine, row.id) != (plan.engine, plan.checkpoint):
                other = Candidate(candidate.model, row, engine, free)
                trial = evaluate(other)
                if trial.runs:
                    without = ", without --tensor-parallel" if asked else ""
                    return Change(f"{engine} with {row.id} ({trial.verdict} here{without})", other)
    return None


def _other_machine(candidate: Candidate) -> Change | None:
    """A machine that runs the model, where this one cannot be made to: with the same engine, else with another."""
    machines = [(name, named_machine(name)) for name in limits().suggested_machines]
    pairs = [(name, hardware, engine) for name, hardware in machines for engine in engines_for(hardware)]
    for name, hardware, engine in sorted(pairs, key=lambda pair: pair[-1] != candidate.engine):
        there = replace(candidate.request, hardware=hardware, nodes=1, tensor_parallel=None)
        for row in preferred_checkpoints(candidate.model, engine, checkpoints()):
            other = Candidate(candidate.model, row, engine, there)
            if evaluate(other).runs:
                return Change(f"another machine, such as {name} ({engine} with {row.id})", other)
    return None
