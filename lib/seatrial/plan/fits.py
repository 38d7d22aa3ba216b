"""Which checkpoints fit a machine, and up to which context: the planner's own answer for each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of, models
from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint
from seatrial.plan.bisection import largest
from seatrial.plan.candidate import Candidate, Trial, loadable_checkpoints, usable_engines
from seatrial.plan.choose import plan_of
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
    """One checkpoint on one machine."""

    plan: Plan  # at the context asked for
    largest_context_tokens: int  # the longest at which all requests run at once; 0 if there is none
    at_largest: Plan | None  # the plan at that context


def fits_on(request: Request, model: str) -> tuple[Fit, ...]:
    """Return every checkpoint of a model that an engine of this machine loads, with its best engine; best first.

    Args:
        request: The machine and the load; its model is ignored.
        model: Model id.

    Raises:
        UnknownNameError: If there is no such model.
        UsageError: If a number is one that no machine has.

    """
    request.check()
    found = find_model(model)
    tried: dict[str, list[Trial]] = {}
    for engine in usable_engines(request.hardware):
        for row in loadable_checkpoints(found.id, engine):
            tried.setdefault(row.id, []).append(evaluate(Candidate(found, row, engine, request)))
    nearest = sorted((min(trials, key=preference) for trials in tried.values()), key=preference)
    if not nearest:
        return ()
    # Only speeds for one and the same load can be compared: the one that suits the best of them.
    plans = (comparable(trial, nearest[0].candidate.engine).plan() for trial in nearest)
    return tuple(sorted((fit_of(plan, request) for plan in plans), key=_order))


def left_out(request: Request, model: str) -> dict[str, list[str]]:
    """Return the checkpoints of a model that ``fits_on`` leaves out: their ids by the reason, as part of a sentence.

    Args:
        request: The machine.
        model: Model id.

    """
    found, engines = find_model(model), usable_engines(request.hardware)
    shown = {row.id for engine in engines for row in loadable_checkpoints(found.id, engine)}
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
    by_gpus: dict[tuple[str, ...], list[str]] = {}
    for engine in row.engines:
        by_gpus.setdefault(engine_facts(engine).planning.vendors, []).append(engine)
    ways = (f"{' or '.join(engines)} and {_gpus_of(vendors)}" for vendors, engines in by_gpus.items())
    return f"needs {', or '.join(ways)}"


def _gpus_of(vendors: tuple[str, ...]) -> str:
    if vendors == ("apple",):
        return "a Mac"
    return f"GPUs of {' or '.join(vendor.upper() for vendor in vendors)}"


def plan_named(name: str, request: Request, engine: str | None = None) -> Plan:
    """Make the plan for a model, its checkpoint chosen for the machine, or for one checkpoint.

    Args:
        name: Model id, hub id, ``repo:quantization`` or local path.
        request: The machine and the load.
        engine: Engine id; chosen by default.

    Raises:
        UnknownNameError: If there is no such model, checkpoint or engine.
        UsageError: If a number is one that no machine has.
        RefusedError: If the checkpoint is of another architecture.

    """
    is_model = name in {model.id for model in models()}
    model, checkpoint = (name, None) if is_model else (None, name)
    return plan_of(replace(request, model=model, checkpoint=checkpoint, engine=engine or "auto"))


def fit_of(plan: Plan, request: Request) -> Fit:
    """Return a plan with the largest context its checkpoint and engine take on the same machine."""
    row = find_checkpoint(plan.checkpoint)
    candidate = Candidate(model_of(row), row, plan.engine, request)

    def at(context: int) -> Plan:
        return evaluate(replace(candidate, request=replace(request, context_tokens=context))).plan()

    top = candidate.model.context_tokens
    context = top
    if not runs_all_at_once(at(top)):
        context = STEP * largest(top // STEP, lambda count: runs_all_at_once(at(count * STEP)))
    return Fit(plan, context, at(context) if context else None)


def checkpoint_plans(request: Request, checkpoint: Checkpoint, engine: str) -> tuple[Plan, ...]:
    """Make the plans for one checkpoint at every context of ``CONTEXTS`` its model takes.

    Args:
        request: The machine and the load; its context is ignored.
        checkpoint: What to serve.
        engine: Engine id.

    """
    request.check()
    model = model_of(checkpoint)
    contexts = [context for context in CONTEXTS if context <= model.context_tokens] or [model.context_tokens]
    requests = (replace(request, context_tokens=context) for context in contexts)
    return tuple(evaluate(Candidate(model, checkpoint, engine, asked)).plan() for asked in requests)


def runs_all_at_once(plan: Plan) -> bool:
    """Return True if it runs and no request waits for a place in the KV cache."""
    return plan.runs and plan.footprint.concurrency >= plan.concurrency


def available_bytes(plan: Plan) -> int:
    """Return the memory that counts for a plan; if llama.cpp's layers no longer go onto the GPUs, the host's only."""
    return plan.need_bytes - plan.shortfall_bytes if plan.shortfall_bytes else plan.capacity_bytes


def context_of(request: Request, model: str) -> int:
    """Return the context a request means, in tokens."""
    return request.context_for(find_model(model))


def _order(fit: Fit) -> tuple[int, int, bool, float]:
    speed = fit.plan.prediction.decode_tokens_per_s if fit.plan.prediction else None
    cannot_chat = fit.plan.chat is None
    rate = speed.expected if speed else 0.0
    return VERDICT_ORDER[fit.plan.verdict], fit.plan.shortfall_bytes, cannot_chat, -rate
