"""Makes the plan for a machine: evaluates every sensible pair of checkpoint and engine, and explains the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of
from seatrial.catalog.engine_facts import engine_facts, loaders, planned_as
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UsageError
from seatrial.hardware.types import Hardware
from seatrial.plan.candidate import Candidate, Trial, engines_for, every_engine, preferred_checkpoints
from seatrial.plan.change import smallest_change
from seatrial.plan.evaluate import evaluate
from seatrial.plan.load import lengths_of
from seatrial.plan.other_engines import engine_reasons, left_out_reasons
from seatrial.plan.rank import alternatives as alternatives_of
from seatrial.plan.rank import by_engine, preference
from seatrial.plan.request import Request, context_reason
from seatrial.plan.run_notes import run_notes
from seatrial.plan.types import Objective, Plan
from seatrial.plan.vendor.recipes import find_cells
from seatrial.records import Reason
from seatrial.speed.efficiency import scaled


def make_plan(  # noqa: PLR0913 -- a person's choices
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
    drafter: str | Checkpoint | None = None,
    draft_tokens: int | None = None,
) -> Plan:
    """Plan what to run on a machine, and explain why.

    Args:
        model: Model id; ``flash`` if no checkpoint is named either.
        checkpoint: What to serve; by default the checkpoint of the model that suits the machine: one a vendor
            verified on it (the default release before another), else the default release, else the first that fits.
        hardware: One machine, from ``detect_hardware``.
        nodes: Machines of that kind, at most 16.
        engine: ``auto``, ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``.
        context_tokens: Context of each request; chosen by default, and the plan says how.
        concurrency: Requests served at once.
        objective: ``latency``, ``balanced`` or ``throughput``.
        tensor_parallel: Ranks; chosen by default. For llama.cpp, which divides layers by default, all GPUs of the machine:
            each tensor is split over them.
        recipes: Consider vendor recipes; without them arithmetic decides, and nothing is ``verified``.
        alternatives: Also rank every other pair that runs by predicted speed; base checkpoints only if one was named.
        prompt_tokens: Longest prompt the prediction is for, whose first token it times; SGLang's and vLLM's other prompts
            are drawn evenly up to it. A usual length by default, and the basis says which.
        answer_tokens: Longest answer, likewise.
        drafter: llama.cpp: a file that drafts tokens for the model; ``auto`` is the catalog's for the checkpoint. MLX:
            ``auto`` drafts with the checkpoint's own head.
        draft_tokens: Tokens it drafts each step; chosen by default.

    Returns:
        The plan. One that does not run says by how much, which rule refused it, and what would help.

    Raises:
        UnknownNameError: If there is no such model, checkpoint, engine or objective.
        UsageError: If a number is one that no machine has, if the context is longer than the model's, or if model
            and checkpoint contradict each other.
        RefusedError: If the checkpoint is of an architecture the formulas do not describe.

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
        drafter=drafter,
        draft_tokens=draft_tokens,
    )
    return plan_of(request, alternatives=alternatives)


def plan_of(request: Request, *, alternatives: bool = False) -> Plan:
    """Make the plan for a request; see :func:`make_plan`, which also names the errors.

    Args:
        request: What was asked.
        alternatives: Also rank every other pair of checkpoint and engine that runs.

    """
    request.check()
    model, checkpoint = _requested(request)
    request.check_context(model)
    engine = request.engine if request.engine == "auto" else planned_as(request.engine)
    asked = replace(request, engine=engine, recipes=request.recipes and engine == request.engine)
    trials = _shortlist(model, checkpoint, asked)
    best = min(trials, key=preference)
    plan, named = best.plan(), checkpoint is not None
    plan = replace(
        plan,
        reasons=tuple(_reasons(plan, best, trials, named=named, ranked=alternatives)),
        smallest_change=smallest_change(plan, best.candidate, trials),
        alternatives=alternatives_of(best.candidate, plan) if alternatives else (),
    )
    named_plan = plan if engine == request.engine else _renamed(plan, request.engine)
    return _with_measured_speed(named_plan, best.candidate)


def _with_measured_speed(plan: Plan, candidate: Candidate) -> Plan:
    """Return the plan with its prediction scaled by what was measured on this machine, if anything was.

    Only the chosen plan: what was measured of one engine must not decide between engines that were not.
    """
    kind = (plan.engine, plan.checkpoint, plan.parallelism.tensor, plan.drafter)
    found = (one for one in plan.hardware.efficiencies if kind == (one.engine, one.checkpoint, one.tensor, one.drafter))
    measured = next(found, None)
    if measured is None or plan.prediction is None:
        return plan
    _, answer = lengths_of(candidate.request, candidate.model, candidate.engine, plan.context_tokens)
    return replace(plan, prediction=scaled(plan.prediction, measured, plan.concurrency, answer))


def _requested(request: Request) -> tuple[Model, Checkpoint | None]:
    """Return the model asked for, and the checkpoint if one was named.

    Raises:
        UnknownNameError: If there is no such model or checkpoint.
        UsageError: If they contradict each other.

    """
    if request.checkpoint is None:
        return find_model("flash" if request.model is None else request.model), None
    row = find_checkpoint(request.checkpoint) if isinstance(request.checkpoint, str) else request.checkpoint
    model = model_of(row)
    if request.model is not None and row.model != "local" and find_model(request.model).id != model.id:
        raise UsageError(
            f"{row.id} holds {model.name} ({model.id}), not {request.model}.",
            remedy="Name the checkpoint only, or a checkpoint of that model.",
        )
    return model, row


