"""Badges that tell verdicts, origins and stand-ins apart without colour: a sign, a word, a border of its own."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.plan.types import Verdict
from seatrial.records import Origin


@dataclass(frozen=True, slots=True)
class Badge:
    """Sign, colour and border of a word."""

    sign: str  # one character; no two badges of a kind share one
    color: str  # dark enough on white and light enough on black to be read
    line: str  # CSS border style; no two origins share one


VERDICT_BADGES: dict[Verdict, Badge] = {
    "verified": Badge("★", "#0072B2", "solid"),
    "fits": Badge("✓", "#008060", "solid"),
    "does_not_fit": Badge("✗", "#C44E00", "solid"),
    "refused": Badge("⊘", "#6E7781", "solid"),
}
ORIGIN_BADGES: dict[Origin, Badge] = {
    "measured": Badge("●", "#008060", "solid"),  # on this machine
    "verified": Badge("★", "#0072B2", "double"),  # a vendor ran it
    "derived": Badge("=", "#6E7781", "dashed"),  # computed from exact data
    "assumed": Badge("~", "#C44E00", "dotted"),
}


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict with its sign: ``✗ does not fit``."""
    return f"{VERDICT_BADGES[verdict].sign} {verdict.replace('_', ' ')}"


def kind_label(*, stand_in: bool, simulated: bool) -> str:
    """Return the label behind the name of a model that is not DeepSeek V4: `` (a stand-in, ...)``; else empty."""
    if simulated:
        return " (simulated: no model behind it)"
    return " (a stand-in, not DeepSeek V4)" if stand_in else ""
