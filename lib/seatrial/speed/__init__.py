"""How fast a plan is expected to be: tokens per second and seconds, as intervals with their basis."""

from seatrial.speed.host import HostSide
from seatrial.speed.predict import predict_speed
from seatrial.speed.types import Prediction
from seatrial.speed.work import Load, Ranks, Work

__all__ = ["HostSide", "Load", "Prediction", "Ranks", "Work", "predict_speed"]
