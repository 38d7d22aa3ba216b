"""Predicts the speed of a plan: tokens per second and seconds, as intervals with their basis."""

from seatrial.speed.host import HostSide
from seatrial.speed.predict import predict_speed
from seatrial.speed.types import Prediction
from seatrial.speed.work import Ranks, ServingLoad, Work

__all__ = ["HostSide", "Prediction", "Ranks", "ServingLoad", "Work", "predict_speed"]
