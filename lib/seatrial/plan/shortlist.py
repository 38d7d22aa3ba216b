"""Which checkpoints and engines are looked at for a wish, and what is found on the way to the first that runs."""

from __future__ import annotations

from seatrial.catalog import checkpoints, find_checkpoint, find_model, model_of
from seatrial.catalog.engine_facts import loaders
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UsageError
from seatrial.hardware.types import Hardware
from seatrial.plan.evaluate import weigh
from seatrial.plan.prefer import engines_of, preferred
from seatrial.plan.request import Request
from seatrial.plan.trial import Candidate, Trial
from seatrial.plan.vendor.recipes import find_cells

_DEFAULT_MODEL = "flash"


def subject(model: str | None, checkpoint: str | Checkpoint | None) -> tuple[Model, Checkpoint | None]:
    """The model asked for, and the checkpoint where one was named.

    Raises:
        UnknownNameError: No such model or checkpoint.
        UsageError: They contradict each other.

    """
    if checkpoint is None:
        found = find_model(_DEFAULT_MODEL if model is None else model)
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


def shortlist(model: Model, chosen: Checkpoint | None, engine: str, request: Request) -> list[Trial]:
    """What was weighed, engine by engine in order of preference.

    Args:
        model: The model asked for.
        chosen: The checkpoint named, None where the planner chooses.
        engine: ``auto`` or an engine.
        request: Machine and wishes.

    """
    return [
        trial
        for name, rows in _pairs(model, chosen, engine, request.hardware)
        for trial in _tried([Candidate(model, row, name, request) for row in rows])
    ]


def _pairs(
    model: Model, chosen: Checkpoint | None, engine: str, hardware: Hardware
) -> list[tuple[str, list[Checkpoint]]]:
    """Engines and their checkpoints to look at, in order of preference."""
    names = _engines(chosen, engine, hardware)
    found = [(name, rows) for name in names if (rows := _rows(model, chosen, name))]
    # Where the model has nothing this engine loads, the default release carries the refusal.
    return found or [(names[0], [find_checkpoint(model.default_checkpoint)])]


def _engines(chosen: Checkpoint | None, engine: str, hardware: Hardware) -> tuple[str, ...]:
    if engine != "auto":
        return (engine,)
    names = engines_of(hardware)
    if chosen is None:
        return names
    # Where no engine loads it, the one made for its format says why.
    return tuple(name for name in names if name in chosen.engines) or chosen.engines or (loaders(chosen.format)[0],)


def _rows(model: Model, chosen: Checkpoint | None, engine: str) -> list[Checkpoint]:
    if chosen:
        return [chosen]
    if engine == "simulated":
        return [find_checkpoint(model.default_checkpoint)]
    return preferred(model, engine, checkpoints())


def _tried(candidates: list[Candidate]) -> list[Trial]:
    """One checkpoint a vendor verified here, else the first that runs, else all: none of them does."""
    trials: dict[str, Trial] = {}
    for candidate in candidates:
        if _has_recipe(candidate):
            trial = trials[candidate.checkpoint.id] = weigh(candidate)
            if trial.verdict == "verified":
                return [trial]
    for candidate in candidates:
        trial = trials.get(candidate.checkpoint.id) or weigh(candidate)
        trials[candidate.checkpoint.id] = trial
        if trial.runs:
            return [trial]
    return [trials[candidate.checkpoint.id] for candidate in candidates]


def _has_recipe(candidate: Candidate) -> bool:
    request = candidate.request
    accelerator = request.gpus[0].accelerator if request.gpus else None
    return request.recipes and bool(find_cells(candidate.engine, candidate.checkpoint, accelerator, request.objective))
