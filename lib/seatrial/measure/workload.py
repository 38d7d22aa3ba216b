"""Checks and describes a load before anything is sent."""

from __future__ import annotations

from importlib.resources import files

from seatrial.errors import UsageError
from seatrial.given import text
from seatrial.json_text import parse_json
from seatrial.measure.types import Workload

MAX_STREAMS = 1 << 14
MAX_TOKENS = 1 << 22
MAX_REQUESTS = _MAX_FIGURE = 1_000_000
MAX_LEVELS = 32


def describe_level(streams: int | None, rate: float | None = None) -> str:
    """Return the description of a load level: ``1 stream``, ``8 streams`` or ``2.5 requests/s``."""
    if streams is None:
        return f"{rate:g} requests/s"
    return f"{streams} stream{'' if streams == 1 else 's'}"


def read_concurrency(levels: object) -> tuple[int, ...]:
    """Return the streams at once of each point, from text such as ``1,2,4,8``, a number or a list of numbers.

    Raises:
        UsageError: If these are not whole numbers from 1, or too many.

    """
    parts = levels if isinstance(levels, list | tuple) else [levels]
    typed = ",".join(text("concurrency", part) for part in parts)
    words = [word.strip() for word in typed.split(",")]
    known = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= len(str(MAX_STREAMS))]
    if len(known) != len(words) or len(words) > MAX_LEVELS or not all(1 <= level <= MAX_STREAMS for level in known):
        raise UsageError(
            f"concurrency {typed[:60]!r} is not a list of up to {MAX_LEVELS} whole numbers from 1 to {MAX_STREAMS:,}.",
            remedy="Write the streams at once with commas: 1,2,4,8.",
        )
    return tuple(known)


def levels_of(workload: Workload) -> tuple[int | None, ...]:
    """Return the streams at once of each point; None for the one point of an open loop."""
    return workload.concurrency if workload.rate is None else (None,)


def check_workload(workload: Workload, engine: str | None) -> None:
    """Refuse a load that cannot be sent or would measure nothing.

    Raises:
        UsageError: If a figure is out of bounds; the message names it and its bounds.

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
        if seconds is not None and not 0 < seconds <= _MAX_FIGURE:  # also refuses not-a-number
            raise UsageError(f"{name} is {seconds}.", remedy=f"Choose a number above 0, at most {_MAX_FIGURE:,}.")
    most = 0 if workload.rate is not None else max(workload.concurrency)
    if workload.requests is not None and workload.requests < most:
        raise UsageError(
            f"{workload.requests} requests cannot keep {most} streams busy.",
            remedy=f"Ask for at least {most} requests; {4 * most} give a steady stretch.",
        )
    if workload.until_stopped and (workload.rate is not None or len(workload.concurrency) != 1):
        raise UsageError(
            "A load that runs until it is stopped begins with one number of streams.",
            remedy="Give one number as concurrency, and no rate; set_streams changes it while the load runs.",
        )
    if workload.ignore_eos and engine not in engines_with_ignore_eos():
        raise UsageError(
            f"ignore_eos is not known to work with {engine or 'an unknown engine'}.",
            remedy="Leave it out: answers then end where the model ends them, and their tokens are counted.",
        )


def engines_with_ignore_eos() -> dict[str, str]:
    """Return the engines whose answers can be made to reach a length, each with its source."""
    data = parse_json(files("seatrial.measure").joinpath("engines.json").read_bytes())
    return dict(data["ignore_eos"])
