"""The plan for a machine: every sensible pair of checkpoint and engine evaluated, the best one explained."""

from __future__ import annotations

from dataclasses import replace

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware.types import Hardware
from seatrial.plan.candidate import Candidate
from seatrial.plan.change import smallest_change
from seatrial.plan.chat import chat_of
from seatrial.plan.evaluate import evaluate
from seatrial.plan.facts import fact_reasons
from seatrial.plan.prefer import engines_of, preferred
from seatrial.plan.recipes import find_cells
from seatrial.plan.request import ENGINES, Request
from seatrial.plan.types import Objective, Plan
from seatrial.plan.versions import engine_versions
from seatrial.plan.wording_engines import engine_reasons
from seatrial.records import Reason

DEFAULT_MODEL = "flash"
RANKS = {"verified": 0, "fits": 1, "does_not_fit": 2, "refused": 3}


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
        checkpoint: What to serve; by default the checkpoint of the model that suits the machine: one a
            vendor verified there, else the default release, else the first that fits.
        hardware: One machine, from ``detect_hardware``.
        nodes: Machines of that kind.
        engine: ``auto``, ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``.
        context_tokens: Context of each request; chosen by default, and the plan says how.
        concurrency: Requests served at once.
        objective: ``latency``, ``balanced`` or ``throughput``.
        tensor_parallel: Ranks; chosen by default.
        recipes: Look at vendor recipes; off, arithmetic alone decides and nothing is ``verified``.
        alternatives: Also rank every other pair that runs by predicted speed.
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
    if engine not in {"auto", *ENGINES}:
        raise UnknownNameError("engine", engine, ("auto", *ENGINES))
    request = Request(
        hardware,
        nodes,
        context_tokens,
        concurrency,
        objective,
        tensor_parallel,
        recipes,
        prompt_tokens,
        answer_tokens,
    )
    request.check()
    chosen_model, chosen = _subject(model, checkpoint)
    if context_tokens is not None and context_tokens > chosen_model.context_tokens:
        raise UsageError(
            f"A context of {context_tokens:,} tokens is beyond what {chosen_model.name} takes: "
            f"{chosen_model.context_tokens:,}.",
            remedy=f"Choose at most --context-tokens {chosen_model.context_tokens}.",
        )
    plans = [
        plan
        for name, rows in _candidates(chosen_model, chosen, engine, hardware)
        for plan in _tried(chosen_model, name, rows, request)
    ]
    best = min(plans, key=_order)
    row = next(row for row in _rows(chosen_model, chosen) if row.id == best.checkpoint)
    others = _alternatives(chosen_model, best, request) if alternatives else ()
    return _finished(best, chosen_model, row, request, plans, named=chosen is not None, asked=engine, others=others)


def _subject(model: str | None, checkpoint: str | Checkpoint | None) -> tuple[Model, Checkpoint | None]:
    if checkpoint is None:
        found = find_model(model or DEFAULT_MODEL)
        # Another architecture has no sizes to choose by: its checkpoint carries the refusal.
        return found, find_checkpoint(found.default_checkpoint) if found.role == "refused" else None
    row = find_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
    held = model_of(row)
    if model is not None and row.model != "local" and find_model(model).id != held.id:
        raise UsageError(
            f"{row.id} holds {held.name} ({held.id}), not {model}.",
            remedy="Name the checkpoint alone, or a checkpoint of that model.",
        )
    return held, row


def _rows(model: Model, chosen: Checkpoint | None) -> list[Checkpoint]:
    return [chosen] if chosen else [row for row in checkpoints() if row.model == model.id]


def _candidates(
    model: Model, chosen: Checkpoint | None, engine: str, hardware: Hardware
) -> list[tuple[str, list[Checkpoint]]]:
    """Engines and their checkpoints to look at, in order of preference."""
    if engine != "auto":
        names: tuple[str, ...] = (engine,)
    elif chosen:
        names = tuple(name for name in engines_of(hardware) if name in chosen.engines) or chosen.engines or ("sglang",)
    else:
        names = engines_of(hardware)
    found = []
    for name in names:
        if chosen:
            rows = [chosen]
        elif name == "simulated":
            rows = [find_checkpoint(model.default_checkpoint)]
        else:
            rows = preferred(model, name, checkpoints())
        if rows:
            found.append((name, rows))
    # Where the model has nothing this engine loads, the default release carries the refusal.
    return found or [(names[0], [find_checkpoint(model.default_checkpoint)])]


