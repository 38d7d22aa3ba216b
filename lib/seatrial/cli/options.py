"""Options that several commands share, and the checks on what people type."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.hardware import Hardware
    from seatrial.plan.request import Request

_MAX_COUNT = 1 << 31


def whole_number(low: int = 1, high: int = _MAX_COUNT) -> Callable[[str], int]:
    """Return a parser of whole numbers in ``low..high`` whose message names the bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high:,}")
        return value

    return parse


def positive_number(high: float = 1e9) -> Callable[[str], float]:
    """Return a parser of numbers above 0 and at most ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and at most {high:,.0f}")
        return value

    return parse


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a plan; ``plan`` and ``serve`` share them."""
    parser.add_argument(
        "--model", default=None, help="flash, pro, v4.1-flash, flash-vision-exp, smollm2 or tiny-v4 (default: flash)"
    )
    parser.add_argument("--checkpoint", default=None, help="hub id, repo:quantization for GGUF, or a local path")
    parser.add_argument(
        "--hardware", default="auto", help="auto, cpu, h100x8, m3-ultra-512gb, ..., or a file of seatrial detect --json"
    )
    parser.add_argument(
        "--nodes", type=whole_number(), default=1, help="machines of that kind, at most 16 (default: 1)"
    )
    parser.add_argument(
        "--host-memory-gib", type=positive_number(), default=None, help="host memory of a named machine"
    )
    parser.add_argument("--engine", default="auto", help="auto, sglang, vllm, llamacpp or mlx")
    parser.add_argument("--context-tokens", type=whole_number(), default=None, help="context of each request")
    parser.add_argument("--concurrency", type=whole_number(), default=1, help="requests at once (default: 1)")
    parser.add_argument(
        "--objective",
        choices=("latency", "balanced", "throughput"),
        default="balanced",
        help="what the plan should be best at (default: balanced)",
    )
    parser.add_argument("--tensor-parallel", type=whole_number(), default=None, help="ranks (default: chosen)")
    parser.add_argument(
        "--drafter",
        default=None,
        help="auto, or for llama.cpp the hub id or path of a file that drafts tokens (default: none)",
    )
    parser.add_argument(
        "--draft-tokens",
        type=whole_number(),
        default=None,
        help="tokens that --drafter drafts a step (default: chosen)",
    )
    parser.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="add an option of the engine that tunes it (a switch: only the name); repeatable",
    )
    parser.add_argument(
        "--prompt-tokens",
        type=whole_number(),
        default=None,
        help="longest prompt of the prediction; SGLang's and vLLM's others are drawn up to it (default: usual)",
    )
    parser.add_argument(
        "--answer-tokens",
        type=whole_number(),
        default=None,
        help="longest answer of the prediction, likewise (default: usual)",
    )
    parser.add_argument("--no-recipes", action="store_true", help="plan by arithmetic only, without vendor recipes")
    parser.add_argument(
        "--no-tuned",
        action="store_true",
        help="use the kit's own settings, not those that seatrial tune found on this machine",
    )


def plan_request(arguments: argparse.Namespace, hardware: Hardware) -> Request:
    """Return what the options of ``add_plan_options`` ask of the planner."""
    from seatrial.plan.request import Request

    return Request(
        hardware,
        model=arguments.model,
        checkpoint=arguments.checkpoint,
        nodes=arguments.nodes,
        engine=arguments.engine,
        context_tokens=arguments.context_tokens,
        concurrency=arguments.concurrency,
        objective=arguments.objective,
        tensor_parallel=arguments.tensor_parallel,
        drafter=arguments.drafter,
        draft_tokens=arguments.draft_tokens,
        recipes=not arguments.no_recipes,
        prompt_tokens=arguments.prompt_tokens,
        answer_tokens=arguments.answer_tokens,
    )
