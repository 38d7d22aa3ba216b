"""Reads a server's ``/metrics``: requests, queue, KV cache, tokens; the same figures for every engine."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.catalog.engine_facts import Metrics

_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?\s*(\S+)(?:\s+-?\d+)?')
"""A sample of the Prometheus text format: name, labels (quoted values may hold any character), value, time."""


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """Figures of a server at one moment; None for those its engine does not report.

    Attributes:
        running: Requests being served.
        waiting: Requests in its queue.
        kv_cache_usage: Share of the KV cache in use, 0 to 1; of several replicas the fullest.
        generated_tokens: Tokens generated since the start.
        prompt_tokens: Prompt tokens read since the start.
        draft_steps: Steps since the start in which drafted tokens were checked.
        drafted_tokens: Tokens drafted since the start.
        accepted_tokens: Those of them that the model accepted.

    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_usage: float | None = None
    generated_tokens: int | None = None
    prompt_tokens: int | None = None
    draft_steps: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None


_COUNTS = (
    "running",
    "waiting",
    "generated_tokens",
    "prompt_tokens",
    "draft_steps",
    "drafted_tokens",
    "accepted_tokens",
)
"""Figures that are added up over the series of one name."""


def read_metrics(text: str, table: Metrics) -> ServerMetrics:
    """Return the figures in ``text``, by the names of ``table``; lines that are no samples do not count.

    Args:
        text: Prometheus text format as a server sent it, which may hold anything.
        table: The engine's ``[metrics]``.

    """
    wanted = {table.kv_cache_usage, *(getattr(table, name) for name in _COUNTS)}
    found: dict[str, list[float]] = {}
    for name, value in samples(text):
        if name in wanted:
            found.setdefault(name, []).append(value)
    usage = found.get(table.kv_cache_usage or "")
    return ServerMetrics(
        kv_cache_usage=min(max(usage), 1.0) if usage else None,
        **{name: _total(found, getattr(table, name)) for name in _COUNTS},
    )


def samples(text: str) -> Iterator[tuple[str, float]]:
    """Yield name and value of every sample that is a finite number of at least 0, in order."""
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            yield match[1], value


def _total(found: dict[str, list[float]], name: str | None) -> int | None:
    """Return the sum over the series of one name: an engine has one for each replica and model."""
    values = found.get(name or "")
    return round(sum(values)) if values else None
