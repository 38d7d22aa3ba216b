"""The files beside a page: every load level of every run as CSV and JSON, for tables and programs of others."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from seatrial.records import finite, to_dict
from seatrial.view.report.comparison import Level
from seatrial.view.report.find import Head
from seatrial.view.report.run_record import RunRecord
from seatrial.view.untrusted import plain_text
from seatrial.writing import Ours

_QUANTILES = ("ttft_s", "ttft_from_schedule_s", "ttfo_s", "tpot_s", "chunk_gap_s", "e2e_s")
_FIGURES = (
    *("output_tokens_per_s", "output_tokens_per_s_whole_run", "tokens_per_chunk", "goodput_per_s", "cached_tokens"),
    *("duration_s", "acceptance_length", "energy_per_token_j", "preemptions", "checked_answers", "right_answers"),
)
_INTERVALS = ("output_tokens_per_s_interval", "ttft_interval_s", "tpot_interval_s", "predicted_tokens_per_s")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First letters that make a spreadsheet run a cell."""
_LONGEST = 500

COLUMNS = (
    *(
        "run",
        "started_at",
        "machine",
        "model",
        "engine",
        "kind",
        "load",
        "concurrency",
        "rate",
        "partial",
        "valid",
        "why",
    ),
    *("sent", "succeeded", "failed", "token_source", *_FIGURES),
    *(f"{name}_{part}" for name in _QUANTILES for part in ("mean", "p50", "p90", "p99")),
    *(f"{name}_{part}" for name in _INTERVALS for part in ("low", "expected", "high")),
    *("ttft_error_s", "tpot_error_s", "dollars_per_million_tokens"),
)
_HEAD = ",".join(COLUMNS) + "\n"
FORMAT = "seatrial report"


def csv_text(levels: Sequence[Level]) -> str:
    """Return a line for each load level; unknown is empty, and no cell of text is a formula."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_cells, levels))
    return sheet.getvalue()


def json_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of each run as one JSON document."""
    try:
        runs = msgspec.json.encode(documents)
    except OverflowError:  # a whole number of more than 64 bits
        runs = json.dumps(finite(to_dict(documents))).encode()
    return f'{{"format":"{FORMAT}","runs":{runs.decode()}}}\n'


def run_document(head: Head, name: str, whole: RunRecord | None = None) -> dict[str, Any]:
    """Return the figures of a run as plain JSON values; of one that was read as a whole also how it ended."""
    ended = {} if whole is None else {
        "verdicts": {plan.model: plan.verdict for plan in whole.plans},
        "notebooks": {str(row.get("notebook")): row.get("status") for row in whole.notebooks},
        "problems": list(whole.problems),
    }  # fmt: skip
    return {
        **ended,
        "id": name,
        "file": head.file.name,
        "folder": str(head.file.parent),
        "started_at": head.started_at or None,
        "hardware": head.machine or None,
        "model": head.model or None,
        "engine": head.engine or None,
        "stand_in": head.kind == "stand-in",
        "simulated": head.kind == "simulated",
        "points": head.points,
    }


def begins_with(beginning: str) -> Ours:
    """Return the kind of file of a report that begins with this text."""
    expected = beginning.encode()

    def recognise(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(expected)) == expected

    return Ours("a report of seatrial", recognise)


CSV, JSON = begins_with(_HEAD), begins_with(f'{{"format":"{FORMAT}",')


def _cells(level: Level) -> list[Any]:
    point, head, check = level.point, level.head, level.point.self_check
    quantiles = [_UNKNOWN_QUANTILES if one is None else _QUANTILE(one) for one in _EACH_QUANTILES(point)]
    intervals = [_UNKNOWN_INTERVAL if one is None else _INTERVAL(one) for one in _EACH_INTERVAL(point)]
    return [
        *map(_safe, (level.run, head.started_at, head.machine, head.model, head.engine, head.kind, level.load)),
        *(point.concurrency, point.rate, point.partial, check.valid, _safe(check.why)),
        *(point.requests.sent, point.requests.succeeded, point.requests.failed, _safe(point.token_source or "")),
        *_EACH_FIGURE(point),
        *chain.from_iterable(quantiles),
        *chain.from_iterable(intervals),
        *(check.ttft_error_s, check.tpot_error_s, level.dollars_per_million),
    ]


_EACH_FIGURE, _EACH_QUANTILES, _EACH_INTERVAL = attrgetter(*_FIGURES), attrgetter(*_QUANTILES), attrgetter(*_INTERVALS)
_QUANTILE, _INTERVAL = attrgetter("mean", "p50", "p90", "p99"), attrgetter("low", "expected", "high")
_UNKNOWN_QUANTILES, _UNKNOWN_INTERVAL = (None,) * 4, (None,) * 3


@lru_cache(maxsize=4096)
def _safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    plain = plain_text(text, _LONGEST)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain
