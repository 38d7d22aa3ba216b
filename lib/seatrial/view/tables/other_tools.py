"""What other tools answer when asked for the memory of DeepSeek V4's weights, each against the bytes added up here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from seatrial.catalog import find_checkpoint, model_of
from seatrial.memory import config_footprint
from seatrial.records import from_dict
from seatrial.units import GB, format_gib
from seatrial.view.tables.table import Row, Table

_FACTOR = 2.0
"""From here on a deviation is told as a factor."""


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """One tool.

    Attributes:
        tool: Name and version.
        answers_gb: What it said, 1e9 bytes; several where it gives one for each precision.
        why: Where the answer comes from.

    """

    tool: str
    answers_gb: tuple[float, ...]
    why: str


@dataclass(frozen=True, slots=True)
class OtherTools:
    """The rows of ``other_tools.json``.

    Attributes:
        question: What each was asked.
        checkpoint: About which checkpoint.
        bytes: What is true: bytes of all its files' tensors.
        checked: Date, ISO 8601.
        source: How they were asked.
        rows: The answers.

    """

    question: str
    checkpoint: str
    bytes: int
    checked: str
    source: str
    rows: tuple[ToolAnswer, ...]

    def ratios(self, row: ToolAnswer) -> tuple[float, ...]:
        """Each answer of a tool against the truth; 1 is exact."""
        return tuple(answer * GB / self.bytes for answer in row.answers_gb)


@cache
def other_tools() -> OtherTools:
    """What was asked, and the answers."""
    text = files("seatrial.view.tables").joinpath("other_tools.json").read_text(encoding="utf-8")
    return from_dict(OtherTools, json.loads(text))


def our_bytes() -> int:
    """What this kit answers to the same question, from ``config.json`` alone."""
    checkpoint = find_checkpoint(other_tools().checkpoint)
    return config_footprint({**model_of(checkpoint).config, **checkpoint.config}).weights_bytes


def table_other_tools() -> Table:
    """Our bytes, from ``config.json`` alone, and beside them what other tools answer and by how much they err."""
    asked = other_tools()
    ours = our_bytes()
    rows: list[Row] = [
        ("seatrial", f"{ours / GB:,.1f}", _off(ours / asked.bytes), "every tensor of config.json added up")
    ]
    rows += [
        (
            row.tool,
            ", ".join(f"{answer:,.1f}" for answer in row.answers_gb),
            ", ".join(map(_off, asked.ratios(row))),
            row.why,
        )
        for row in asked.rows
    ]
    answers = [answer for row in asked.rows for answer in row.answers_gb]
    return Table(
        f"{len(asked.rows)} tools answer {min(answers):,.1f} to {max(answers):,.1f} GB; it is {ours:,} bytes",
        ("tool", "GB>", "off by>", "why"),
        tuple(rows),
        f"{asked.question} {format_gib(asked.bytes)}. Asked {asked.checked}: {asked.source}.",
    )


def _off(ratio: float) -> str:
    """A ratio of answer to truth as people say it: ``37 times too little``, ``+10.5 %``, ``exact``."""
    if ratio == 1:
        return "exact"
    if ratio >= _FACTOR:
        return f"{ratio:,.1f} times too much"
    if ratio <= 1 / _FACTOR:
        return f"{1 / ratio:,.1f} times too little"
    return f"{ratio - 1:+.1%}"
