"""Why this engine, and what each other one would have given."""

from __future__ import annotations

from seatrial.plan.recipes import cells
from seatrial.plan.types import Plan
from seatrial.records import Reason
from seatrial.units import format_rate, format_seconds

FASTER = 1.25
"""Predictions closer than this are taken as alike."""


def engine_reasons(best: Plan, others: list[Plan]) -> list[Reason]:
    """One sentence on the chosen engine and one on each other.

    Args:
        best: The chosen plan.
        others: The best plan of each other engine that was looked at.

    """
    rivals = [plan for plan in others if plan.runs]
    told = [_chosen(best, rivals)] if best.runs else []
    for other in others:
        first = other.reasons[0]
        text = _given(other, best) if other.runs else f"Not {other.engine}: {first.text}"
        told.append(Reason(text, "derived" if other.runs else first.origin, first.source))
    return told


def _chosen(best: Plan, rivals: list[Plan]) -> Reason:
    counts = {plan.engine: sum(cell.engine == plan.engine for cell in cells()) for plan in (best, *rivals)}
    if not rivals:
        why = "no other engine runs it here"
    elif best.verdict == "verified" and all(plan.verdict != "verified" for plan in rivals):
        why = "a vendor ran it on this machine, and this kit holds no such recipe for the others"
    elif "sglang" in counts:
        why = f"where several run alike it comes first: {counts['sglang']} configurations of V4 are verified with it"
    else:
        why = "it serves many requests at once from GPU memory, where llama.cpp splits layers"
    faster = [plan.engine for plan in rivals if _rate(plan) > FASTER * _rate(best) > 0]
    if faster:
        why += f". {faster[0]} is expected to be faster here: --engine {faster[0]} asks for it"
    return Reason(f"{best.engine} was chosen: {why}.", "derived", "the plans compared here, and the vendors' recipes")


def _given(other: Plan, best: Plan) -> str:
    runs = f"{other.engine} would run {other.checkpoint} here ({other.verdict})"
    here, there = _speed(other), _speed(best)
    if here is None:
        return f"{runs}; its speed is not known."
    return f"{runs}: {here} expected" + (f", against {there} with {best.engine}." if there else ".")


def _rate(plan: Plan) -> float:
    """Expected tokens a second; 0 where nobody knows."""
    rate = plan.prediction.decode_tokens_per_s if plan.prediction else None
    return rate.expected if rate else 0.0


def _speed(plan: Plan) -> str | None:
    prediction = plan.prediction
    if prediction is None or prediction.decode_tokens_per_s is None or prediction.tpot_s is None:
        return None
    rate, tpot = prediction.decode_tokens_per_s.expected, prediction.tpot_s.expected
    return f"{format_rate(rate)} and {format_seconds(tpot)} a token"
