"""Simulates the phases of a real start: they are only written to the log, nothing is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator

_SHARDS = 46
_GRAPHS = 24
# Shares of the start of a large model, so that a forecast has something to learn.
_SHARES = {"loading weights": 0.6, "allocating caches": 0.05, "capturing graphs": 0.25, "warming up": 0.1}

_logger = logging.getLogger("seatrial.simulator")


def phases(startup_s: float) -> Iterator[float]:
    """Log each step as it begins, labelled as simulated, and yield the seconds it takes."""
    for part in range(_SHARDS):
        _logger.info("simulated: loading weights, part %d of %d.", part, _SHARDS)
        yield startup_s * _SHARES["loading weights"] / _SHARDS
    _logger.info("simulated: loading weights, part %d of %d.", _SHARDS, _SHARDS)
    _logger.info("simulated: allocating caches")
    yield startup_s * _SHARES["allocating caches"]
    for graph in range(_GRAPHS):
        _logger.info("simulated: capturing graphs, %d of %d.", graph, _GRAPHS)
        yield startup_s * _SHARES["capturing graphs"] / _GRAPHS
    _logger.info("simulated: warming up")
    yield startup_s * _SHARES["warming up"]
