"""Computes the memory a checkpoint needs: weights to the byte, KV cache by engine, and the share of each GPU."""

from seatrial.memory.footprint import compute_footprint, config_footprint, count_parameters
from seatrial.memory.types import Footprint, Parallelism

__all__ = ["Footprint", "Parallelism", "compute_footprint", "config_footprint", "count_parameters"]
