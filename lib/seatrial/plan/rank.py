"""Everything that runs on a machine, the fastest first, and what each engine would give here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from seatrial.catalog import checkpoints
from seatrial.catalog.types import Model
from seatrial.plan.candidate import (
    Candidate,
    Trial,
    engines_for,
    every_engine,
    is_release,
    loadable_checkpoints,
    preferred_checkpoints,
)
from seatrial.plan.evaluate import evaluate, evaluate_all
from seatrial.plan.load import usual_load
from seatrial.plan.request import Request
from seatrial.plan.types import Objective, Plan, Verdict

VERDICT_ORDER = {"verified": 0, "fits": 1, "does_not_fit": 2, "refused": 3}


def preference(trial: Trial) -> tuple[int, bool, int]:
    """Sort key: what stands best first, of what does not run the nearest; equals keep the order of engines."""
    candidate = trial.candidate
    return *standing(trial.verdict, candidate.model, candidate.checkpoint.id), trial.shortfall_bytes


def standing(verdict: Verdict, model: Model, checkpoint: str) -> tuple[int, bool]:
    """Sort key: verified before fits; of what is verified the model's default release before another checkpoint."""
    return VERDICT_ORDER[verdict], verdict == "verified" and not is_release(model, checkpoint)


def alternatives(chosen: Candidate, best: Plan) -> tuple[Plan, ...]:
    """Every other checkpoint, engine and split that runs, ranked by predicted speed for the same load.

    What comes from pre-training alone cannot chat: it is left out unless such a checkpoint was chosen by name.

    Args:
        chosen: What was chosen.
        best: Its plan, which is not among them.

    """
    model, request = chosen.model, chosen.request
    rows_of = loadable_checkpoints if chosen.checkpoint.base else preferred_checkpoints
    found = [
        trial.plan()
        for engine in engines_for(request.hardware)
        for wishes in (_alike(model, engine, best.engine, request),)
        for row in rows_of(model, engine, checkpoints())
        for trial in evaluate_all(Candidate(model, row, engine, wishes))
        if trial.runs
    ]
    return tuple(sorted((plan for plan in found if _form(plan) != _form(best)), key=speed_key(request.objective)))


def comparable(trial: Trial, engine: str) -> Trial:
    """``trial`` with its prediction made for the load that plans of ``engine`` are predicted for: only equals compare."""
    candidate = trial.candidate
    wishes = _alike(candidate.model, candidate.engine, engine, candidate.request)
    return trial if wishes is candidate.request else replace(trial, candidate=replace(candidate, request=wishes))


def _alike(model: Model, engine: str, like: str, request: Request) -> Request:
    """What is asked of ``engine``, with the load that plans of the engine ``like`` are predicted for."""
    load = usual_load(model, like)
    if load == usual_load(model, engine):
        return request
    prompt, answer = request.prompt_tokens or load[0], request.answer_tokens or load[1]
    return replace(request, prompt_tokens=prompt, answer_tokens=answer)


def speed_key(objective: Objective) -> Callable[[Plan], tuple[float, ...]]:
    """Sort key for an objective: the faster first, unknown speeds last.

    Latency is the time per output token, then the time to the first; balanced and throughput are output
    tokens per second over all requests. Of equals a vendor's run comes first, then the one with fewer GPUs; what is
    equal still keeps the order of preference.
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
    """What each other engine gives here at best, for the same load; one that cannot run it says why.

    Args:
        best: The chosen plan.
        trials: What was weighed on the way to it.
        named: A checkpoint was asked for by name: engines that were not weighed cannot load it.

    """
    nearest: dict[str, Trial] = {}
    for trial in sorted(trials, key=preference):
        nearest.setdefault(trial.candidate.engine, trial)
    model, request = (first := next(iter(nearest.values())).candidate).model, first.request
    for engine in () if named else every_engine(request.hardware):
        rows = preferred_checkpoints(model, engine, checkpoints())
        if rows and engine not in nearest:
            nearest[engine] = evaluate(Candidate(model, rows[0], engine, request))
    return [comparable(trial, best.engine).plan() for engine, trial in nearest.items() if engine != best.engine]


def _form(plan: Plan) -> tuple[object, ...]:
    exact = plan.recipe.cell if plan.recipe and not plan.recipe.differences else None
    return plan.engine, plan.checkpoint, plan.nodes, plan.gpus_per_node, plan.parallelism, exact
