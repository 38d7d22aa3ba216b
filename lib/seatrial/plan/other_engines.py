"""Why this engine, what each other one would have given, and what is not compared."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.catalog.types import Checkpoint, Model
from seatrial.plan.candidate import is_release
from seatrial.plan.types import Plan
from seatrial.plan.vendor.recipes import cells
from seatrial.records import Reason
from seatrial.units import format_rate, format_seconds

_FASTER = 1.25
"""Predictions closer than this are taken as alike."""


def engine_reasons(model: Model, best: Plan, others: list[Plan]) -> list[Reason]:
    """One reason for the chosen engine, with what those that run too would give; one for each that does not.

    Args:
        model: The model planned.
        best: The chosen plan.
        others: The best plan of each other engine that was looked at.

    """
    told = [_chosen(model, best, [plan for plan in others if plan.runs])] if best.runs else []
    for other in others:
        if not other.runs:
            first = other.reasons[0]
            told.append(Reason(f"Not {other.engine}: {first.text}", first.origin, first.source))
    return told


def left_out_reasons(model: Model, rows: Iterable[Checkpoint]) -> list[Reason]:
    """Which checkpoints are not among the alternatives, and how to ask for them."""
    bases = [row for row in rows if row.model == model.id and row.base]
    if not bases:
        return []
    names = " and ".join(row.id for row in bases)
    text = (
        f"Alternatives leave out what comes from pre-training alone and cannot chat; to plan it: --checkpoint {names}"
    )
    return [Reason(f"{text}.", "verified", bases[0].source)]


def _chosen(model: Model, best: Plan, rivals: list[Plan]) -> Reason:
    speed = _speed(best)
    gives = [f"it is expected to give {speed}"] if rivals and speed else []
    text = "; ".join((f"{best.engine} was chosen: {_why(model, best, rivals)}", *gives, *map(_given, rivals))) + "."
    faster = [plan.engine for plan in rivals if _pace(plan) > _FASTER * _pace(best) > 0]
    if faster:
        text += f" {faster[0]} is expected to be faster here: --engine {faster[0]} asks for it."
    return Reason(text, "derived", "the plans compared here, and the vendors' recipes")


def _why(model: Model, best: Plan, rivals: list[Plan]) -> str:
    ran = [plan for plan in rivals if plan.verdict == "verified"]
    counts = {plan.engine: sum(cell.engine == plan.engine for cell in cells()) for plan in (best, *rivals)}
    if not rivals:
        return "no other engine runs it here"
    if best.verdict == "verified" and not ran:
        return "a vendor ran it on this machine, and this kit holds no such recipe for the others"
    if ran and is_release(model, best.checkpoint) and not any(is_release(model, plan.checkpoint) for plan in ran):
        names = " and ".join(plan.engine for plan in ran)
        return f"a vendor ran the default release with it on this machine, and only another checkpoint with {names}"
    if "sglang" in counts:
        return f"where several run alike it comes first: {counts['sglang']} configurations of V4 are verified with it"
    return "it serves many requests at once from GPU memory, where llama.cpp splits layers"


def _given(other: Plan) -> str:
    return f"{other.engine} would run {other.checkpoint} here ({other.verdict}): {_speed(other) or 'speed not known'}"


def _pace(plan: Plan) -> float:
    """What the objective asks for, more being better: tokens a second of one request or of all; 0 where nobody knows."""
    prediction = plan.prediction
    if prediction is None or prediction.decode_tokens_per_s is None or prediction.tpot_s is None:
        return 0.0
    return 1 / prediction.tpot_s.expected if plan.objective == "latency" else prediction.decode_tokens_per_s.expected


def _speed(plan: Plan) -> str | None:
    prediction = plan.prediction
    if prediction is None or prediction.decode_tokens_per_s is None or prediction.tpot_s is None:
        return None
    rate, tpot = prediction.decode_tokens_per_s.expected, prediction.tpot_s.expected
    return f"{format_rate(rate)} and {format_seconds(tpot)} a token"
