"""Plots of measurements: speed over load, waiting times, a run over time. Each title states the finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest

from seatrial.measure.summary import best_point
from seatrial.measure.types import Measurement, Point, Quantiles, Sample
from seatrial.speed.types import Prediction
from seatrial.units import GIB, MIB, format_bytes, format_rate, format_seconds
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Series, SeriesOrigin, Span
from seatrial.view.tables.measurements import describe_load, describe_rate
from seatrial.view.untrusted import plain_text

_STREAMS = "Concurrent streams"
_ARRIVALS = "Requests arriving per second"
OUTPUT = "Output (tok/s)"
TIME = "Time since the run started (s)"
_HOST = "engine, host memory"
_MOST_NAME = 48  # characters
_SECONDS_FROM_S = 2  # longer waits are plotted in seconds, shorter ones in milliseconds
_LOG_FROM = 4  # from this ratio of loads on, doublings are evenly spaced


def throughput_chart(
    measurements: Mapping[str, Measurement] | Measurement, predictions: Mapping[int, Prediction] | None = None
) -> Chart:
    """Return output tokens per second over the load, against the prediction.

    Args:
        measurements: A measurement, or several by the name to show.
        predictions: By concurrency; None for those in the measurement itself.

    """
    named = _named(measurements)
    lines = [
        _line(
            name, one, [point.output_tokens_per_s for point in one.points], _ends(one, "output_tokens_per_s_interval")
        )
        for name, one in named.items()
    ]
    expected = _predicted(named, predictions or {})
    bests = {name: best_point(one.points) for name, one in named.items()}
    return Chart(
        title=_throughput_finding(named, bests),
        subtitle=_conditions(list(named.values())),
        x_label=_load_label(named.values()),
        y_label=OUTPUT,
        series=(*lines, *expected),
        log_x=_spreads(named.values()),
    )


def ttft_chart(measurements: Mapping[str, Measurement] | Measurement) -> Chart:
    """Return the time to first token over the load: of half the requests; of one run also of nine in ten."""
    named = _named(measurements)
    waits = {name: [_ttft(point) for point in one.points] for name, one in named.items()}
    known = [wait for row in waits.values() for wait in row if wait is not None]
    unit, factor = ("s", 1.0) if max((wait.p90 for wait in known), default=0.0) >= _SECONDS_FROM_S else ("ms", 1e3)
    lines = []
    for name, one in named.items():
        prefix = f"{name}: " if len(named) > 1 else ""
        medians = [wait.p50 * factor if wait else None for wait in waits[name]]
        lines.append(_line(f"{prefix}p50", one, medians, _ttft_ends(one, waits[name], factor)))
        if len(named) == 1:  # more lines than runs bury them
            lines.append(_line("p90", one, [wait.p90 * factor if wait else None for wait in waits[name]]))
    return Chart(
        title=_ttft_finding(named, waits),
        subtitle=_conditions(list(named.values())),
        x_label=_load_label(named.values()),
        y_label=f"Time to first token ({unit})",
        series=tuple(lines),
        log_x=_spreads(named.values()),
    )


def tokens_chart(measurement: Measurement) -> Chart:
    """Return output tokens per second over time, with the load levels marked."""
    samples = with_breaks(measurement.samples)
    rates = [one.tokens_per_s for one in samples]
    peak = max((rate or 0.0 for rate in rates), default=0.0)
    return Chart(
        title=f"Output over time, {format_rate(peak)} at its peak" if peak else "No output was seen",
        subtitle=_conditions([measurement]),
        x_label=TIME,
        y_label=OUTPUT,
        series=(_over_time("all streams", measurement, samples, rates),),
        spans=load_levels(measurement.samples, measurement.points),
    )


def memory_over_time_chart(measurement: Measurement) -> Chart:
    """Return the memory of the engine's processes and of each GPU over time."""
    samples = with_breaks(measurement.samples)
    gpus = zip_longest(*(one.gpu_memory_bytes for one in samples))
    sizes = {_HOST: [one.memory_bytes for one in samples], **{f"GPU {gpu}": row for gpu, row in enumerate(gpus)}}
    peaks = {name: max(known) for name, row in sizes.items() if (known := [size for size in row if size is not None])}
    unit, scale = ("GiB", GIB) if max(peaks.values(), default=0) >= GIB else ("MiB", MIB)
    findings = ", ".join(f"{format_bytes(peak)} ({name})" for name, peak in list(peaks.items())[:2])
    lines = [
        _over_time(name, measurement, samples, [None if size is None else size / scale for size in sizes[name]])
        for name in peaks or (_HOST,)
    ]
    return Chart(
        title=f"Memory peaks at {findings}" if peaks else "Memory could not be read on this machine",
        subtitle=_conditions([measurement]),
        x_label=TIME,
        y_label=f"Memory in use ({unit})",
        series=tuple(lines),
        spans=load_levels(measurement.samples, measurement.points),
    )


