"""Finds the smallest change that makes a plan run; every change is tried before it is suggested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.named import named_machine
from seatrial.hardware.types import WIRED_LIMIT, Gpu
from seatrial.hardware.unified import raised_limit
from seatrial.plan.bisection import largest, least
from seatrial.plan.candidate import Candidate, Trial, engines_for, preferred_checkpoints
from seatrial.plan.capacity import beside_system, unified_fraction, usable_gpu_bytes, usable_host_bytes
from seatrial.plan.evaluate import evaluate
from seatrial.plan.request import Request
from seatrial.plan.types import TENSOR_PARALLEL, Plan
from seatrial.plan.vendor.limits import limits
from seatrial.units import GIB, MIB, counted, format_gib

_CONTEXT_STEP = 1024
_HOST_STEP_GIB = 8  # machines are sold in such steps
_HOST_STEPS = 512
_MOST_GPUS = 8  # in one machine, if the accelerator is not listed


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was tried and runs."""

    text: str  # what to change, as part of a sentence
    candidate: Candidate  # what runs then


def smallest_change(plan: Plan, candidate: Candidate, trials: Iterable[Trial] = ()) -> str | None:
    """Return what would make ``plan`` run, as one sentence; None if it runs or nothing tried helps.

    Nobody is told to buy what the machine may have: if its GPUs are not seen, that is mended first.

    Args:
        plan: The plan.
        candidate: What it is of.
        trials: What was evaluated for the same request on the way to it.

    """
    unseen = candidate.request.hardware.unseen
    if unseen is not None and not plan.runs:
        return f"First mend what keeps this machine's GPUs from being seen: {unseen.what} {unseen.remedy}"
    texts = [change.text for change in changes(plan, candidate, trials)]
    return f"Smallest change that fits: {', or '.join(texts)}." if texts else None


def changes(plan: Plan, candidate: Candidate, trials: Iterable[Trial] = ()) -> list[Change]:
    """Return the smallest changes that help, the least first.

    One that needs nothing new is enough: other ranks, a limit of the system that can be raised, fewer requests, a
    shorter context. Else up to two of another checkpoint, more host memory and more GPUs. If none of these helps another
    engine, also with a raised limit, then another machine.
    """
    if plan.runs:
        return []
    refused = plan.verdict == "refused"
    beside = (_no_drafter, _other_ranks, _raised_limit, _raised_gtt)
    for find in (*beside, _shorter_context) if refused else (*beside, _fewer_requests, _shorter_context):
        if change := find(plan, candidate):
            return [change]
    failed = {(trial.candidate.engine, trial.candidate.checkpoint.id) for trial in trials if not trial.runs}
    found = []
    if not refused:
        tried = (_lighter(plan, candidate, failed), _more_host_memory(plan, candidate), _more_gpus(plan, candidate))
        found = [change for change in tried if change][:2]
    if found:
        return found
    other = _other_engine(plan, candidate, failed) or _other_with_raised_limit(plan, candidate)
    return [other] if other else [change for change in (_other_machine(candidate),) if change]


def _asking(candidate: Candidate, **changed: Any) -> Candidate:
    return replace(candidate, request=replace(candidate.request, **changed))


def _no_drafter(_: Plan, candidate: Candidate) -> Change | None:
    if candidate.request.drafter is None:
        return None
    alone = _asking(candidate, drafter=None, draft_tokens=None)
    return Change("no --drafter", alone) if evaluate(alone).runs else None


def _other_ranks(plan: Plan, candidate: Candidate) -> Change | None:
    asked = candidate.request.tensor_parallel
    if asked is None or plan.engine not in {*TENSOR_PARALLEL, "llamacpp"}:
        return None
    free = _asking(candidate, tensor_parallel=None)
    trial = evaluate(free)
    if not trial.runs:
        return None
    ranks = trial.plan().parallelism.tensor
    named = _asking(candidate, tensor_parallel=ranks)
    if ranks == asked or not evaluate(named).runs:
        return Change(f"the ranks left to the planner instead of tensor parallel {asked}", free)
    return Change(f"tensor parallel {ranks} instead of {asked}", named)


