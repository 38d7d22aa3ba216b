"""Sends load to a server and sums up the answers: TTFT, TPOT, tokens per second, and a check of the client itself."""

from seatrial.measure.figures import steady_window, tokens_between, tpot_s, ttft_s
from seatrial.measure.load import Load, measure_server, start_load
from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.summary import find_problems
from seatrial.measure.types import Completion, Measurement, Point, Quantiles, Sample, SelfCheck
from seatrial.measure.workload import Workload

__all__ = [
    "Completion",
    "Load",
    "LoadProgress",
    "Measurement",
    "Point",
    "Quantiles",
    "Recorder",
    "Sample",
    "SelfCheck",
    "Workload",
    "find_problems",
    "measure_server",
    "start_load",
    "steady_window",
    "tokens_between",
    "tpot_s",
    "ttft_s",
]
