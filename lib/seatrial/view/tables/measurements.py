"""A measurement as tables: speed and latency of each load level, and the self-check of the client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from seatrial.measure.knee import describe_knee, knee_of
from seatrial.measure.summary import best_point, find_problems
from seatrial.measure.types import Measurement, Point, Quantiles
from seatrial.measure.workload import describe_level, describe_sizes
from seatrial.units import counted, format_rate, format_seconds
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import plain_text

_NOTHING = "-"
_LONGEST_NAME = 60
_SMALLEST_ERROR = 0.005  # of a figure; less is lost in rounding
_UNITS = {"ms": 1e-3, "s": 1.0}
_SPEED_COLUMNS = ("Load", "Tokens/s>", "TTFT p50>", "TTFT p90>", "TTFT p99>", "TPOT p50>", "TPOT p90>", "Goodput>", "OK>",
                  "Valid")  # fmt: skip


def table_measurement(measurement: Measurement) -> Table:
    """Return a row for each load level, under a title with the best throughput; empty columns are left out."""
    best = best_point(measurement.points)
    partial = any(point.partial for point in measurement.points)
    nothing = "Stopped before an answer was complete" if partial else "Nothing succeeded"
    finding = f"{describe_rate(best)} at most" if best else nothing
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
        columns=("Load", "TTFT \N{PLUS-MINUS SIGN}>", "TPOT \N{PLUS-MINUS SIGN}>", "Loop lag p99>", "Client CPU>", "Sent late p99>",
                 "Tokens by", "Tokens a chunk>", "Cached>"),
        rows=tuple(map(_check_row, measurement.points)),
        details=tuple(" ".join(filter(None, (point.self_check.why, *point.self_check.warnings))) for point in measurement.points),
        note="\N{PLUS-MINUS SIGN}: how much the client's own lateness may change a median. Loop lag: how late the client notices a "
             "byte. Cached: prompt tokens the server's prefix cache answered.",
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
    """Return the throughput of a load level, labelled if its self-check failed or the level was broken off."""
    label = "" if point.self_check.valid else " (not valid)"
    return f"{format_rate(point.output_tokens_per_s)}{label or (' (partial)' if point.partial else '')}"


def with_error(seconds: float, error_s: float | None) -> str:
    """Return ``62.1 ms ± 0.4``: an error in the unit of its figure, left out if it is under half a per cent of that."""
    text = format_seconds(seconds)
    _, _, unit = text.rpartition(" ")
    if error_s is None or error_s < _SMALLEST_ERROR * seconds or unit not in _UNITS or " min " in text:
        return text
    return f"{text} \N{PLUS-MINUS SIGN} {error_s / _UNITS[unit]:.2g}"


def _speed_row(point: Point) -> dict[str, str]:
    # Under open load people wait from the moment their request was due, not from when it was sent.
    ttft = point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s
    rate = point.output_tokens_per_s
    return {
        "Load": describe_load(point),
        "Tokens/s>": _NOTHING if rate is None else format_rate(rate, "").removesuffix(" /s"),
        "TTFT p50>": _NOTHING if ttft is None else with_error(ttft.p50, point.self_check.ttft_error_s),
        "TTFT p90>": _seconds(ttft, "p90"),
        "TTFT p99>": _seconds(ttft, "p99"),
        "TPOT p50>": _NOTHING if point.tpot_s is None else with_error(point.tpot_s.p50, point.self_check.tpot_error_s),
        "TPOT p90>": _seconds(point.tpot_s, "p90"),
        "Goodput>": format_rate(point.goodput_per_s, "req"),
        "OK>": f"{point.requests.succeeded}/{point.requests.sent}",
        "Valid": _validity(point),
    }


def _check_row(point: Point) -> Row:
    check = point.self_check
    return (
        describe_load(point),
        _NOTHING if check.ttft_error_s is None else format_seconds(check.ttft_error_s),
        _NOTHING if check.tpot_error_s is None else format_seconds(check.tpot_error_s),
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


def _validity(point: Point) -> str:
    if not point.self_check.valid or not (point.requests.succeeded or point.partial):
        return "no"
    return "partial" if point.partial else "yes"


def _counted(point: Point) -> Iterator[str]:
    """Yield what is known of a load level beside its row: intervals, checked answers, accepted drafts, energy, preemptions."""
    intervals = [
        f"{name} {form(known.low)} to {form(known.high)}"
        for name, known, form in (
            ("throughput", point.output_tokens_per_s_interval, format_rate),
            ("TTFT", point.ttft_interval_s, format_seconds),
            ("TPOT", point.tpot_interval_s, format_seconds),
        )
        if known is not None
    ]
    if intervals:
        yield f"95 % intervals over {len(point.runs)} runs: {', '.join(intervals)}"
    if point.checked_answers:
        yield f"{point.right_answers} of {point.checked_answers} checked answers right"
    if point.acceptance_length is not None and point.drafted_tokens:
        share = (point.accepted_tokens or 0) / point.drafted_tokens
        yield (
            f"{point.drafted_tokens:,} tokens drafted, {share:.0%} accepted, {point.acceptance_length:.2f} tokens a step"
        )
    if point.energy_per_token_j is not None:
        yield f"{point.energy_per_token_j:.3g} J of the GPUs for each token"
    if point.preemptions:
        yield f"{counted(point.preemptions, 'request')} put back into the queue"


def warnings_of(measurement: Measurement) -> Iterator[str]:
    """Yield each warning of the self-checks once, with the load levels that have it."""
    levels: dict[str, list[str]] = {}
    for point in measurement.points:
        for warning in point.self_check.warnings:
            levels.setdefault(warning, []).append(describe_load(point))
    yield from (f"{', '.join(named)}: {warning}" for warning, named in levels.items())


def _note(measurement: Measurement) -> str:
    workload = measurement.workload
    lengths = describe_sizes(workload)
    failures = Counter(one.error.partition(":")[0] for one in measurement.completions if one.error is not None)
    failed = ", ".join(f"{kind} x{times}" for kind, times in sorted(failures.items()))
    failed = f"Failed: {failed}." if failed else ""
    known = ((describe_load(point), "; ".join(_counted(point))) for point in measurement.points)
    figures = (f"{level}: {text}." for level, text in known if text)
    knee = knee_of(measurement)
    found = () if knee is None else (describe_knee(knee),)
    said = (*found, *measurement.notes, *warnings_of(measurement), *find_problems(measurement))
    return " ".join(filter(None, (lengths, failed, *figures, *said)))
