"""Reads a server's ``/metrics``: requests, queue, KV cache, tokens; the same figures for every engine."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from seatrial.catalog.engine_facts import Metrics, engine_facts, engine_ids
from seatrial.json_text import JsonError, parse_json

_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?\s*(\S+)(?:\s+-?\d+)?')
"""A sample of the Prometheus text format: name, labels (quoted values may hold any character), value, time."""
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:\\.|[^"\\])*)"')
_COUNTER = "_total"
_MOST = 1 << 53  # a larger count is no count: doubles, in which servers write them, are no longer exact


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """Figures of a server at one moment; None for those its engine does not report.

    Attributes:
        running: Requests being served.
        waiting: Requests in its queue.
        kv_cache_usage: Share of the KV cache in use, 0 to 1; of several replicas the fullest.
        generated_tokens: Tokens generated since the start.
        prompt_tokens: Prompt tokens of its requests since the start, those that the prefix cache answered included.
        draft_steps: Steps since the start in which drafted tokens were checked.
        drafted_tokens: Tokens drafted since the start.
        accepted_tokens: Those of them that the model accepted.
        cached_tokens: Prompt tokens that the prefix cache answered since the start.
        preemptions: Requests put back into the queue since the start.

    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_usage: float | None = None
    generated_tokens: int | None = None
    prompt_tokens: int | None = None
    draft_steps: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    cached_tokens: int | None = None
    preemptions: int | None = None


_FIGURES = tuple(one.name for one in fields(ServerMetrics))
_Series = list[tuple[Mapping[str, str], float]]


def recognise(text: str) -> str | None:
    """Return the engine whose names are on a page, None if no engine's are."""
    known = {engine: _known(read_metrics(text, engine_facts(engine).metrics)) for engine in engine_ids()}
    best = max(known, key=lambda engine: known[engine])
    return best if known[best] else None


def read_metrics(text: str, table: Metrics) -> ServerMetrics:
    """Return the figures in ``text``, by the names of ``table``; lines that are no samples do not count.

    Args:
        text: Prometheus text or JSON as a server sent it, which may hold anything.
        table: The engine's ``[metrics]``.

    """
    spellings = _spellings(table)
    found: dict[str, _Series] = {}
    for name, labels, value in samples(text, spellings):
        found.setdefault(spellings[name], []).append((labels, value))
    figures: dict[str, Any] = {}
    for figure in _FIGURES:
        series = next((found[name] for name in getattr(table, figure) if name in found), [])
        values = _distinct(series, table)
        if values:
            figures[figure] = min(max(values), 1.0) if figure == "kv_cache_usage" else _count(values)
    if table.prompt_without_cached and figures.get("prompt_tokens") is not None:
        figures["prompt_tokens"] += figures.get("cached_tokens") or 0
    return ServerMetrics(**figures)


def samples(text: str, names: Collection[str]) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Yield name, labels and value of every sample of these names that is a finite number of at least 0, in order."""
    if text.lstrip()[:1] == "{":
        yield from _json_samples(text, names)
        return
    for line in text.splitlines():
        # Most of a page is histograms, of no use here: names are compared before a line is taken apart.
        if line.partition("{")[0].strip().partition(" ")[0].partition("\t")[0] not in names:
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            yield match[1], dict(_LABEL.findall(match[2] or "")), value


def _json_samples(text: str, names: Collection[str]) -> Iterator[tuple[str, Mapping[str, str], float]]:
    try:
        document = parse_json(text)
    except JsonError:
        return
    for name in names:
        value = document
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
            yield name, {}, value


@cache
def _spellings(table: Metrics) -> dict[str, str]:
    """Return the name of the table by each of its spellings: exporters replace the colon, and leave out ``_total``."""
    found = {}
    for name in (name for figure in _FIGURES for name in getattr(table, figure)):
        for spelling in (name, name.replace(":", "_")):
            found[spelling] = found[spelling.removesuffix(_COUNTER)] = name
    return found


def _distinct(series: _Series, table: Metrics) -> Sequence[float]:
    """Return the values that add up: no parts of a total, and one of the copies that each rank shows."""
    largest: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, value in series:
        if not any(labels.get(part) for part in table.parts):
            replica = tuple(sorted(item for item in labels.items() if item[0] not in table.copies))
            largest[replica] = max(value, largest.get(replica, 0.0))
    return list(largest.values())


def _count(values: Sequence[float]) -> int | None:
    """Return the sum over replicas and models."""
    total = sum(values)
    return round(total) if total <= _MOST else None


def _known(metrics: ServerMetrics) -> int:
    return sum(getattr(metrics, figure) is not None for figure in _FIGURES)