def _raised_limit(_: Plan, candidate: Candidate) -> Change | None:
    """Return the least limit of a Mac's GPU memory with which the candidate runs."""
    gpu = next((gpu for gpu in candidate.request.gpus if gpu.limit_setting == WIRED_LIMIT and gpu.memory_bytes), None)
    if gpu is None:
        return None
    first = usable_gpu_bytes(gpu, unified_fraction(gpu)) // GIB + 1

    def with_limit(steps: int) -> Candidate:
        return _with_limit(candidate, (first + steps) * GIB)

    most = beside_system(gpu.memory_bytes or 0) // GIB - first
    steps = least(most, lambda steps: evaluate(with_limit(steps)).runs) if most >= 0 else None
    if steps is None:
        return None
    command = f"sudo sysctl {WIRED_LIMIT}={(first + steps) * (GIB // MIB)}"
    return Change(f"a higher limit of the GPU's memory ({command}, until the next restart)", with_limit(steps))


def _with_limit(candidate: Candidate, limit_bytes: int) -> Candidate:
    hardware = candidate.request.hardware
    gpus = tuple(replace(gpu, memory_limit_bytes=limit_bytes) for gpu in hardware.gpus)
    return _asking(candidate, hardware=replace(hardware, gpus=gpus))


def _raised_gtt(_: Plan, candidate: Candidate) -> Change | None:
    """Return the kernel parameter that lets an AMD GPU take more of the memory it shares with the processor."""
    hardware, host = candidate.request.hardware, candidate.request.hardware.host
    gpu = next((gpu for gpu in hardware.gpus if gpu.unified), None)
    raised = raised_limit(gpu, host) if gpu else None
    if gpu is None or raised is None:
        return None
    given_back = (gpu.memory_bytes or 0) - (host.memory_bytes or 0)  # the firmware sets no part aside any more
    free = None if host.memory_available_bytes is None else host.memory_available_bytes + given_back
    host = replace(host, memory_bytes=gpu.memory_bytes, memory_available_bytes=free)
    larger = replace(gpu, memory_limit_bytes=raised.limit_bytes, memory_free_bytes=None)
    other = _asking(candidate, hardware=replace(hardware, gpus=(larger,), host=host))
    return Change(raised.how, other) if evaluate(other).runs else None