def _tried(model: Model, engine: str, rows: list[Checkpoint], request: Request) -> list[Plan]:
    """One checkpoint a vendor verified here, else the first that runs, else all: none of them does."""
    plans: dict[str, Plan] = {}
    accelerator = request.gpus[0].accelerator if request.gpus else None
    for row in rows:
        if request.recipes and find_cells(engine, row, accelerator, request.objective):
            plans[row.id] = evaluate(Candidate(model, row, engine, request))
            if plans[row.id].verdict == "verified":
                return [plans[row.id]]
    for row in rows:
        if row.id not in plans:
            plans[row.id] = evaluate(Candidate(model, row, engine, request))
        if plans[row.id].runs:
            return [plans[row.id]]
    return [plans[row.id] for row in rows]


def _order(plan: Plan) -> tuple[int, int]:
    # Of plans that run, the first in order of preference; of those that do not, the nearest.
    return RANKS[plan.verdict], plan.shortfall_bytes


def _alternatives(model: Model, best: Plan, request: Request) -> tuple[Plan, ...]:
    found = []
    for name in engines_of(request.hardware):
        for row in preferred(model, name, checkpoints()):
            if (name, row.id) != (best.engine, best.checkpoint):
                plan = evaluate(Candidate(model, row, name, request))
                if plan.runs:
                    found.append(_with_facts(plan, model, row))
    return tuple(sorted(found, key=lambda plan: _speed(plan, request.objective)))


def _speed(plan: Plan, objective: Objective) -> tuple[bool, float]:
    """Sort key, the faster first; unknown speeds last."""
    prediction = plan.prediction
    figure = None
    if prediction:
        figure = prediction.tpot_s if objective == "latency" else prediction.decode_tokens_per_s
    if figure is None:
        return True, 0.0
    return False, figure.expected if objective == "latency" else -figure.expected


def _with_facts(plan: Plan, model: Model, checkpoint: Checkpoint) -> Plan:
    return replace(
        plan,
        engine_version_min=engine_versions()[plan.engine].safe,
        reasons=(*plan.reasons, *fact_reasons(plan, model, checkpoint)),
        chat=chat_of(plan.engine, model, checkpoint, plan.context_tokens),
    )


def _finished(  # noqa: PLR0913 -- what the last sentences are about
    best: Plan,
    model: Model,
    checkpoint: Checkpoint,
    request: Request,
    plans: list[Plan],
    *,
    named: bool,
    asked: str,
    others: tuple[Plan, ...],
) -> Plan:
    reasons = list(best.reasons)
    if not named:
        reasons.append(_checkpoint_reason(best, model, checkpoint))
    if asked == "auto":
        reasons += engine_reasons(best, _others(best, plans))
    complete = replace(
        best,
        reasons=tuple(reasons),
        smallest_change=smallest_change(best, model, checkpoint, request),
        alternatives=others,
    )
    return _with_facts(complete, model, checkpoint)


def _checkpoint_reason(plan: Plan, model: Model, checkpoint: Checkpoint) -> Reason:
    if plan.checkpoint == model.default_checkpoint:
        return Reason(f"{plan.checkpoint} is the default release of {model.name}.", "verified", model.source)
    why = {
        "verified": f"a vendor verified it here, which nobody has reported for the default release {model.default_checkpoint} on {plan.engine}",
        "fits": f"it is the first choice that runs here on {plan.engine}; the default release is {model.default_checkpoint}",
    }.get(plan.verdict, f"it comes nearest to running here; the default release is {model.default_checkpoint}")
    note = f" ({checkpoint.note})" if checkpoint.note else ""
    return Reason(f"{plan.checkpoint}{note} was chosen because {why}.", "derived", checkpoint.source)


def _others(best: Plan, plans: list[Plan]) -> list[Plan]:
    """The best plan of each other engine."""
    names = dict.fromkeys(plan.engine for plan in plans if plan.engine != best.engine)
    return [min((plan for plan in plans if plan.engine == name), key=_order) for name in names]