def _shortlist(model: Model, named: Checkpoint | None, request: Request) -> list[Trial]:
    """Return what was evaluated, engine by engine in order of preference.

    Args:
        model: The model asked for.
        named: The checkpoint asked for; None if the planner chooses.
        request: The machine, the engine and the other choices.

    """
    engines = _engines(named, request)
    pairs = [(engine, rows) for engine in engines if (rows := _checkpoints(model, named, engine))]
    # If the model has nothing this engine loads, the default release carries the refusal.
    pairs = pairs or [(engines[0], (find_checkpoint(model.default_checkpoint),))]
    return [
        trial
        for engine, rows in pairs
        for trial in _evaluate_in_turn([Candidate(model, row, engine, request) for row in rows])
    ]


def _engines(named: Checkpoint | None, request: Request) -> tuple[str, ...]:
    if request.engine != "auto":
        return (request.engine,)
    if named is None:
        return engines_for(request.hardware)
    names = every_engine(request.hardware)
    # If no engine loads it, the one made for its format says why.
    return tuple(name for name in names if name in named.engines) or named.engines or (loaders(named.format)[0],)


def _checkpoints(model: Model, named: Checkpoint | None, engine: str) -> tuple[Checkpoint, ...]:
    if named:
        return (named,)
    if engine == "simulated":
        return (find_checkpoint(model.default_checkpoint),)
    return preferred_checkpoints(model.id, engine)


def _evaluate_in_turn(candidates: list[Candidate]) -> list[Trial]:
    """Return a checkpoint a vendor verified on this machine, else the first that runs, else all: none of them runs.

    Of what is verified the default release counts whatever the recipe is for; another checkpoint first if its recipe is
    for the objective.
    """
    trials: dict[str, Trial] = {}
    for candidate in candidates:
        request = candidate.request
        accelerator = request.gpus[0].accelerator if request.gpus else None
        if request.recipes and find_cells(candidate.engine, candidate.checkpoint, accelerator, request.objective):
            trial = trials[candidate.checkpoint.id] = evaluate(candidate)
            default = candidate.checkpoint.id == candidate.model.default_checkpoint
            if trial.verdict == "verified" and (default or trial.suits_objective):
                return [trial]
    for trial in trials.values():
        if trial.verdict == "verified":
            return [trial]
    for candidate in candidates:
        trial = trials.get(candidate.checkpoint.id) or evaluate(candidate)
        trials[candidate.checkpoint.id] = trial
        if trial.runs:
            return [trial]
    return [trials[candidate.checkpoint.id] for candidate in candidates]


def _renamed(plan: Plan, engine: str) -> Plan:
    """Return the plan of one engine as that of another whose data file says that it takes the same."""
    versions = engine_facts(engine).versions
    text = f"{engine} is planned as {plan.engine} is, without its recipes: no formulas or rules of its own are known."
    return replace(
        plan,
        engine=engine,
        engine_version_min=versions.safe,
        reasons=(Reason(text, "assumed", versions.source), *plan.reasons),
    )


def _reasons(plan: Plan, best: Trial, trials: list[Trial], *, named: bool, ranked: bool) -> Iterator[Reason]:
    """Yield the reasons in order of weight: the verdict, the engine, what limits the plan, the context, the rest."""
    chosen = best.candidate
    model, checkpoint, own = chosen.model, chosen.checkpoint, plan.reasons
    context = own.index(context_reason(model, chosen.request, plan.context_tokens)) + 1
    exact = plan.recipe is not None and not plan.recipe.differences
    verdict = (2 if exact else 1) if plan.runs else context - 1
    engines = []
    if chosen.request.engine == "auto":
        engines = engine_reasons(model, plan, by_engine(plan, trials, named=named))
    deciding = 1 if plan.runs else len(engines)
    yield from own[:verdict]
    yield from engines[:deciding]
    yield from own[verdict:context]
    if not named:
        yield _checkpoint_reason(plan, model, checkpoint)
    yield from engines[deciding:]
    yield from own[context:]
    yield from best.offers()
    yield from run_notes(plan, checkpoint, chosen.request.nodes)
    if model.api is not None:
        yield Reason(model.api.text, "verified", model.api.source)
    if ranked and not checkpoint.base:
        yield from left_out_reasons(model, checkpoints())


def _checkpoint_reason(plan: Plan, model: Model, checkpoint: Checkpoint) -> Reason:
    default = model.default_checkpoint
    if plan.checkpoint == default:
        return Reason(f"{plan.checkpoint} is the default release of {model.name}.", "verified", model.source)
    why = {
        "verified": f"a vendor ran it on this machine with {plan.engine}, and no such recipe is known for the default release {default}",
        "fits": f"it is the first that runs on this machine with {plan.engine}; the default release is {default}",
    }.get(plan.verdict, f"it comes nearest to running on this machine; the default release is {default}")
    note = f" ({checkpoint.note})" if checkpoint.note else ""
    return Reason(f"{plan.checkpoint}{note} was chosen because {why}.", "derived", checkpoint.source)
