"""How fast a plan is expected to be."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.records import Interval


@dataclass(frozen=True, slots=True)
class Prediction:
    """Speed at the plan's concurrency: tokens per second over all requests, and seconds."""

    decode_tokens_per_s: Interval | None
    tpot_s: Interval | None
    ttft_s: Interval | None
    basis: str
