"""Finds the fastest settings of an engine on this machine, in bounded time, and stores them for later plans."""

from seatrial.tune.bench import ServerBench, TuneLoad
from seatrial.tune.race import race_and_confirm
from seatrial.tune.rounds import Budget, Track
from seatrial.tune.run import TuneRequest, tune_machine, tune_on

__all__ = ["Budget", "ServerBench", "Track", "TuneLoad", "TuneRequest", "race_and_confirm", "tune_machine", "tune_on"]
