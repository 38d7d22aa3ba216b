"""The load in words, and its refusal before anything starts where it cannot be sent or would measure nothing."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from seatrial.errors import UsageError
from seatrial.measure.types import Workload

MAX_STREAMS = 1 << 14
MAX_TOKENS = 1 << 22
MAX_REQUESTS = 1_000_000


def describe_level(streams: int | None, rate: float | None = None) -> str:
    """A load level in words: ``1 stream``, ``8 streams`` or ``2.5 requests/s``."""
    if streams is None:
        return f"{rate:g} requests/s"
    return f"{streams} stream{'' if streams == 1 else 's'}"


def check_workload(workload: Workload, engine: str | None) -> None:
    """Refuse a load that cannot be sent or would measure nothing.

    Raises:
        UsageError: Says which figure, and what it may be.

    """
    for name, value, high in (
        ("prompt_tokens", workload.prompt_tokens, MAX_TOKENS),
        ("answer_tokens", workload.answer_tokens, MAX_TOKENS),
        ("requests", workload.requests if workload.requests is not None else 1, MAX_REQUESTS),
        ("concurrency", min(workload.concurrency, default=0 if workload.rate is None else 1), MAX_STREAMS),
        ("concurrency", max(workload.concurrency, default=1), MAX_STREAMS),
    ):
        if not 1 <= value <= high:
            raise UsageError(f"{name} is {value:,}.", remedy=f"Choose a whole number from 1 to {high:,}.")
    for name, seconds in (
        ("rate", workload.rate),
        ("slo_ttft_s", workload.slo_ttft_s),
        ("slo_tpot_s", workload.slo_tpot_s),
        ("request_timeout_s", workload.request_timeout_s),
        ("token_timeout_s", workload.token_timeout_s),
    ):
        if seconds is not None and not 0 < seconds <= 1e6:  # noqa: PLR2004 -- also refuses not-a-number
            raise UsageError(f"{name} is {seconds}.", remedy="Choose a number above 0, at most 1,000,000.")
    most = 0 if workload.rate is not None else max(workload.concurrency)
    if workload.requests is not None and workload.requests < most:
        raise UsageError(
            f"{workload.requests} requests cannot keep {most} streams busy.",
            remedy=f"Ask for at least {most} requests; {4 * most} give a steady stretch.",
        )
    if workload.ignore_eos and engine not in engines_with_ignore_eos():
        raise UsageError(
            f"ignore_eos is not known to work with {engine or 'an unknown engine'}.",
            remedy="Leave it out: answers then end where the model ends them, and their tokens are counted.",
        )


def engines_with_ignore_eos() -> dict[str, str]:
    """Engines whose answers can be made to reach a length, each with where that is documented."""
    data = msgspec.json.decode(files("seatrial.measure").joinpath("engines.json").read_bytes())
    return dict(data["ignore_eos"])
