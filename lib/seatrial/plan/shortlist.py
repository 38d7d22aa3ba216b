"""Chooses the checkpoints and engines to evaluate for a request, up to the first that runs."""

from __future__ import annotations

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of
from seatrial.catalog.engine_facts import loaders
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UsageError
from seatrial.plan.candidate import Candidate, Trial, engines_for, preferred_checkpoints
from seatrial.plan.evaluate import evaluate
from seatrial.plan.request import Request
from seatrial.plan.vendor.recipes import find_cells


def requested(request: Request) -> tuple[Model, Checkpoint | None]:
    """Return the model asked for, and the checkpoint if one was named.

    Raises:
        UnknownNameError: If there is no such model or checkpoint.
        UsageError: If they contradict each other.

    """
    if request.checkpoint is None:
        model = find_model("flash" if request.model is None else request.model)
        # Another architecture has no sizes to choose by: its checkpoint carries the refusal.
        return model, find_checkpoint(model.default_checkpoint) if model.role == "refused" else None
    row = find_checkpoint(request.checkpoint) if isinstance(request.checkpoint, str) else request.checkpoint
    model = model_of(row)
    if request.model is not None and row.model != "local" and find_model(request.model).id != model.id:
        raise UsageError(
            f"{row.id} holds {model.name} ({model.id}), not {request.model}.",
            remedy="Name the checkpoint only, or a checkpoint of that model.",
        )
    return model, row


def shortlist(model: Model, named: Checkpoint | None, request: Request) -> list[Trial]:
    """Return what was evaluated, engine by engine in order of preference.

    Args:
        model: The model asked for.
        named: The checkpoint asked for; None if the planner chooses.
        request: The machine, the engine and the other choices.

    """
    engines = _engines(named, request)
    pairs = [(engine, rows) for engine in engines if (rows := _checkpoints(model, named, engine))]
    # If the model has nothing this engine loads, the default release carries the refusal.
    pairs = pairs or [(engines[0], [find_checkpoint(model.default_checkpoint)])]
    return [
        trial
        for engine, rows in pairs
        for trial in _evaluate_in_turn([Candidate(model, row, engine, request) for row in rows])
    ]


def _engines(named: Checkpoint | None, request: Request) -> tuple[str, ...]:
    if request.engine != "auto":
        return (request.engine,)
    names = engines_for(request.hardware)
    if named is None:
        return names
    # If no engine loads it, the one made for its format says why.
    return tuple(name for name in names if name in named.engines) or named.engines or (loaders(named.format)[0],)


def _checkpoints(model: Model, named: Checkpoint | None, engine: str) -> list[Checkpoint]:
    if named:
        return [named]
    if engine == "simulated":
        return [find_checkpoint(model.default_checkpoint)]
    return preferred_checkpoints(model, engine, checkpoints())


def _evaluate_in_turn(candidates: list[Candidate]) -> list[Trial]:
    """Return a checkpoint a vendor verified on this machine, else the first that runs, else all: none of them runs."""
    trials: dict[str, Trial] = {}
    for candidate in candidates:
        request = candidate.request
        accelerator = request.gpus[0].accelerator if request.gpus else None
        if request.recipes and find_cells(candidate.engine, candidate.checkpoint, accelerator, request.objective):
            trial = trials[candidate.checkpoint.id] = evaluate(candidate)
            if trial.verdict == "verified":
                return [trial]
    for candidate in candidates:
        trial = trials.get(candidate.checkpoint.id) or evaluate(candidate)
        trials[candidate.checkpoint.id] = trial
        if trial.runs:
            return [trial]
    return [trials[candidate.checkpoint.id] for candidate in candidates]
