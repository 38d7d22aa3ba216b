"""Finds the fastest settings of an engine on this machine, in bounded time, and keeps them for it."""

from seatrial.tune.bench import Load, ServerBench
from seatrial.tune.run import Wish, tune_machine, tune_on
from seatrial.tune.search import Bench, Budget, Track, search

__all__ = ["Bench", "Budget", "Load", "ServerBench", "Track", "Wish", "search", "tune_machine", "tune_on"]
