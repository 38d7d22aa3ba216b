"""Scales a prediction by what was measured here: the same engine and checkpoint, at other loads."""

from __future__ import annotations

import math

from seatrial.hardware.types import Efficiency, MeasuredLevel
from seatrial.records import Interval
from seatrial.speed.types import Prediction
from seatrial.units import counted

_SPREAD = 1.2  # of a load between those measured
_SPREAD_BEYOND = 1.5  # of one with fewer or more streams than were measured


def scaled(prediction: Prediction, efficiency: Efficiency, streams: int, answer_tokens: float) -> Prediction:
    """Return a prediction with its times multiplied by the ratios measured here, in a narrower interval.

    Between two measured levels the ratio is interpolated over the logarithm of the streams; beyond them the nearest
    counts. Tokens per second follow from the times of a whole request.

    Args:
        prediction: By the data sheets and the general calibration.
        efficiency: Measured with the same engine and checkpoint.
        streams: Requests at once.
        answer_tokens: Mean length of an answer.

    Returns:
        The prediction as it is if it has no figures, or nothing was measured.

    """
    tpot, ttft, rate = prediction.tpot_s, prediction.ttft_s, prediction.decode_tokens_per_s
    if tpot is None or ttft is None or rate is None or not efficiency.levels:
        return prediction
    slower = _interpolated(efficiency.levels, streams)
    known = [level.streams for level in efficiency.levels]
    spread = _SPREAD if known[0] <= streams <= known[-1] else _SPREAD_BEYOND
    times = tpot.expected * slower.tpot, ttft.expected * slower.ttft
    before = ttft.expected + answer_tokens * tpot.expected
    after = times[1] + answer_tokens * times[0]
    return Prediction(
        decode_tokens_per_s=_around(rate.expected * before / after, spread),
        tpot_s=_around(times[0], spread),
        ttft_s=_around(times[1], spread),
        basis=f"{_measured(efficiency, slower)} {prediction.basis}",
    )


def _interpolated(levels: tuple[MeasuredLevel, ...], streams: int) -> MeasuredLevel:
    below = max((level for level in levels if level.streams <= streams), key=lambda one: one.streams, default=None)
    above = min((level for level in levels if level.streams >= streams), key=lambda one: one.streams, default=None)
    if below is None or above is None or below.streams == above.streams:
        nearest = below or above
        if nearest is None:
            raise ValueError("nothing was measured")
        return nearest
    share = math.log(streams / below.streams) / math.log(above.streams / below.streams)
    return MeasuredLevel(
        streams,
        tpot=below.tpot * (above.tpot / below.tpot) ** share,
        ttft=below.ttft * (above.ttft / below.ttft) ** share,
    )


def _around(value: float, spread: float) -> Interval:
    return Interval(low=value / spread, expected=value, high=value * spread)


def _measured(efficiency: Efficiency, slower: MeasuredLevel) -> str:
    streams = [level.streams for level in efficiency.levels]
    levels = counted(streams[0], "stream") if len(streams) == 1 else f"{streams[0]} to {streams[-1]} streams"
    version = f" {efficiency.engine_version}" if efficiency.engine_version else ""
    return (
        f"Measured here on {efficiency.measured_at[:10]} with {efficiency.engine}{version}, {levels}: "
        f"{slower.tpot:.2f} times the predicted time for each token and {slower.ttft:.2f} times that to the first; "
        "both are multiplied by that."
    )