def with_breaks(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples with an empty one between load levels, while the next one was warming up."""
    broken: list[Sample] = []
    for sample in samples:
        if broken and broken[-1].point != sample.point:
            broken.append(Sample(sample.at_s, sample.point))
        broken.append(sample)
    return broken


def load_levels(samples: Sequence[Sample], points: Sequence[Point] = ()) -> tuple[Span, ...]:
    """Return the stretch of time in which each load level was sent."""
    groups = [(place, [one.at_s for one in group]) for place, group in groupby(samples, key=lambda one: one.point)]
    names = [describe_load(point) for point in points]
    return tuple(
        Span(names[place] if place < len(names) else f"level {place + 1}", times[0], times[-1])
        for place, times in groups
        if place >= 0
    )


def _conditions(measurements: Sequence[Measurement]) -> str:
    """Return model and engine, labelled if the figures are not those of DeepSeek V4 or not valid."""
    models = sorted({plain_text(one.model, _MOST_NAME) for one in measurements})
    engines = sorted({one.engine for one in measurements if one.engine})
    labels = not_real(
        stand_in=any(one.stand_in for one in measurements), simulated=any(one.simulated for one in measurements)
    )
    points = [point for one in measurements for point in one.points]
    doubtful = sum(not point.self_check.valid for point in points)
    if doubtful:
        labels.append(f"NOT VALID at {doubtful} of {len(points)} load levels: these are not the server's own times")
    model = f"{', '.join(models)}{' on ' + ', '.join(engines) if engines else ''}"
    return "; ".join([model, *labels])


def not_real(*, stand_in: bool, simulated: bool) -> list[str]:
    """Return the labels that a simulation and a stand-in must bear."""
    labels = {"SIMULATED: no model answered": simulated, "a stand-in, not DeepSeek V4": stand_in}
    return [label for label, holds in labels.items() if holds]


def _named(measurements: Mapping[str, Measurement] | Measurement) -> dict[str, Measurement]:
    if isinstance(measurements, Measurement):
        return _lines_of(plain_text(measurements.model, _MOST_NAME) or "server", measurements)
    lines: dict[str, Measurement] = {}
    for name, one in measurements.items():
        lines |= _lines_of(plain_text(name, _MOST_NAME) or "run", one)
    return lines


def _lines_of(name: str, measurement: Measurement) -> dict[str, Measurement]:
    """Return the points of each kind of load (prompt length, prefix) as a measurement of its own, by rising load."""
    kinds: dict[str, list[Point]] = {}
    for point in measurement.points:
        kinds.setdefault(point.label.partition(", ")[2], []).append(point)
    return {
        f"{name}, {kind}" if len(kinds) > 1 else name: replace(measurement, points=tuple(sorted(points, key=_load)))
        for kind, points in (kinds or {"": []}).items()
    }


def origin_of(measurement: Measurement) -> SeriesOrigin:
    """Return how its figures are drawn: simulated ones as nothing else."""
    return "simulated" if measurement.simulated else "measured"


_Ends = Sequence[tuple[float | None, float | None]]


def _line(name: str, measurement: Measurement, values: Sequence[float | None], ends: _Ends = ()) -> Series:
    """Return values over the load, with an interval at each level that has one."""
    low, high = zip(*ends, strict=True) if any(end != (None, None) for end in ends) else ((), ())
    return Series(name, tuple(map(_load, measurement.points)), tuple(values), origin_of(measurement), low, high)


def _ends(measurement: Measurement, name: str) -> _Ends:
    intervals = [getattr(point, name) for point in measurement.points]
    return [(one.low, one.high) if one else (None, None) for one in intervals]


def _ttft_ends(measurement: Measurement, waits: Sequence[Quantiles | None], factor: float) -> _Ends:
    """Return what TTFT may be: the interval of repeated runs, and sooner by what the client itself may have added."""
    ends: list[tuple[float | None, float | None]] = []
    for point, wait in zip(measurement.points, waits, strict=True):
        interval, late = point.ttft_interval_s, point.self_check.ttft_error_s
        if wait is None or (interval is None and late is None):
            ends.append((None, None))
            continue
        low, high = (interval.low, interval.high) if interval else (wait.p50, wait.p50)
        ends.append((max(low - (late or 0.0), 0.0) * factor, high * factor))
    return ends


def _over_time(
    name: str, measurement: Measurement, samples: Sequence[Sample], values: Sequence[float | None]
) -> Series:
    return Series(name, tuple(one.at_s for one in samples), tuple(values), origin_of(measurement))


def _load(point: Point) -> float:
    return float(point.concurrency if point.concurrency is not None else point.rate or 0.0)


def _load_label(measurements: Iterable[Measurement]) -> str:
    return _ARRIVALS if all(one.workload.open_loop for one in measurements) else _STREAMS


def _spreads(measurements: Iterable[Measurement]) -> bool:
    loads = {_load(point) for one in measurements for point in one.points}
    return len(loads) > 1 and min(loads) > 0 and max(loads) / min(loads) >= _LOG_FROM


def _predicted(named: Mapping[str, Measurement], predictions: Mapping[int, Prediction]) -> list[Series]:
    lines = []
    for name, one in named.items():
        kept = {_load(point): point.predicted_tokens_per_s for point in one.points}
        made = {float(streams): prediction.decode_tokens_per_s for streams, prediction in predictions.items()}
        intervals = kept if any(kept.values()) else made
        rows = sorted((x, interval) for x, interval in intervals.items() if interval is not None)
        if rows:
            ends = [(x, interval.expected, interval.low, interval.high) for x, interval in rows]
            x, expected, low, high = zip(*ends, strict=True)
            lines.append(Series(name, x, expected, "predicted", low, high))
    return lines


def _throughput_finding(named: Mapping[str, Measurement], bests: Mapping[str, Point | None]) -> str:
    if len(named) > 1:
        if not _alike(named):
            return "Throughput of runs that cannot be compared"
        fastest = fastest_of(bests)
        if fastest is None:
            return "No request succeeded in any run"
        return f"{fastest[0]} is fastest with {describe_rate(fastest[1])}"
    (measurement,) = named.values()
    (best,) = bests.values()
    if best is None:
        return "No request succeeded"
    first = measurement.points[0]
    gain = (best.output_tokens_per_s or 0.0) / first.output_tokens_per_s if first.output_tokens_per_s else 0.0
    comparable = best is not first and (first.self_check.valid or not best.self_check.valid)
    more = f", {gain:.1f} times {describe_load(first)}" if comparable and gain else ""
    higher = any((point.output_tokens_per_s or 0.0) > (best.output_tokens_per_s or 0.0) for point in measurement.points)
    limits = " (of the valid load levels)" if higher else ""
    return f"Throughput peaks at {describe_rate(best)} with {describe_load(best)}{limits}{more}"


def _alike(named: Mapping[str, Measurement]) -> bool:
    """Return False if some runs are of a stand-in or simulated, and others are not."""
    return len({(one.stand_in, one.simulated) for one in named.values()}) == 1


def fastest_of(bests: Mapping[str, Point | None]) -> tuple[str, Point] | None:
    """Return name and best load level of the fastest run, valid ones first; None if nothing succeeded."""
    known = [(name, best) for name, best in bests.items() if best is not None]
    return max(known, key=lambda one: (one[1].self_check.valid, one[1].output_tokens_per_s or 0.0), default=None)


def _ttft(point: Point) -> Quantiles | None:
    """Return the waiting times; under open load they count from the moment a request was due."""
    return point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s


def _ttft_finding(named: Mapping[str, Measurement], waits: Mapping[str, list[Quantiles | None]]) -> str:
    if len(named) > 1:
        if not _alike(named):
            return "Waiting times of runs that cannot be compared"
        worst = {name: max((wait.p50 for wait in row if wait), default=None) for name, row in waits.items()}
        known = sorted((wait, name) for name, wait in worst.items() if wait is not None)
        return f"{known[0][1]} answers soonest under its highest load" if known else "No request succeeded in any run"
    (measurement,) = named.values()
    (row,) = waits.values()
    pairs = [(point, wait) for point, wait in zip(measurement.points, row, strict=True) if wait]
    if not pairs:
        return "No request succeeded"
    (first, low), (last, high) = pairs[0], pairs[-1]
    begin = f"Half of the requests begin to answer within {format_seconds(low.p50)} at {describe_load(first)}"
    return begin if first is last else f"{begin}, {format_seconds(high.p50)} at {describe_load(last)}"
