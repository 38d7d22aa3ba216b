"""A measurement as tables: speed and latency of each load level, and the self-check of the client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from seatrial.measure.summary import best_point, find_problems
from seatrial.measure.types import Measurement, Point, Quantiles
from seatrial.measure.workload import describe_lengths, describe_level
from seatrial.units import format_rate, format_seconds
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import plain_text

_NOTHING = "-"
_LONGEST_NAME = 60
_SPEED_COLUMNS = ("Load", "Tokens/s>", "TTFT p50>", "TTFT p90>", "TTFT p99>", "TPOT p50>", "TPOT p90>", "Goodput>", "OK>",
                  "Valid")  # fmt: skip


def table_measurement(measurement: Measurement) -> Table:
    """Return a row for each load level, under a title with the best throughput; empty columns are left out."""
    best = best_point(measurement.points)
    finding = f"{describe_rate(best)} at most" if best else "Nothing succeeded"
    workload = measurement.workload
    shown = {
        "TTFT p99>": any(point.ttft_s is not None and point.ttft_s.p99 is not None for point in measurement.points),
        "Goodput>": workload.slo_ttft_s is not None or workload.slo_tpot_s is not None,
    }
    rows = [_speed_row(point) for point in measurement.points]
    columns = tuple(name for name in _SPEED_COLUMNS if shown.get(name, True))
    return Table(
        title=f"{finding}: {describe_target(measurement)}",
        columns=columns,
        rows=tuple(tuple(row[name] for name in columns) for row in rows),
        note=_note(measurement),
    )


def table_self_check(measurement: Measurement) -> Table:
    """Return how well the client itself kept up, a row for each load level."""
    bad = sum(not point.self_check.valid for point in measurement.points)
    return Table(
        title=f"The times are the server's own at {len(measurement.points) - bad} of {len(measurement.points)} load levels",
        columns=("Load", "Loop lag p99>", "Client CPU>", "Sent late p99>", "Tokens by", "Tokens a chunk>", "Cached>"),
        rows=tuple(map(_check_row, measurement.points)),
        details=tuple(point.self_check.why for point in measurement.points),
        note="Loop lag: how late the client notices a byte. Cached: prompt tokens the server's prefix cache answered.",
    )  # fmt: skip


def describe_target(measurement: Measurement) -> str:
    """Return model, engine and address in a line; a stand-in and a simulation are labelled."""
    labels = [label for label, holds in (("stand-in", measurement.stand_in), ("simulated", measurement.simulated))
              if holds]  # fmt: skip
    engine = f" on {measurement.engine}" if measurement.engine else ""
    kind = f" ({', '.join(labels)})" if labels else ""
    return f"{plain_text(measurement.model, _LONGEST_NAME)}{kind}{engine} at {measurement.url}"


def describe_load(point: Point) -> str:
    """Return ``8 streams`` or ``2.5 requests/s``."""
    return point.label or describe_level(point.concurrency, point.rate)


def describe_rate(point: Point) -> str:
    """Return the throughput of a load level, labelled if its self-check failed."""
    return f"{format_rate(point.output_tokens_per_s)}{'' if point.self_check.valid else ' (not valid)'}"


def _speed_row(point: Point) -> dict[str, str]:
    # Under open load people wait from the moment their request was due, not from when it was sent.
    ttft = point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s
    rate = point.output_tokens_per_s
    return {
        "Load": describe_load(point),
        "Tokens/s>": _NOTHING if rate is None else format_rate(rate, "").removesuffix(" /s"),
        "TTFT p50>": _seconds(ttft, "p50"),
        "TTFT p90>": _seconds(ttft, "p90"),
        "TTFT p99>": _seconds(ttft, "p99"),
        "TPOT p50>": _seconds(point.tpot_s, "p50"),
        "TPOT p90>": _seconds(point.tpot_s, "p90"),
        "Goodput>": format_rate(point.goodput_per_s, "req"),
        "OK>": f"{point.requests.succeeded}/{point.requests.sent}",
        "Valid": "yes" if point.self_check.valid and point.requests.succeeded else "no",
    }


def _check_row(point: Point) -> Row:
    check = point.self_check
    return (
        describe_load(point),
        format_seconds(check.loop_lag_p99_s),
        f"{check.cpu_share:.0%}",
        format_seconds(check.dispatch_delay_p99_s),
        point.token_source or _NOTHING,
        _NOTHING if point.tokens_per_chunk is None else f"{point.tokens_per_chunk:.2f}",
        _NOTHING if point.cached_tokens is None else f"{point.cached_tokens:,}",
    )


def _seconds(quantiles: Quantiles | None, name: str) -> str:
    value = None if quantiles is None else getattr(quantiles, name)
    return _NOTHING if value is None else format_seconds(value)


def _drafts(measurement: Measurement) -> Iterator[str]:
    """Yield how many drafted tokens the model accepted, for each load at which any were drafted."""
    for point in measurement.points:
        if point.acceptance_length is not None and point.drafted_tokens:
            share = (point.accepted_tokens or 0) / point.drafted_tokens
            yield (
                f"{describe_load(point)}: {point.drafted_tokens:,} tokens drafted, {share:.0%} accepted, "
                f"{point.acceptance_length:.2f} tokens a step."
            )


def _note(measurement: Measurement) -> str:
    workload = measurement.workload
    lengths = f"Prompts of {describe_lengths(workload)} tokens, answers of at most {workload.answer_tokens}."
    failures = Counter(one.error.partition(":")[0] for one in measurement.completions if one.error is not None)
    failed = ", ".join(f"{kind} x{times}" for kind, times in sorted(failures.items()))
    failed = f"Failed: {failed}." if failed else ""
    return " ".join(
        filter(None, (lengths, failed, *_drafts(measurement), *measurement.notes, *find_problems(measurement)))
    )
