"""The front of a server: what each user gets against what the machine gives, over its load levels."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.measure.types import Measurement, Point
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Highlight, Series
from seatrial.view.plots.measurements import not_real, origin_of
from seatrial.view.untrusted import plain_text

_MOST_NAME = 36
_DOUBTFUL = "a ring: not valid, or stopped before its end"


def front_chart(measurements: Mapping[str, Measurement], gpus: Mapping[str, int | None], finding: str) -> Chart:
    """Return throughput over the speed of one stream, a line for each run; right and up is better.

    Args:
        measurements: By the name to show.
        gpus: GPUs that each used; if all are known, throughput is that of one GPU.
        finding: Title.

    """
    per_gpu = all(gpus.get(name) for name in measurements)
    lines: list[Series] = []
    rings: list[Highlight] = []
    for name, one in measurements.items():
        share = gpus[name] or 1 if per_gpu else 1
        points = sorted(filter(_has_speed, one.points), key=_user_rate)
        intervals = [point.output_tokens_per_s_interval for point in points]
        known = any(intervals)
        lines.append(
            Series(
                plain_text(name, _MOST_NAME) or "run",
                tuple(map(_user_rate, points)),
                tuple((point.output_tokens_per_s or 0.0) / share for point in points),
                origin_of(one),
                tuple(interval.low / share if interval else None for interval in intervals) if known else (),
                tuple(interval.high / share if interval else None for interval in intervals) if known else (),
                labels=tuple(map(_load, points)),
            )
        )
        rings += [
            Highlight(_DOUBTFUL, len(lines) - 1, _user_rate(point), (point.output_tokens_per_s or 0.0) / share)
            for point in points
            if point.partial or not point.self_check.valid
        ]
    what = (
        "streams at once" if any(not one.workload.open_loop for one in measurements.values()) else "requests a second"
    )
    labels = not_real(
        stand_in=any(one.stand_in for one in measurements.values()),
        simulated=any(one.simulated for one in measurements.values()),
    )
    note = f"Beside each point: {what}{f'; {_DOUBTFUL}' if rings else ''}"
    return Chart(
        title=finding,
        subtitle="; ".join([*labels, note]),
        x_label="Speed for each user (tok/s, from the median TPOT)",
        y_label="Output of each GPU (tok/s)" if per_gpu else "Output (tok/s)",
        series=tuple(lines),
        highlights=tuple(rings),
    )


def _has_speed(point: Point) -> bool:
    return point.output_tokens_per_s is not None and point.tpot_s is not None and point.tpot_s.p50 > 0


def _user_rate(point: Point) -> float:
    return 1 / point.tpot_s.p50 if point.tpot_s is not None and point.tpot_s.p50 > 0 else 0.0


def _load(point: Point) -> str:
    return f"{point.concurrency:,}" if point.concurrency is not None else f"{point.rate or 0:.3g}"