def _fewer_requests(plan: Plan, candidate: Candidate) -> Change | None:
    asked = candidate.request.concurrency
    cache = plan.footprint.kv_bytes + plan.footprint.state_bytes
    guess = (cache - plan.shortfall_bytes) * plan.footprint.concurrency // max(1, cache)
    count = largest(
        asked - 1,
        lambda count: evaluate(_asking(candidate, concurrency=count)).runs,
        (guess, guess + 1, guess - guess // 16, guess + guess // 16),
    )
    if not count:
        return None
    text = f"{counted(count, 'request')} at once instead of {asked}"
    return Change(text, _asking(candidate, concurrency=count))


def _shorter_context(plan: Plan, candidate: Candidate) -> Change | None:
    def with_steps(steps: int) -> Candidate:
        return _asking(candidate, context_tokens=steps * _CONTEXT_STEP)

    steps = largest((plan.context_tokens - 1) // _CONTEXT_STEP, lambda steps: evaluate(with_steps(steps)).runs)
    if not steps:
        return None
    text = f"a context of {steps * _CONTEXT_STEP:,} tokens instead of {plan.context_tokens:,}"
    return Change(text, with_steps(steps))


def _lighter(plan: Plan, candidate: Candidate, failed: set[tuple[str, str]]) -> Change | None:
    rows = preferred_checkpoints(candidate.model.id, plan.engine)
    for row in sorted(rows, key=lambda row: -(row.weights_bytes or 0)):
        other = replace(candidate, checkpoint=row)
        lighter = (row.weights_bytes or 0) < (candidate.checkpoint.weights_bytes or 0)
        if lighter and (other.engine, row.id) not in failed and evaluate(other).runs:
            return Change(f"the checkpoint {row.id} ({format_gib(row.weights_bytes)})", other)
    return None


def _more_host_memory(plan: Plan, candidate: Candidate) -> Change | None:
    hardware = candidate.request.hardware
    if plan.engine != "llamacpp" or usable_host_bytes(hardware) is None or any(gpu.unified for gpu in hardware.gpus):
        return None
    steps = (hardware.host.usable_memory_bytes or 0) // GIB // _HOST_STEP_GIB + 1

    def with_more(more: int) -> Candidate:
        size = (steps + more) * _HOST_STEP_GIB * GIB
        host = replace(hardware.host, memory_bytes=size, memory_available_bytes=None, memory_limit_bytes=None)
        return _asking(candidate, hardware=replace(hardware, host=host))

    more = least(_HOST_STEPS, lambda more: evaluate(with_more(more)).runs)
    if more is None:
        return None
    return Change(f"{(steps + more) * _HOST_STEP_GIB:,} GiB of host memory", with_more(more))


def _more_gpus(plan: Plan, candidate: Candidate) -> Change | None:
    request = candidate.request
    if not request.gpus or plan.engine not in {*TENSOR_PARALLEL, "llamacpp"} or request.gpus[0].unified:
        return None
    for text, larger in _larger(plan, request, request.gpus[0]):
        more = replace(candidate, request=replace(larger, tensor_parallel=None))
        if evaluate(more).runs:
            without = " without --tensor-parallel" if request.tensor_parallel else ""
            return Change(f"{text}{without}", more)
    return None


def _larger(plan: Plan, request: Request, gpu: Gpu) -> Iterator[tuple[str, Request]]:
    """Yield the same machine with more GPUs, then more machines, the fewest first."""
    have = len(request.gpus)
    most = accelerators()[gpu.accelerator].gpus_per_node_max if gpu.accelerator else _MOST_GPUS
    if request.nodes == 1:
        for count in (2, 4, 8):
            if have < count <= most:
                machine = replace(request.hardware, gpus=(gpu,) * count)
                yield f"{count} x {gpu.name}", replace(request, hardware=machine)
    if plan.engine == "llamacpp":
        return
    each = have if have in {1, 4} else max(min(_MOST_GPUS, most), have)
    machine = replace(request.hardware, gpus=(gpu,) * each)
    for nodes in (2, 4, 8, 16):
        if request.nodes < nodes:
            text = f"{nodes} machines with {each} x {gpu.name} each"
            yield text, replace(request, hardware=machine, nodes=nodes)


def _other_engine(plan: Plan, candidate: Candidate, failed: set[tuple[str, str]]) -> Change | None:
    """Return another checkpoint or engine that runs on this machine."""
    asked = candidate.request.tensor_parallel
    free = replace(candidate.request, tensor_parallel=None)
    for engine in engines_for(free.hardware):
        for row in preferred_checkpoints(candidate.model.id, engine):
            known = asked is None and (engine, row.id) in failed
            if not known and (engine, row.id) != (plan.engine, plan.checkpoint):
                other = Candidate(candidate.model, row, engine, free)
                trial = evaluate(other)
                if trial.runs:
                    without = ", without --tensor-parallel" if asked else ""
                    return Change(f"{engine} with {row.id} ({trial.verdict} on this machine{without})", other)
    return None


def _other_with_raised_limit(plan: Plan, candidate: Candidate) -> Change | None:
    """Return another checkpoint or engine that runs on this Mac once its limit is raised."""
    request = candidate.request
    if not any(gpu.limit_setting == WIRED_LIMIT for gpu in request.gpus):
        return None
    most = beside_system(request.gpus[0].memory_bytes or 0)
    if (other := _other_engine(plan, _with_limit(candidate, most), set())) is None:
        return None
    same = replace(other.candidate, request=replace(other.candidate.request, hardware=request.hardware))
    raised = _raised_limit(plan, same)
    return (
        None
        if raised is None
        else Change(f"{same.engine} with {same.checkpoint.id} and {raised.text}", raised.candidate)
    )


def _other_machine(candidate: Candidate) -> Change | None:
    """Return a machine that runs the model: with the same engine if possible, else with another."""
    machines = [(name, named_machine(name)) for name in limits().suggested_machines]
    pairs = [(name, hardware, engine) for name, hardware in machines for engine in engines_for(hardware)]
    for name, hardware, engine in sorted(pairs, key=lambda pair: pair[-1] != candidate.engine):
        request = replace(candidate.request, hardware=hardware, nodes=1, tensor_parallel=None)
        for row in preferred_checkpoints(candidate.model.id, engine):
            other = Candidate(candidate.model, row, engine, request)
            if evaluate(other).runs:
                return Change(f"another machine, such as {name} ({engine} with {row.id})", other)
    return None
