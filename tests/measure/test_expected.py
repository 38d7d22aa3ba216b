"""Predictions are set beside measurements."""

from seatrial.measure.expected import add_predictions
from seatrial.records import Interval
from seatrial.speed import Prediction


def test_each_level_gets_its_own_prediction(measured):
    """A level that was predicted carries the interval; another stays without."""
    measurement = measured(concurrency=(1, 2), requests=2)
    interval = Interval(10.0, 20.0, 40.0)
    told = add_predictions(measurement, {2: Prediction(interval, None, None, "made up")})
    assert [None, interval] == [point.predicted_tokens_per_s for point in told.points]
    assert [point.output_tokens_per_s for point in measurement.points] == [
        point.output_tokens_per_s for point in told.points
    ]
