"""Options that describe a load, in the order in which a person thinks of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar, get_args

from seatrial.cli.options import positive_number, whole_number
from seatrial.measure import Workload
from seatrial.measure.repeats import MAX_REPEATS
from seatrial.measure.workload import MAX_LEVELS, MAX_REQUESTS, MAX_STREAMS, MAX_TOKENS, Arrivals, Prefix, Reasoning

T = TypeVar("T")

_LONGEST_S = 86400.0
_FASTEST = 1e5  # requests per second


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a load; each has the name of the field of ``Workload`` that it fills."""
    _add_levels(parser.add_argument_group("the load", "closed loop: streams at once; open loop: requests a second"))
    _add_prompts(parser.add_argument_group("prompts and answers"))
    _add_result(parser.add_argument_group("what is made of it"))


def workload_of(arguments: argparse.Namespace) -> Workload:
    """Return the load that the options of ``add_load_options`` ask for."""
    names = Workload.__dataclass_fields__.keys() & vars(arguments).keys()
    return Workload(**{name: value for name in names if (value := getattr(arguments, name)) is not None})


def _add_levels(group: argparse._ArgumentGroup) -> None:
    kind = group.add_mutually_exclusive_group()
    kind.add_argument(
        "--concurrency",
        type=_several(whole_number(1, MAX_STREAMS)),
        metavar="1,4,16",
        help="streams at once, a level each (default: 1,2,4,8)",
    )
    kind.add_argument(
        "--rate", type=_several(positive_number(_FASTEST)), metavar="1,2,4", help="requests a second, a level each"
    )
    kind.add_argument(
        "--replay", metavar="FILE", help="recorded requests: CSV or JSONL with time, prompt and answer tokens of each"
    )
    group.add_argument(
        "--speed-up", type=positive_number(1e6), metavar="2", help="of --replay: times its own speed (default: 1)"
    )
    group.add_argument(
        "--arrivals",
        choices=get_args(Arrivals),
        help="of --rate: at random moments, at constant gaps, or a ramp from 0 up to the rate (default: poisson)",
    )
    group.add_argument(
        "--requests",
        type=whole_number(0, MAX_REQUESTS),
        help="requests a level (default or 0: enough: 4 a stream, at least 8; 30 seconds of --rate, at least 20; of --replay the first so many)",
    )
    group.add_argument(
        "--repeat", type=whole_number(1, MAX_REPEATS), help="runs of each level, for 95 %% intervals (default: 1)"
    )
    group.add_argument(
        "--find-knee",
        action="store_true",
        default=None,
        help="raise streams or --rate from the first level on until goodput falls; find the most load that is held",
    )
    group.add_argument("--seed", type=whole_number(0), help="seed of prompts and arrivals (default: 0)")


def _add_prompts(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prompt-tokens",
        type=_several(whole_number(1, MAX_TOKENS)),
        metavar="1000,8000",
        help="tokens of each prompt, a level each (default: 128)",
    )
    group.add_argument(
        "--answer-tokens", type=whole_number(1, MAX_TOKENS), help="most tokens of each answer (default: 64)"
    )
    group.add_argument(
        "--ignore-eos",
        action="store_true",
        default=None,
        help="let every answer reach that length; for a --server whose engine takes it",
    )
    group.add_argument(
        "--reasoning", choices=get_args(Reasoning), help="ask the model to reason before it answers, or not to"
    )
    group.add_argument(
        "--tools", action="store_true", default=None, help="offer one function, and ask the model to call it"
    )
    group.add_argument(
        "--prefix",
        choices=get_args(Prefix),
        help="no prompt begins like another, prompts share their beginning, or both side by side (default: unique)",
    )
    group.add_argument(
        "--shared-share",
        type=positive_number(1),
        metavar="0.9",
        help="of --prefix: the part of a prompt that is shared (default: 0.9)",
    )


def _add_result(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--check-answers",
        action="store_true",
        default=None,
        help="ask questions with one right answer alone, then among the load: how many stay right",
    )
    group.add_argument(
        "--slo-ttft-s", type=positive_number(_LONGEST_S), help="goodput counts requests with at most this TTFT"
    )
    group.add_argument(
        "--slo-tpot-s", type=positive_number(_LONGEST_S), help="goodput counts requests with at most this TPOT"
    )


def _several(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a parser of values with commas between them."""

    def parse_all(text: str) -> tuple[T, ...]:
        parts = text.split(",")
        if len(parts) > MAX_LEVELS:
            raise argparse.ArgumentTypeError(f"more than {MAX_LEVELS} load levels")
        return tuple(map(parse, parts))

    return parse_all
