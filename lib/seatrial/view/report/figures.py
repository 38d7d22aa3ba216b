"""Every figure of a run in one table, each with its origin: measured, verified, derived, predicted or assumed."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.measure.types import Measurement
from seatrial.measure.workload import describe_level
from seatrial.plan.types import Plan
from seatrial.records import Interval
from seatrial.units import format_bytes, format_rate, format_seconds
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.measurements import describe_load
from seatrial.view.tables.plans import model_name
from seatrial.view.tables.table import Row, Table


def figures_table(run: RunRecord) -> Table:
    """Return figure, value, origin and source: planned figures first, then the measured ones."""
    rows: list[Row] = []
    for plan in run.plans:
        rows += _of_plan(plan, f"{model_name(plan)}: ")
    if run.plan is not None:
        rows += _of_plan(run.plan, "Launched: ")
    for streams, prediction in sorted(run.predictions.items()):
        name = f"Predicted throughput, {describe_level(streams)}"
        basis = "as for the launched plan" if run.plan and run.plan.prediction else prediction.basis
        rows += _interval(name, prediction.decode_tokens_per_s, format_rate, basis)
    ready = run.server.get("ready_after_s")
    if isinstance(ready, int | float):
        rows.append(
            ("Server ready after", format_seconds(ready), _kind(run), "from launch to its first generated token")
        )
    if run.measurement is not None:
        rows += _of_measurement(run.measurement, _kind(run))
    return Table(
        f"{len(rows)} figures",
        ("Figure", "Value>", "Origin", "Source"),
        tuple(rows),
        "Measured: on this machine, in this run. Verified: a vendor ran it. Derived: computed from exact data."
        " Predicted: expected, as an interval. Assumed: not measured on this machine.",
    )


def _kind(run: RunRecord) -> str:
    return "simulated" if run.simulated else "measured"


def _of_plan(plan: Plan, prefix: str) -> list[Row]:
    footprint = plan.footprint
    rows: list[Row] = [
        (f"{prefix}weights", format_bytes(footprint.weights_bytes), footprint.origin, footprint.source),
        (f"{prefix}KV cache and state", format_bytes(footprint.kv_bytes + footprint.state_bytes), "derived",
         f"{footprint.engine}'s cache layout, {footprint.context_tokens:,} tokens x {footprint.concurrency}"),
        (f"{prefix}reserve", format_bytes(footprint.reserve_bytes), "assumed", "buffers no formula gives exactly"),
        (f"{prefix}usable memory", format_bytes(plan.capacity_bytes), plan.hardware.origin, plan.hardware.source),
    ]  # fmt: skip
    if plan.prediction is not None:
        basis = plan.prediction.basis
        rows += _interval(f"{prefix}throughput", plan.prediction.decode_tokens_per_s, format_rate, basis)
        rows += _interval(f"{prefix}TTFT", plan.prediction.ttft_s, format_seconds, basis)
    return rows


def _interval(name: str, interval: Interval | None, form: Callable[[float | None], str], basis: str) -> list[Row]:
    if interval is None:
        return []
    value = f"{form(interval.expected)} ({form(interval.low)} to {form(interval.high)})"
    return [(name, value, "predicted", basis)]


def _of_measurement(measurement: Measurement, kind: str) -> list[Row]:
    rows: list[Row] = []
    for point in measurement.points:
        load = describe_load(point)
        doubt = "" if point.self_check.valid else f"; not valid: {point.self_check.why}"
        source = f"{point.requests.succeeded} requests, tokens by {point.token_source or 'no counter'}{doubt}"
        rows.append((f"Throughput, {load}", format_rate(point.output_tokens_per_s), kind, source))
        for name, quantiles in (("TTFT", point.ttft_s), ("TPOT", point.tpot_s)):
            if quantiles is not None:
                value = f"{format_seconds(quantiles.p50)} p50, {format_seconds(quantiles.p90)} p90"
                rows.append((f"{name}, {load}", value, kind, source))
    peak = max((one.memory_bytes for one in measurement.samples if one.memory_bytes is not None), default=None)
    if peak is not None:
        rows.append(("Engine's memory at its peak", format_bytes(peak), kind, "resident memory of its processes"))
    return rows
