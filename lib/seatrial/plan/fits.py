"""Which checkpoints fit a machine, and up to which context: the planner's own answer for each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of, models
from seatrial.catalog.types import Checkpoint, Model
from seatrial.plan.bisection import largest
from seatrial.plan.candidate import Candidate, Trial, engines_for, loadable_checkpoints
from seatrial.plan.choose import make_plan, plan_of
from seatrial.plan.evaluate import evaluate
from seatrial.plan.rank import VERDICT_ORDER, comparable, preference
from seatrial.plan.request import Request
from seatrial.plan.types import Plan

CONTEXTS = tuple(1 << power for power in range(11, 21))
"""Contexts shown, tokens: 2,048 to 1,048,576."""
STEP = 1024
"""The largest context is found to this many tokens."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One checkpoint on one machine.

    Attributes:
        plan: The planner's answer at the context asked for.
        largest_context_tokens: Longest context at which all requests run at once; 0 where there is none.
        at_largest: The plan there; None where there is none.

    """

    plan: Plan
    largest_context_tokens: int
    at_largest: Plan | None


def fits_on(request: Request, model: str) -> tuple[Fit, ...]:
    """Every checkpoint of a model that an engine here loads, with the engine that serves it best; best first.

    Args:
        request: The machine, the load and the wishes; no context means the usual one.
        model: Model id.

    Raises:
        UnknownNameError: No such model.
        UsageError: A number no machine has.
        RefusedError: The model is of another architecture.

    """
    request.check()
    found = find_model(model)
    tried: dict[str, list[Trial]] = {}
    for engine in engines_for(request.hardware):
        for row in loadable_checkpoints(found, engine, checkpoints()):
            tried.setdefault(row.id, []).append(evaluate(Candidate(found, row, engine, request)))
    nearest = sorted((min(trials, key=preference) for trials in tried.values()), key=preference)
    if not nearest:  # another architecture has no sizes: its refusal is the answer
        make_plan(model, hardware=request.hardware)
        return ()
    # Only speeds for one and the same load can be compared: the one that suits the best of them.
    plans = (comparable(trial, nearest[0].candidate.engine).plan() for trial in nearest)
    return tuple(sorted((fit_of(plan, request) for plan in plans), key=_order))


def left_out(request: Request, model: str) -> dict[str, list[str]]:
    """Checkpoints of a model that ``fits_on`` has no answer for: their ids by the reason, as part of a sentence.

    Args:
        request: The machine.
        model: Model id.

    """
    found, engines = find_model(model), engines_for(request.hardware)
    shown = {row.id for engine in engines for row in loadable_checkpoints(found, engine, checkpoints())}
    names: dict[str, list[str]] = {}
    for row in checkpoints():
        if row.model == found.id and row.id not in shown:
            names.setdefault(_why_left_out(row), []).append(row.id)
    return names


def _why_left_out(row: Checkpoint) -> str:
    if row.weights_bytes is None:
        return "its size is not published"
    if not row.engines:
        return row.note.partition(" (")[0]
    return f"needs {' or '.join(row.engines)} and GPUs of NVIDIA or AMD"


def _plan_of(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """The planner's answer for one checkpoint on one engine."""
    return evaluate(Candidate(model, checkpoint, engine, request)).plan()


def plan_named(name: str, request: Request, engine: str | None = None) -> Plan:
    """The plan for a model, its checkpoint chosen for the machine, or for one checkpoint.

    Args:
        name: Model id, hub id, ``repo:quantization`` or local path.
        request: The machine and the load.
        engine: Engine id; chosen by default.

    Raises:
        UnknownNameError: No such model, checkpoint or engine.
        UsageError: A number no machine has.
        RefusedError: The checkpoint is of another architecture.

    """
    is_model = name in {model.id for model in models()}
    model, checkpoint = (name, None) if is_model else (None, name)
    return plan_of(replace(request, model=model, checkpoint=checkpoint, engine=engine or "auto"))


def fit_of(plan: Plan, request: Request) -> Fit:
    """A plan with the largest context its checkpoint and engine take on the same machine."""
    row = find_checkpoint(plan.checkpoint)
    model = model_of(row)

    def at(context: int) -> Plan:
        return _plan_of(model, row, plan.engine, replace(request, context_tokens=context))

    top = model.context_tokens
    context = top if holds_all(at(top)) else STEP * largest(top // STEP, lambda count: holds_all(at(count * STEP)))
    return Fit(plan, context, at(context) if context else None)


def checkpoint_plans(request: Request, checkpoint: Checkpoint, engine: str) -> tuple[Plan, ...]:
    """The planner's answers for one checkpoint at every context of ``CONTEXTS`` its model takes.

    Args:
        request: The machine and the load; its context is not looked at.
        checkpoint: What to serve.
        engine: With which engine.

    """
    request.check()
    model = model_of(checkpoint)
    contexts = [context for context in CONTEXTS if context <= model.context_tokens] or [model.context_tokens]
    return tuple(_plan_of(model, checkpoint, engine, replace(request, context_tokens=context)) for context in contexts)


def holds_all(plan: Plan) -> bool:
    """Whether it runs and no request waits for a place in the KV cache."""
    return plan.runs and plan.footprint.concurrency >= plan.concurrency


def room_bytes(plan: Plan) -> int:
    """Memory there is for it; where llama.cpp's layers no longer go onto the GPUs, that of the host alone."""
    return plan.need_bytes - plan.shortfall_bytes if plan.shortfall_bytes else plan.capacity_bytes


def context_of(request: Request, model: str) -> int:
    """The context a request means, tokens."""
    return request.context_for(find_model(model))


def _order(fit: Fit) -> tuple[int, int, bool, float]:
    speed = fit.plan.prediction.decode_tokens_per_s if fit.plan.prediction else None
    mute = fit.plan.chat is None
    return VERDICT_ORDER[fit.plan.verdict], fit.plan.shortfall_bytes, mute, -(speed.expected if speed else 0.0)
