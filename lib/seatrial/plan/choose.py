"""The plan for a machine: every sensible pair of checkpoint and engine evaluated, the best one explained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seatrial.catalog import checkpoints
from seatrial.catalog.engine_facts import engine_facts, planned_as
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UsageError
from seatrial.hardware.types import Hardware
from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.change import smallest_change
from seatrial.plan.other_engines import engine_reasons, left_out_reasons
from seatrial.plan.rank import alternatives as alternatives_of
from seatrial.plan.rank import by_engine, preference
from seatrial.plan.request import Request, context_reason
from seatrial.plan.shortlist import shortlist, subject
from seatrial.plan.types import Objective, Plan
from seatrial.plan.usage import fact_reasons
from seatrial.records import Reason


def make_plan(  # noqa: PLR0913 -- one keyword for each wish
    model: str | None = None,
    *,
    checkpoint: str | Checkpoint | None = None,
    hardware: Hardware,
    nodes: int = 1,
    engine: str = "auto",
    context_tokens: int | None = None,
    concurrency: int = 1,
    objective: Objective = "balanced",
    tensor_parallel: int | None = None,
    recipes: bool = True,
    alternatives: bool = False,
    prompt_tokens: int | None = None,
    answer_tokens: int | None = None,
) -> Plan:
    """What to run on a machine, and why.

    Args:
        model: Model id; ``flash`` where no checkpoint is named either.
        checkpoint: What to serve; by default the checkpoint of the model that suits the machine: one a vendor
            verified there (the default release before another), else the default release, else the first that fits.
        hardware: One machine, from ``detect_hardware``.
        nodes: Machines of that kind.
        engine: ``auto``, ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``.
        context_tokens: Context of each request; chosen by default, and the plan says how.
        concurrency: Requests served at once.
        objective: ``latency``, ``balanced`` or ``throughput``.
        tensor_parallel: Ranks; chosen by default.
        recipes: Look at vendor recipes; off, arithmetic alone decides and nothing is ``verified``.
        alternatives: Also rank every other pair that runs by predicted speed; checkpoints of pre-training alone only
            where one was named.
        prompt_tokens: Prompt length the prediction is for; a usual one by default, and its basis says which.
        answer_tokens: Answer length, likewise.

    Returns:
        The plan. One that does not run says by how much, which rule refused it, and what would help.

    Raises:
        UnknownNameError: No such model, checkpoint, engine or objective.
        UsageError: A number no machine has, a context beyond the model's, or a model and a checkpoint
            that contradict each other.
        RefusedError: The checkpoint is of an architecture the formulas do not describe.

    """
    request = Request(
        hardware,
        model=model,
        checkpoint=checkpoint,
        nodes=nodes,
        engine=engine,
        context_tokens=context_tokens,
        concurrency=concurrency,
        objective=objective,
        tensor_parallel=tensor_parallel,
        recipes=recipes,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
    )
    return plan_of(request, alternatives=alternatives)


def plan_of(request: Request, *, alternatives: bool = False) -> Plan:
    """Make the plan for a request; see :func:`make_plan`, which also names the errors.

    Args:
        request: What was asked.
        alternatives: Also rank every other pair of checkpoint and engine that runs.

    """
    request.check()
    model, checkpoint = subject(request)
    if (request.context_tokens or 0) > model.context_tokens:
        raise UsageError(
            f"A context of {request.context_tokens:,} tokens is longer than {model.name} takes: {model.context_tokens:,}.",
            remedy=f"Choose at most --context-tokens {model.context_tokens}.",
        )
    engine = request.engine if request.engine == "auto" else planned_as(request.engine)
    asked = replace(request, engine=engine, recipes=request.recipes and engine == request.engine)
    trials = shortlist(model, checkpoint, asked)
    best = min(trials, key=preference)
    plan = _explained(best, trials, named=checkpoint is not None, ranked=alternatives)
    return plan if engine == request.engine else _planned_as(plan, request.engine)


def _planned_as(plan: Plan, engine: str) -> Plan:
    """Return the plan of one engine as that of another whose data file says that it takes the same."""
    versions = engine_facts(engine).versions
    text = f"{engine} is planned as {plan.engine} is, without its recipes: no formulas or rules of its own are known."
    return replace(
        plan,
        engine=engine,
        engine_version_min=versions.safe,
        reasons=(Reason(text, "assumed", versions.source), *plan.reasons),
    )


def _explained(best: Trial, trials: list[Trial], *, named: bool, ranked: bool) -> Plan:
    plan = best.plan()
    return replace(
        plan,
        reasons=tuple(_reasons(plan, best.candidate, trials, named=named, ranked=ranked)),
        smallest_change=smallest_change(plan, best.candidate, trials),
        alternatives=alternatives_of(best.candidate, plan) if ranked else (),
    )


def _reasons(plan: Plan, chosen: Candidate, trials: list[Trial], *, named: bool, ranked: bool) -> Iterator[Reason]:
    """Yield the reasons in order of weight: the verdict, the engine, what limits the plan, the context, the rest."""
    model, checkpoint, request, own = chosen.model, chosen.checkpoint, chosen.request, plan.reasons
    context = own.index(context_reason(model, request, plan.context_tokens)) + 1
    exact = plan.recipe is not None and not plan.recipe.differences
    verdict = (2 if exact else 1) if plan.runs else context - 1
    engines = []
    if request.engine == "auto":
        engines = engine_reasons(model, plan, by_engine(plan, trials, named=named))
    deciding = 1 if plan.runs else len(engines)
    yield from own[:verdict]
    yield from engines[:deciding]
    yield from own[verdict:context]
    if not named:
        yield _checkpoint_reason(plan, model, checkpoint)
    yield from engines[deciding:]
    yield from own[context:]
    yield from fact_reasons(plan, model, checkpoint, request.nodes)
    if ranked and not checkpoint.base:
        yield from left_out_reasons(model, checkpoints())


def _checkpoint_reason(plan: Plan, model: Model, checkpoint: Checkpoint) -> Reason:
    if plan.checkpoint == model.default_checkpoint:
        return Reason(f"{plan.checkpoint} is the default release of {model.name}.", "verified", model.source)
    why = {
        "verified": f"a vendor recipe runs it here, and this kit holds none of {plan.engine} for the default release {model.default_checkpoint} on this machine",
        "fits": f"it is the first choice that runs here on {plan.engine}; the default release is {model.default_checkpoint}",
    }.get(plan.verdict, f"it comes nearest to running here; the default release is {model.default_checkpoint}")
    note = f" ({checkpoint.note})" if checkpoint.note else ""
    return Reason(f"{plan.checkpoint}{note} was chosen because {why}.", "derived", checkpoint.source)
