"""Reads a server's ``/metrics``: requests, queue, KV cache, tokens; the same for every engine."""

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
    """One look at a server. A field is None if its engine does not report it.

    Attributes:
        running: Requests being served.
        waiting: Requests in its queue.
        kv_cache_usage: Share of the KV cache that is taken, 0 to 1; of several replicas the fullest.
        generated_tokens: Tokens generated since it started.
        prompt_tokens: Prompt tokens read since it started.

    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_usage: float | None = None
    generated_tokens: int | None = None
    prompt_tokens: int | None = None


def read_metrics(text: str, table: Metrics) -> ServerMetrics:
    """Return the metrics in ``text``, by the names of ``table``; lines that are no samples are skipped.

    Args:
        text: A server's answer in Prometheus text format; it may hold anything.
        table: The engine's ``[metrics]``.

    """
    wanted = {table.running, table.waiting, table.kv_cache_usage, table.generated_tokens, table.prompt_tokens}
    found: dict[str, list[float]] = {}
    for name, value in samples(text):
        if name in wanted:
            found.setdefault(name, []).append(value)
    usage = found.get(table.kv_cache_usage or "")
    return ServerMetrics(
        running=_total(found, table.running),
        waiting=_total(found, table.waiting),
        kv_cache_usage=min(max(usage), 1.0) if usage else None,
        generated_tokens=_total(found, table.generated_tokens),
        prompt_tokens=_total(found, table.prompt_tokens),
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
