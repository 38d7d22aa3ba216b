"""Marks that tell verdicts, origins and stand-ins apart without colour: a sign, a word, a border of its own."""

from __future__ import annotations

import html
from dataclasses import dataclass

from seatrial.plan.types import Verdict
from seatrial.records import Origin


@dataclass(frozen=True, slots=True)
class Badge:
    """How a word is set off: its sign, and the colour and line round it.

    Attributes:
        sign: One character that differs from every other's.
        color: Dark enough on white and light enough on black to be read.
        line: CSS border style; no two origins share one.

    """

    sign: str
    color: str
    line: str


VERDICT_BADGES: dict[Verdict, Badge] = {
    "verified": Badge("★", "#0072B2", "solid"),
    "fits": Badge("✓", "#008060", "solid"),
    "does_not_fit": Badge("✗", "#C44E00", "solid"),
    "refused": Badge("⊘", "#6E7781", "solid"),
}
ORIGIN_BADGES: dict[Origin, Badge] = {
    "measured": Badge("●", "#008060", "solid"),
    "verified": Badge("★", "#0072B2", "double"),
    "derived": Badge("=", "#6E7781", "dashed"),
    "assumed": Badge("~", "#C44E00", "dotted"),
}
"""Measured here; a vendor ran it; computed from exact data; assumed."""


def marked(word: Verdict) -> str:
    """A verdict as text with its sign: ``✗ does not fit``."""
    return f"{VERDICT_BADGES[word].sign} {word.replace('_', ' ')}"


def origin_badge(origin: Origin) -> str:
    """HTML of an origin: sign, word, and a border that no other origin has."""
    badge = ORIGIN_BADGES[origin]
    width = "3px" if badge.line == "double" else "1.5px"
    style = f"color:{badge.color};border:{width} {badge.line} {badge.color}"
    return f'<span class="st-badge" style="{style}">{badge.sign}&nbsp;{html.escape(origin)}</span>'


def kind_label(*, stand_in: bool, simulated: bool) -> str:
    """What must stand behind the name of what answers, brackets included; empty for DeepSeek V4 itself."""
    if simulated:
        return " (simulated: no model behind it)"
    return " (a stand-in, not DeepSeek V4)" if stand_in else ""
