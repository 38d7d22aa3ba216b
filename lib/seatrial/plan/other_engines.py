"""Explains why this engine was chosen, what each other one would give, and which checkpoints are left out."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.catalog.types import Checkpoint, Model
from seatrial.plan.candidate import is_release
from seatrial.plan.types import Plan
from seatrial.plan.vendor.recipes import cells
from seatrial.records import Reason
from seatrial.units import format_rate, format_seconds

_SOURCE = "the plans that were compared, and the vendors' recipes"
_FASTER = 1.25
"""Predictions closer than this factor are no reason to name another engine."""


def engine_reasons(model: Model, best: Plan, others: list[Plan]) -> list[Reason]:
    """Explain the chosen engine if it runs, with what the others would give; then each that does not run.

    Args:
        model: The model planned.
        best: The chosen plan.
        others: The best plan of each other engine that was evaluated.

    """
    rivals = [plan for plan in others if plan.runs]
    found = [_why_chosen(model, best, rivals)] if best.runs else []
    if best.runs and rivals:
        found.append(_describe_rivals(best, rivals))
    for other in others:
        if not other.runs:
            why = other.reasons[0]
            found.append(Reason(f"Not {other.engine}: {why.text}", why.origin, why.source))
    return found


def left_out_reasons(model: Model, rows: Iterable[Checkpoint]) -> list[Reason]:
    """Name the checkpoints that are not among the alternatives, and how to ask for them."""
    bases = [row for row in rows if row.model == model.id and row.base]
    if not bases:
        return []
    names = " and ".join(row.id for row in bases)
    text = f"Alternatives leave out base checkpoints, which cannot chat; to plan one: --checkpoint {names}."
    return [Reason(text, "verified", bases[0].source)]


def _why_chosen(model: Model, best: Plan, rivals: list[Plan]) -> Reason:
    text = f"{best.engine} was chosen: {_advantage(model, best, rivals)}."
    faster = [plan.engine for plan in rivals if _pace(plan) > _FASTER * _pace(best) > 0]
    if faster:
        text += f" {faster[0]} is expected to be faster: --engine {faster[0]} asks for it."
    return Reason(text, "derived", _SOURCE)


def _describe_rivals(best: Plan, rivals: list[Plan]) -> Reason:
    speed = _describe_speed(best)
    parts = [f"{best.engine} is expected to give {speed}"] if speed else []
    for other in rivals:
        gives = _describe_speed(other) or "speed not known"
        parts.append(f"{other.engine} would run {other.checkpoint} ({other.verdict}): {gives}")
    return Reason(f"{'; '.join(parts)}.", "derived", _SOURCE)


def _advantage(model: Model, best: Plan, rivals: list[Plan]) -> str:
    if not rivals:
        return "no other engine runs it on this machine"
    ran = [plan for plan in rivals if plan.verdict == "verified"]
    if best.verdict == "verified" and not ran:
        return "a vendor ran it on this machine, and no such recipe is known for the others"
    if ran and is_release(model, best.checkpoint) and not any(is_release(model, plan.checkpoint) for plan in ran):
        names = " and ".join(plan.engine for plan in ran)
        return f"a vendor ran the default release with it on this machine, and only another checkpoint with {names}"
    if ran and best.ranks > max(plan.ranks for plan in ran):
        fewer = " and ".join(f"{plan.engine} on {plan.ranks}" for plan in ran)
        return f"a vendor ran it on {best.ranks} GPUs of this machine, and {fewer}"
    if "sglang" in {plan.engine for plan in (best, *rivals)}:
        count = sum(cell.engine == "sglang" and cell.verified for cell in cells())
        return (
            f"vendors verified {count} configurations of V4 with SGLang, so it comes before other engines that run it"
        )
    return (
        "with it V4 thinks and calls tools, which it does not by the chat template of mlx-vlm"
        if best.engine == "llamacpp"
        else "it serves many requests at once from GPU memory, while llama.cpp splits layers"
    )


def _pace(plan: Plan) -> float:
    """Return what the objective asks for, more being better: tokens a second of one request or of all; 0 if unknown."""
    prediction = plan.prediction
    if prediction is None or prediction.decode_tokens_per_s is None or prediction.tpot_s is None:
        return 0.0
    return 1 / prediction.tpot_s.expected if plan.objective == "latency" else prediction.decode_tokens_per_s.expected


def _describe_speed(plan: Plan) -> str | None:
    prediction = plan.prediction
    if prediction is None or prediction.decode_tokens_per_s is None or prediction.tpot_s is None:
        return None
    rate, tpot = prediction.decode_tokens_per_s.expected, prediction.tpot_s.expected
    return f"{format_rate(rate)} and {format_seconds(tpot)} a token"
