"""Predicted speed of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.records import Interval


@dataclass(frozen=True, slots=True)
class Prediction:
    """Speed at the plan's concurrency; an interval is None if the machine's figures are not known.

    Attributes:
        decode_tokens_per_s: Output tokens per second, over all requests.
        tpot_s: Seconds per output token of one request.
        ttft_s: Seconds to the first token.
        basis: Sentences that say what the intervals rest on, or what is missing.
        tpot_prefill_s: Part of the expected ``tpot_s`` in which prompts of other requests are read.
        ttft_prefill_s: Part of the expected ``ttft_s`` in which prompts are read.
        measured_at: When the engine was measured here with this checkpoint, which the figures follow; None if it was not.

    """

    decode_tokens_per_s: Interval | None
    tpot_s: Interval | None
    ttft_s: Interval | None
    basis: str
    tpot_prefill_s: float | None = None
    ttft_prefill_s: float | None = None
    measured_at: str | None = None
