"""The files beside a page: every load level of every run as CSV and JSON, for tables and programs of others."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
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
    writer.writerows([_safe(value) for value in _cells(level)] for level in levels)
    return sheet.getvalue()


def json_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of each run as one JSON document."""
    return f'{{"format":"{FORMAT}","runs":{msgspec.json.encode(finite(list(documents))).decode()}}}\n'


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
        "points": to_dict(head.points),
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
    quantiles = [getattr(point, name) for name in _QUANTILES]
    intervals = [getattr(point, name) for name in _INTERVALS]
    return [
        *(level.run, head.started_at, head.machine, head.model, head.engine, head.kind, level.load),
        *(point.concurrency, point.rate, point.partial, check.valid, check.why),
        *(point.requests.sent, point.requests.succeeded, point.requests.failed, point.token_source),
        *(getattr(point, name) for name in _FIGURES),
        *(None if one is None else getattr(one, part) for one in quantiles for part in ("mean", "p50", "p90", "p99")),
        *(None if one is None else getattr(one, part) for one in intervals for part in ("low", "expected", "high")),
        *(check.ttft_error_s, check.tpot_error_s, level.dollars_per_million),
    ]


def _safe(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = plain_text(value, _LONGEST)
    return f"'{text}" if text.startswith(_FORMULA) else text
