"""Predictions are set beside measurements."""

from seatrial.measure.expected import add_predictions
from seatrial.records import Interval
from seatrial.speed import Prediction


def test_a_ladder_of_lengths_has_no_one_prediction(measured):
    """A prediction is for one length of prompts: none of several gets it."""
    measurement = measured(concurrency=1, prompt_tokens="64,100", requests=1)
    told = add_predictions(measurement, {1: Prediction(Interval(1.0, 2.0, 3.0), None, None, "made up")})
    assert [None, None] == [point.predicted_tokens_per_s for point in told.points]


def test_each_level_gets_its_own_prediction(measured):
    """A level that was predicted carries the interval; another stays without."""
    measurement = measured(concurrency=(1, 2), requests=2)
    interval = Interval(10.0, 20.0, 40.0)
    told = add_predictions(measurement, {2: Prediction(interval, None, None, "made up")})
    assert [None, interval] == [point.predicted_tokens_per_s for point in told.points]
    assert [point.output_tokens_per_s for point in measurement.points] == [
        point.output_tokens_per_s for point in told.points
    ]
