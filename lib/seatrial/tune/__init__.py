"""Finds the fastest settings of an engine on this machine, in bounded time, and keeps them for it."""

from seatrial.tune.bench import ServerBench, TuneLoad
from seatrial.tune.run import TuneRequest, tune_machine, tune_on
from seatrial.tune.search import Bench, Budget, Track, search

__all__ = ["Bench", "Budget", "ServerBench", "Track", "TuneLoad", "TuneRequest", "search", "tune_machine", "tune_on"]
