"""Compares a planned server with what was measured, and keeps the ratio for the next predictions on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Literal

from seatrial.hardware.efficiency import is_plausible, keep_efficiency, with_measured_efficiency
from seatrial.hardware.types import Efficiency, MeasuredLevel
from seatrial.launching.next_plan import kept_plan
from seatrial.launching.this_machine import predict_levels
from seatrial.measure.types import Measurement
from seatrial.measure.workload import describe_level, levels_of
from seatrial.plan.types import TENSOR_PARALLEL, Plan
from seatrial.server.memory_lines import memory_in_log
from seatrial.server.running import Server
from seatrial.speed.efficiency import compared
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure that was predicted, beside what was measured.

    Attributes:
        what: Its name, in words.
        predicted: As the kit says before it is measured.
        measured: On this machine.
        unit: Bytes, seconds, or output tokens per second.
        source: Where the measured figure comes from.

    """

    what: str
    predicted: float
    measured: float
    unit: Literal["bytes", "s", "tok/s"]
    source: str

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted


def compare_with_plan(server: Server, measurement: Measurement) -> tuple[Compared, ...]:
    """Return memory and speed of a server that this kit planned beside what was predicted; empty for any other one.

    Args:
        server: A server of this machine.
        measurement: Its measurement.

    """
    plan = _planned(server)
    if plan is None:
        return ()
    return (*_memory(plan, Path(server.log), measurement), *_speeds(plan, measurement))


def with_predictions(server: Server, measurement: Measurement) -> Measurement:
    """Return the measurement with the predicted tokens per second of each level, if this kit planned the server."""
    plan = _planned(server)
    points = list(measurement.points)
    for index, prediction in _predicted(plan, measurement) if plan is not None else ():
        points[index] = replace(points[index], predicted_tokens_per_s=prediction.decode_tokens_per_s)
    return replace(measurement, points=tuple(points))


def remember_speed(server: Server, measurement: Measurement) -> Path | None:
    """Keep how much slower or faster a planned server was than predicted, for the next predictions on this machine.

    Only levels count whose figures are valid, complete, and of no more streams than the plan serves at once.

    Args:
        server: A server of this machine.
        measurement: Its measurement.

    Returns:
        The file that holds it; None for a server that was not planned, is simulated, or had no level that counts.

    Raises:
        UsageError: If the file cannot be written.
        DoesNotFitError: If the disk is full.

    """
    plan = _planned(server)
    if plan is None or measurement.simulated:
        return None
    bare = replace(plan, hardware=replace(plan.hardware, efficiencies=()))
    levels = tuple(_levels(bare, measurement))
    if not levels:
        return None
    subject = server.record.subject
    efficiency = Efficiency(
        engine=plan.engine,
        checkpoint=plan.checkpoint,
        tensor=plan.parallelism.tensor,
        drafter=plan.drafter,
        engine_version=subject.version or None if subject else None,
        prompt_tokens=levels_of(measurement.workload)[0].prompt_tokens,
        measured_at=measurement.started_at,
        levels=levels,
    )
    return keep_efficiency(plan.hardware, efficiency)


def _planned(server: Server) -> Plan | None:
    """Return the plan of a server with what is known by now of its machine; None if nobody planned it, or it is simulated."""
    plan = kept_plan(server)
    if plan is None or plan.simulated:
        return None
    return replace(plan, hardware=with_measured_efficiency(replace(plan.hardware, efficiencies=())))


def _levels(plan: Plan, measurement: Measurement) -> Iterator[MeasuredLevel]:
    """Yield the ratios of each level that counts, by streams; of two levels with as many streams the later."""
    found: dict[int, MeasuredLevel] = {}
    for index, prediction in _predicted(plan, measurement):
        point = measurement.points[index]
        if not point.self_check.valid or point.partial or point.tpot_s is None or point.ttft_s is None:
            continue
        level = compared(prediction, point.concurrency or 1, point.tpot_s.p50, point.ttft_s.p50)
        if level is not None and is_plausible(level.decode) and is_plausible(level.prefill):
            found[level.streams] = level
    yield from (found[streams] for streams in sorted(found))


def _predicted(plan: Plan, measurement: Measurement) -> Iterator[tuple[int, Prediction]]:
    """Yield the index of each closed-loop level that the plan serves at once, with the prediction for its own lengths."""
    for index, point in enumerate(measurement.points):
        answers = [one.tokens for one in measurement.completions if one.point == index and one.error is None]
        # What the prefix cache had is not read again.
        prompts = [
            max(1, one.prompt_tokens - (one.cached_tokens or 0))
            for one in measurement.completions
            if one.point == index and one.prompt_tokens
        ]
        most = max(plan.concurrency, plan.running_requests or 0)
        if point.concurrency is None or point.concurrency > most or not answers:
            continue
        prompt = round(mean(prompts)) if prompts else levels_of(measurement.workload)[0].prompt_tokens
        answer = max(1, round(mean(answers)))
        found = predict_levels(plan, (point.concurrency,), prompt_tokens=prompt, answer_tokens=answer)
        if point.concurrency in found:
            yield index, found[point.concurrency]


def _memory(plan: Plan, log: Path, measurement: Measurement) -> Iterator[Compared]:
    allocated, footprint = memory_in_log(log, plan.engine), plan.footprint
    predicted = {"weights": footprint.weights_bytes, "compute_buffers": footprint.reserve_bytes}
    if plan.engine not in TENSOR_PARALLEL:  # the others give their caches all that is left
        predicted["kv_cache"] = footprint.kv_bytes
    for what in ("weights", "kv_cache", "compute_buffers"):
        if what in allocated and predicted.get(what):
            name = {"weights": "Weights", "kv_cache": "KV cache", "compute_buffers": "Buffers"}[what]
            yield Compared(name, predicted[what], allocated[what], "bytes", "the engine's log")
    resident = max((one.memory_bytes for one in measurement.samples if one.memory_bytes), default=0)
    if resident and footprint.host_bytes:
        yield Compared("Host memory", footprint.host_bytes, resident, "bytes", "the engine's processes, most")


def _speeds(plan: Plan, measurement: Measurement) -> Iterator[Compared]:
    for index, prediction in _predicted(plan, measurement):
        point = measurement.points[index]
        level = describe_level(point.concurrency, point.rate)
        if prediction.decode_tokens_per_s is not None and point.output_tokens_per_s:
            rate = prediction.decode_tokens_per_s.expected
            yield Compared(f"Output, {level}", rate, point.output_tokens_per_s, "tok/s", "the load")
        for name, expected, measured in (
            ("TTFT", prediction.ttft_s, point.ttft_s),
            ("TPOT", prediction.tpot_s, point.tpot_s),
        ):
            if expected is not None and measured is not None:
                yield Compared(f"{name}, {level}", expected.expected, measured.p50, "s", "the load, median")
