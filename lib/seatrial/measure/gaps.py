"""Says what the telemetry of a measurement lacks, and whether the server began anew in the middle of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from seatrial.measure.types import Sample

_COUNTERS = {
    "generated_tokens": "generated tokens",
    "prompt_tokens": "prompt tokens",
    "cached_tokens": "cached tokens",
    "drafted_tokens": "drafted tokens",
    "accepted_tokens": "accepted tokens",
    "preemptions": "preemptions",
}
"""Counts of a server since its start, in words."""


def missing_readings(samples: Sequence[Sample], reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the readings that no sample has, of one GPU at least, each with its reason.

    Args:
        samples: All of a measurement.
        reasons: Why a reading would be missing, by field of ``Sample``.

    """
    return {name: reason for name, reason in reasons.items() if not _is_there([getattr(one, name) for one in samples])}


def restarts(samples: Sequence[Sample]) -> list[str]:
    """Return a sentence if a count of the server went back: it began anew, or is not one server."""
    for name, words in _COUNTERS.items():
        counted = [(one.at_s, getattr(one, name)) for one in samples if getattr(one, name) is not None]
        for (_, before), (at_s, after) in pairwise(counted):
            if after < before:
                how = f"its count of {words} fell from {before:,} to {after:,} after {at_s:.0f} s"
                return [f"The server began anew during the measurement, or several answer at its address: {how}."]
    return []


def _is_there(values: Sequence[Any]) -> bool:
    """Return True if any value is known; of values for each GPU, if each GPU has a known one."""
    if not any(isinstance(value, tuple) for value in values):
        return any(value is not None for value in values)
    gpus = max(map(len, values))
    return gpus > 0 and all(any(len(value) > gpu and value[gpu] is not None for value in values) for gpu in range(gpus))
