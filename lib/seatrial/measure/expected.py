"""Adds the predicted speed to a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seatrial.measure.types import Measurement
from seatrial.speed.types import Prediction


def add_predictions(measurement: Measurement, predictions: Mapping[int, Prediction]) -> Measurement:
    """Return the measurement with the predicted tokens per second in its points.

    Args:
        measurement: Any measurement.
        predictions: By streams at once, for one length of prompts; a level without a prediction stays as it is.

    """
    if isinstance(measurement.workload.prompt_tokens, tuple):
        return measurement
    points = tuple(
        replace(point, predicted_tokens_per_s=predictions[point.concurrency].decode_tokens_per_s)
        if point.concurrency is not None and point.concurrency in predictions
        else point
        for point in measurement.points
    )
    return replace(measurement, points=points)
