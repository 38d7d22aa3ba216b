"""Ranks everything that runs on a machine by predicted speed, and compares engines for the same load."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from seatrial.catalog.types import Model
from seatrial.plan.candidate import (
    Candidate,
    Trial,
    every_engine,
    is_release,
    loadable_checkpoints,
    preferred_checkpoints,
    usable_engines,
)
from seatrial.plan.evaluate import evaluate, evaluate_all
from seatrial.plan.load import lengths_of, usual_load
from seatrial.plan.request import Request
from seatrial.plan.types import Objective, Plan, Verdict

VERDICT_ORDER = {"verified": 0, "fits": 1, "does_not_fit": 2, "refused": 3}


def preference(trial: Trial) -> tuple[int, int, int, int]:
    """Return a sort key: the best verdict first, of what does not run the nearest; ties keep the order of engines."""
    candidate = trial.candidate
    key = verdict_preference(trial.verdict, candidate.model, candidate.checkpoint.id, trial.ranks)
    return *key, trial.shortfall_bytes


def verdict_preference(verdict: Verdict, model: Model, checkpoint: str, ranks: int) -> tuple[int, int, int]:
    """Return a sort key: verified before fits; of what is verified the default release first, then the most GPUs.

    The release in another format comes after the vendor's own, and before other releases.
    """
    if verdict != "verified":
        return VERDICT_ORDER[verdict], 0, 0
    release = 0 if checkpoint == model.default_checkpoint else 1 if is_release(model, checkpoint) else 2
    return VERDICT_ORDER[verdict], release, -ranks


def alternatives(chosen: Candidate, best: Plan) -> tuple[Plan, ...]:
    """Rank every other checkpoint, engine and split that runs by predicted speed for the same load.

    Base checkpoints cannot chat: they are left out unless one of them was chosen by name.

    Args:
        chosen: What was chosen.
        best: Its plan, which is left out.

    """
    model, request = chosen.model, chosen.request
    checkpoints_for = loadable_checkpoints if chosen.checkpoint.base else preferred_checkpoints
    chosen_form = _form(best)
    plans = (
        trial.plan()
        for engine in usable_engines(request.hardware)
        for asked in (_with_load_of(best.engine, model, engine, request),)
        for row in checkpoints_for(model.id, engine)
        for trial in evaluate_all(Candidate(model, row, engine, asked))
        if trial.runs
    )
    return tuple(sorted((plan for plan in plans if _form(plan) != chosen_form), key=speed_key(request.objective)))


def comparable(trial: Trial, engine: str) -> Trial:
    """Return ``trial`` with a prediction for the load that plans of ``engine`` are predicted for."""
    candidate = trial.candidate
    request = _with_load_of(engine, candidate.model, candidate.engine, candidate.request)
    return replace(trial, candidate=replace(candidate, request=request))  # the load changes no bytes


def _with_load_of(like: str, model: Model, engine: str, request: Request) -> Request:
    """Return what is asked of ``engine``, with the load that plans of the engine ``like`` are predicted for."""
    if usual_load(model, like) == usual_load(model, engine):
        return request
    prompt, answer = lengths_of(request, model, like, request.context_for(model))
    return replace(request, prompt_tokens=prompt, answer_tokens=answer)


def speed_key(objective: Objective) -> Callable[[Plan], tuple[float, ...]]:
    """Return a sort key for an objective: the faster first, unknown speeds last.

    Latency is the time per output token, then the time to the first; balanced and throughput are output tokens per
    second over all requests. Of equals a vendor's run comes first, then the plan with fewer GPUs; further ties keep
    the order of preference.
    """

    def key(plan: Plan) -> tuple[float, ...]:
        rest = VERDICT_ORDER[plan.verdict], plan.ranks
        known = plan.prediction
        if known is None or known.tpot_s is None or known.ttft_s is None or known.decode_tokens_per_s is None:
            return (1.0, 0.0, 0.0, *rest)
        if objective == "latency":
            return (0.0, known.tpot_s.expected, known.ttft_s.expected, *rest)
        return (0.0, -known.decode_tokens_per_s.expected, known.tpot_s.expected, *rest)

    return key


def by_engine(best: Plan, trials: Iterable[Trial], *, named: bool) -> list[Plan]:
    """Return the best plan of each other engine for the same load; one that does not run says why.

    Args:
        best: The chosen plan.
        trials: What was evaluated on the way to it.
        named: A checkpoint was asked for by name: engines that were not evaluated cannot load it.

    """
    nearest: dict[str, Trial] = {}
    for trial in sorted(trials, key=preference):
        nearest.setdefault(trial.candidate.engine, trial)
    candidate = next(iter(nearest.values())).candidate
    for engine in () if named else every_engine(candidate.request.hardware):
        rows = preferred_checkpoints(candidate.model.id, engine)
        if rows and engine not in nearest:
            nearest[engine] = evaluate(replace(candidate, checkpoint=rows[0], engine=engine))
    return [comparable(trial, best.engine).plan() for engine, trial in nearest.items() if engine != best.engine]


def _form(plan: Plan) -> tuple[object, ...]:
    cell = plan.recipe.cell if plan.recipe and not plan.recipe.differences else None
    return plan.engine, plan.checkpoint, plan.nodes, plan.gpus_per_node, plan.parallelism, cell
