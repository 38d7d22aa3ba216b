"""Compares a prediction with what was measured here, and scales others of the same engine and checkpoint by that.

Each time has a part in which prompts are read (prefill) and a part of decode steps. Two measured times, TTFT and TPOT, tell
by how much each part is longer than predicted; at another load the parts have other shares, and their ratios hold.
"""

from __future__ import annotations

import math

from seatrial.hardware.types import Efficiency, MeasuredLevel
from seatrial.records import Interval
from seatrial.speed.types import Prediction
from seatrial.units import counted

_SPREAD = 1.2  # of a load with as many streams as were measured, or between; measured levels predict others so
_SPREAD_BEYOND = 1.5  # of one with fewer or more streams than were measured
_LEAST_SHARE = 0.05  # of a time, that a part must have to be told from the other


def compared(prediction: Prediction, streams: int, tpot_s: float, ttft_s: float) -> MeasuredLevel | None:
    """Return by how much decode and prefill take longer than predicted; None for a prediction without figures.

    Args:
        prediction: For the load that was measured.
        streams: Requests at once.
        tpot_s: Measured time for each output token.
        ttft_s: Measured time to the first token.

    """
    if prediction.tpot_s is None or prediction.ttft_s is None:
        return None
    tpot, ttft = prediction.tpot_s.expected, prediction.ttft_s.expected
    others, reading = prediction.tpot_prefill_s or 0.0, prediction.ttft_prefill_s or ttft
    steps, first_step = tpot - others, ttft - reading
    # tpot_s = decode * steps + prefill * others, ttft_s = decode * first_step + prefill * reading
    divisor = steps * reading - others * first_step
    if divisor > _LEAST_SHARE * tpot * ttft:
        decode = (tpot_s * reading - ttft_s * others) / divisor
        prefill = (ttft_s * steps - tpot_s * first_step) / divisor
        if decode * steps > _LEAST_SHARE * tpot_s and prefill * reading > _LEAST_SHARE * ttft_s:
            return MeasuredLevel(streams, decode, prefill)
    return MeasuredLevel(streams, tpot_s / tpot, ttft_s / ttft)  # the parts cannot be told apart


def scaled(prediction: Prediction, efficiency: Efficiency, streams: int, answer_tokens: float) -> Prediction:
    """Return a prediction with its parts multiplied by the ratios measured here, in a narrower interval.

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
    rate = prediction.decode_tokens_per_s
    if prediction.tpot_s is None or prediction.ttft_s is None or rate is None or not efficiency.levels:
        return prediction
    tpot, ttft = prediction.tpot_s.expected, prediction.ttft_s.expected
    slower = _interpolated(efficiency.levels, streams)
    others, reading = (prediction.tpot_prefill_s or 0.0) * slower.prefill, prediction.ttft_prefill_s or ttft
    new_tpot = (tpot - (prediction.tpot_prefill_s or 0.0)) * slower.decode + others
    new_ttft = (ttft - reading) * slower.decode + reading * slower.prefill
    faster = (ttft + answer_tokens * tpot) / (new_ttft + answer_tokens * new_tpot)
    known = [level.streams for level in efficiency.levels]
    spread = _SPREAD if min(known) <= streams <= max(known) else _SPREAD_BEYOND
    return Prediction(
        decode_tokens_per_s=_around(rate.expected * faster, spread),
        tpot_s=_around(new_tpot, spread),
        ttft_s=_around(new_ttft, spread),
        basis=f"{_measured(efficiency, slower)} {prediction.basis}",
        tpot_prefill_s=others,
        ttft_prefill_s=reading * slower.prefill,
        measured_at=efficiency.measured_at,
    )


def _interpolated(levels: tuple[MeasuredLevel, ...], streams: int) -> MeasuredLevel:
    below = max((level for level in levels if level.streams <= streams), key=lambda one: one.streams, default=None)
    above = min((level for level in levels if level.streams >= streams), key=lambda one: one.streams, default=None)
    if below is None or above is None or below.streams == above.streams:
        return next(level for level in (below, above) if level is not None)
    share = math.log(streams / below.streams) / math.log(above.streams / below.streams)
    return MeasuredLevel(
        streams,
        decode=below.decode * (above.decode / below.decode) ** share,
        prefill=below.prefill * (above.prefill / below.prefill) ** share,
    )


def _around(value: float, spread: float) -> Interval:
    return Interval(low=value / spread, expected=value, high=value * spread)


def _measured(efficiency: Efficiency, slower: MeasuredLevel) -> str:
    streams = [level.streams for level in efficiency.levels]
    levels = counted(streams[0], "stream") if len(streams) == 1 else f"{min(streams)} to {max(streams)} streams"
    version = f" {efficiency.engine_version}" if efficiency.engine_version else ""
    return (
        f"Measured here on {efficiency.measured_at[:10]} with {efficiency.engine}{version}, {levels}: a decode step takes "
        f"{slower.decode:.2f} times and prefill {slower.prefill:.2f} times as long as predicted, which is counted in."
    )
