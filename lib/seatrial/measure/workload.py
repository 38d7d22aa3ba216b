"""Describes a load: what is sent, level by level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from seatrial.errors import UsageError
from seatrial.given import number, read_text, refused, text, whole
from seatrial.printable import shortened

MAX_STREAMS = 1 << 14
MAX_TOKENS = 1 << 22
MAX_REQUESTS = 1_000_000
MAX_LEVELS = 32

Arrivals = Literal["poisson", "constant", "ramp"]
Prefix = Literal["unique", "shared", "both"]
Reasoning = Literal["on", "off"]

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True)
class Workload:
    """Load to send. Every combination of streams (or rate), prompt length and prefix is a level, and a point of the result.

    Attributes:
        concurrency: Closed loop: streams at once, one level each; empty for open loop.
        rate: Open loop: requests per second, one level each if there are several; None for closed loop.
        replay: Open loop: a CSV or JSONL file of recorded requests, with time, prompt tokens and answer tokens of each.
        speed_up: Of a replay: times its own speed.
        arrivals: Open loop: ``poisson`` (at random, seeded), ``constant`` gaps, or a ``ramp`` from 0 up to the rate.
        requests: Requests a level; None or 0: 4 for each stream, at least 8; open loop: 30 seconds of arrivals, at least 20;
            of a replay the first so many, None for all.
        prompt_tokens: Exact prompt length, chat template included, one level each if there are several; approximate if the
            server has no tokenizer.
        prefix: ``unique`` prompts, prompts that ``shared`` a beginning, or ``both``, each level twice side by side.
        shared_share: Part of a prompt that is its shared beginning.
        answer_tokens: Longest answer.
        ignore_eos: Let every answer reach that length; only for engines known to take it.
        reasoning: ``on`` or ``off`` asks a chat to reason before the answer, or not to; None leaves it to the server.
        tools: Offer one function, and ask for its call.
        check_answers: Ask questions with one right answer alone, then among the load.
        repeat: Runs of each level; from 2 on a point has 95 % intervals.
        find_knee: Raise streams or rate from the first level on until goodput falls, and find the most load that is held.
        warmup_requests: Sent before each level and discarded.
        seed: Of prompts and arrivals.
        slo_ttft_s: Goodput counts requests with at most this TTFT.
        slo_tpot_s: Goodput counts requests with at most this TPOT.
        request_timeout_s: A request that takes longer is a failure.
        token_timeout_s: A stream that has begun and brings no token for longer is a failure.
        until_stopped: Closed loop of one level without an end, until ``Load.stop``; ``Load.set_streams`` changes its streams.

    """

    concurrency: tuple[int, ...] = (1, 2, 4, 8)
    rate: float | tuple[float, ...] | None = None
    requests: int | None = None
    prompt_tokens: int | tuple[int, ...] = 128
    answer_tokens: int = 64
    ignore_eos: bool = False
    warmup_requests: int = 1
    seed: int = 0
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    request_timeout_s: float = 600.0
    token_timeout_s: float = 60.0
    replay: str | None = None
    speed_up: float = 1.0
    arrivals: Arrivals = "poisson"
    prefix: Prefix = "unique"
    shared_share: float = 0.9
    reasoning: Reasoning | None = None
    tools: bool = False
    check_answers: bool = False
    repeat: int = 1
    find_knee: bool = False
    until_stopped: bool = False

    def __post_init__(self) -> None:
        """Read every value as people and notebooks give it, so that a wrong one is an error before anything is launched."""
        for name, read in _READERS.items():
            object.__setattr__(self, name, read(name, getattr(self, name)))

    @property
    def open_loop(self) -> bool:
        """True if requests arrive whether or not earlier ones are over."""
        return self.rate is not None or self.replay is not None


@dataclass(frozen=True, slots=True)
class Level:
    """A load level: what is sent until its figures are summed up.

    Attributes:
        streams: Closed loop: streams at once; None for open loop.
        rate: Open loop: requests per second, of a replay on average; None for closed loop.
        prompt_tokens: Length of each prompt; a replay has its own.
        shared: True if prompts share their beginning.

    """

    streams: int | None
    rate: float | None
    prompt_tokens: int
    shared: bool = False

    @property
    def recorded(self) -> bool:
        """True for a replay: its arrivals, and what its prompts share, are those of a recording."""
        return self.streams is None and self.rate is None


def levels_of(workload: Workload) -> tuple[Level, ...]:
    """Return the load levels in the order in which they are sent; of a search for the knee the first."""
    prefixes = {"unique": (False,), "shared": (True,), "both": (False, True)}[workload.prefix]
    loads: list[tuple[int | None, float | None]] = [(streams, None) for streams in workload.concurrency]
    if workload.rate is not None:
        loads = [(None, rate) for rate in _tuple(workload.rate)]
    if workload.replay is not None:
        loads = [(None, None)]
    lengths = _tuple(workload.prompt_tokens)
    if workload.find_knee:
        loads = loads[:1]
    return tuple(Level(*load, length, shared) for length, load, shared in product(lengths, loads, prefixes))


def describe_level(streams: int | None, rate: float | None = None) -> str:
    """Return the description of a load: ``1 stream``, ``8 streams`` or ``2.5 requests/s``."""
    if streams is None:
        return f"{rate or 0:g} requests/s"
    return f"{streams} stream{'' if streams == 1 else 's'}"


def label_of(level: Level, workload: Workload) -> str:
    """Return a level in words, with all that tells it from the workload's other levels."""
    words = [describe_level(level.streams, level.rate)]
    if workload.replay is not None:
        speed = "" if workload.speed_up == 1 else f" at {workload.speed_up:g} times its speed"
        words = [f"replay of {shortened(Path(workload.replay).name)}{speed}"]
    elif level.streams is None and workload.arrivals != "poisson":
        words = [f"ramp to {words[0]}" if workload.arrivals == "ramp" else f"{words[0]} at constant gaps"]
    if isinstance(workload.prompt_tokens, tuple):
        words.append(f"prompts of {level.prompt_tokens:,} tokens")
    if workload.prefix == "both":
        words.append("shared prefix" if level.shared else "unique prompts")
    return ", ".join(words)


