"""Says what the telemetry of a measurement lacks, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.measure.types import Sample


def missing_readings(samples: Sequence[Sample], reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the readings that no sample has, of one GPU at least, each with its reason.

    Args:
        samples: All of a measurement.
        reasons: Why a reading would be missing, by field of ``Sample``.

    """
    return {name: reason for name, reason in reasons.items() if not _is_there([getattr(one, name) for one in samples])}


def _is_there(values: Sequence[Any]) -> bool:
    """Return True if any value is known; of values for each GPU, if each GPU has a known one."""
    if not any(isinstance(value, tuple) for value in values):
        return any(value is not None for value in values)
    gpus = max(map(len, values))
    return gpus > 0 and all(any(len(value) > gpu and value[gpu] is not None for value in values) for gpu in range(gpus))
