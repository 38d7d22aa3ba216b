"""Sets what was predicted beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seatrial.measure.types import Measurement
from seatrial.speed.types import Prediction


def add_predictions(measurement: Measurement, predictions: Mapping[int, Prediction]) -> Measurement:
    """The measurement with the predicted output of each load level in its points.

    Args:
        measurement: What was measured.
        predictions: By streams at once; levels that have none stay without.

    """
    points = tuple(
        replace(point, predicted_tokens_per_s=predictions[point.concurrency].decode_tokens_per_s)
        if point.concurrency is not None and point.concurrency in predictions
        else point
        for point in measurement.points
    )
    return replace(measurement, points=points)