def describe_lengths(workload: Workload) -> str:
    """Return the lengths of a workload's prompts: ``128`` or ``1,000, 8,000 and 32,000``."""
    *most, last = [f"{length:,}" for length in _tuple(workload.prompt_tokens)]
    return f"{', '.join(most)} and {last}" if most else last


def describe_sizes(workload: Workload) -> str:
    """Return the lengths of prompts and answers, a sentence."""
    if workload.replay is not None:
        return "Prompts and longest answers as recorded."
    return f"Prompts of {describe_lengths(workload)} tokens, answers of at most {workload.answer_tokens}."


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


def _tuple(values: T | tuple[T, ...]) -> tuple[T, ...]:
    return values if isinstance(values, tuple) else (values,)


def _several(read: Callable[[str, object], T]) -> Callable[[str, object], tuple[T, ...]]:
    """Return a reader of one or several numbers, also as text with commas between them."""

    def read_all(name: str, value: object) -> tuple[T, ...]:
        parts = value if isinstance(value, list | tuple) else [value]
        words = [word for part in parts for word in (part.split(",") if isinstance(part, str) else [part])]
        return tuple(read(name, word) for word in words)

    return read_all


def _one_or_several(read: Callable[[str, object], T]) -> Callable[[str, object], T | tuple[T, ...]]:
    """Return a reader that gives a tuple only if there are several numbers."""

    def read_all(name: str, value: object) -> T | tuple[T, ...]:
        values = _several(read)(name, value)
        return values[0] if len(values) == 1 else values

    return read_all


def _or_none(read: Callable[[str, object], Any]) -> Callable[[str, object], Any]:
    def read_one(name: str, value: object) -> Any:
        return None if value is None or value in ("None", "") else read(name, value)

    return read_one


def _requests(name: str, value: object) -> int | None:
    return whole(name, value) or None


def _truth(name: str, value: object) -> bool:
    read = read_text("bool", value) if isinstance(value, str) else value
    if not isinstance(read, bool):
        raise refused(name, "bool", value)
    return read


def _word_of(words: object) -> Callable[[str, object], str]:
    """Return a reader of one of the words of a Literal."""
    known = get_args(words)

    def read(name: str, value: object) -> str:
        word = text(name, value).strip().lower()
        if word not in known:
            raise UsageError(f"{name} is {shortened(repr(value), 60)}.", remedy=f"Choose {', '.join(known)}.")
        return word

    return read


_READERS: dict[str, Callable[[str, object], Any]] = {
    "concurrency": _several(whole),
    "rate": _or_none(_one_or_several(number)),
    "requests": _or_none(_requests),
    "prompt_tokens": _one_or_several(whole),
    "answer_tokens": whole,
    "ignore_eos": _truth,
    "warmup_requests": whole,
    "seed": whole,
    "slo_ttft_s": _or_none(number),
    "slo_tpot_s": _or_none(number),
    "request_timeout_s": number,
    "token_timeout_s": number,
    "replay": _or_none(text),
    "speed_up": number,
    "arrivals": _word_of(Arrivals),
    "prefix": _word_of(Prefix),
    "shared_share": number,
    "reasoning": _or_none(_word_of(Reasoning)),
    "tools": _truth,
    "check_answers": _truth,
    "repeat": whole,
    "find_knee": _truth,
    "until_stopped": _truth,
}
