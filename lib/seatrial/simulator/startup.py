"""The phases a real engine goes through before it listens, only written to the log: nothing is loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterator

SHARDS = 46
GRAPHS = 24
# Shares of the whole: what a large model spends its start on, so that a forecast has something to learn.
SHARES = {"loading weights": 0.6, "allocating caches": 0.05, "capturing graphs": 0.25, "warming up": 0.1}

logger = logging.getLogger("seatrial.simulator")


def phases(startup_s: float) -> Iterator[float]:
    """Log each step as it begins, and give the seconds it takes; the log lines say that they are simulated."""
    for part in range(SHARDS):
        logger.info("simulated: loading weights, part %d of %d.", part, SHARDS)
        yield startup_s * SHARES["loading weights"] / SHARDS
    logger.info("simulated: loading weights, part %d of %d.", SHARDS, SHARDS)
    logger.info("simulated: allocating caches")
    yield startup_s * SHARES["allocating caches"]
    for graph in range(GRAPHS):
        logger.info("simulated: capturing graphs, %d of %d.", graph, GRAPHS)
        yield startup_s * SHARES["capturing graphs"] / GRAPHS
    logger.info("simulated: warming up")
    yield startup_s * SHARES["warming up"]
