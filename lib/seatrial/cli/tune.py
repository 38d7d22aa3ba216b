"""Race the settings of an engine on this machine in bounded time, and remember the fastest.

seatrial tune                                     the model that runs on this machine: V4 if it fits and is fetched,
                                                  else the stand-in
seatrial tune --model smollm2 --budget-s 120      in two minutes
seatrial tune --streams 4                         for four requests at once
seatrial tune --server-options threads=1,threads=2,ubatch-size=256
                                                  only these values
seatrial tune --show                              show the settings remembered; --forget removes them

Every candidate is a server of its own under the load of seatrial measure, measured side by side with the
default. The fastest is confirmed against the default and remembered if it is faster beyond the noise; plan,
serve and the notebooks then use it on this machine (--no-tuned does not). Ctrl-C loses at most one round: the
next run continues from there. docs/tuning.md explains the race and lists what it may change.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.options import positive_number, whole_number
from seatrial.engines import RUNNERS
from seatrial.errors import UsageError
from seatrial.records import to_dict

if TYPE_CHECKING:
    from seatrial.launching.tuned import Round, Tuned
    from seatrial.plan import Plan

_MAX_STREAMS = 256
_MAX_LEVELS = 8
_SEARCH = ("budget_s", "prompt_tokens", "answer_tokens")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial tune``."""
    from seatrial.tune import TuneRequest

    defaults = TuneRequest()
    parser.add_argument(
        "--model",
        default="auto",
        help="a model: seatrial models lists them (default: the one that runs on this machine)",
    )
    parser.add_argument("--checkpoint", default=None, help="hub id, repo:quantization for GGUF, or a local path")
    parser.add_argument("--engine", default="auto", help="auto, sglang, vllm, llamacpp, mlx or simulated")
    parser.add_argument(
        "--runner", default=None, help=f"llama.cpp through {', '.join(RUNNERS)} (default: what is installed)"
    )
    parser.add_argument("--context-tokens", type=whole_number(), default=None, help="context of each request")
    parser.add_argument("--streams", type=_streams, default=defaults.streams, help="requests at once (default: 1,4,8)")
    parser.add_argument(
        "--budget-s",
        type=positive_number(86400),
        default=defaults.budget_s,
        help="seconds for all of it (default: 300)",
    )
    parser.add_argument(
        "--server-options",
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="try only these values, the name repeated for each value",
    )
    parser.add_argument(
        "--prompt-tokens",
        type=whole_number(1, 1 << 20),
        default=defaults.prompt_tokens,
        help="tokens of each prompt (default: 128)",
    )
    parser.add_argument(
        "--answer-tokens",
        type=whole_number(16, 1 << 16),
        default=defaults.answer_tokens,
        help="tokens of each answer (default: 64)",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--show", action="store_true", help="show the settings remembered")
    either.add_argument("--forget", action="store_true", help="remove them")


def run(arguments: argparse.Namespace) -> CommandResult:
    """Tune, or show or forget the result."""
    from seatrial.launching.tuned import forget_tuned, read_tuned, subject_of

    _check_used(arguments)
    plan = _planned(arguments)
    if not arguments.show and not arguments.forget:
        return _answer(_tune(plan, arguments))
    subject = subject_of(plan, arguments.runner)
    if arguments.forget:
        gone = forget_tuned(subject)
        text = "Forgotten." if gone else "Nothing was remembered."
        return CommandResult({"forgotten": gone}, lambda: stdout().print(text))
    found = read_tuned(subject)
    if found is None:
        raise UsageError(
            f"Nothing was tuned for {plan.checkpoint} with {plan.engine} on this machine.", remedy="Run: seatrial tune"
        )
    return _answer(found)


def _check_used(arguments: argparse.Namespace) -> None:
    """Raise if options of the search stand beside --show or --forget, which do not search."""
    from seatrial.tune import TuneRequest

    if not arguments.show and not arguments.forget:
        return
    defaults = {**{name: getattr(TuneRequest(), name) for name in _SEARCH}, "server_options": []}
    beside = [name for name, default in defaults.items() if getattr(arguments, name) != default]
    if beside:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in beside)
        done = "--show" if arguments.show else "--forget"
        raise UsageError(f"{done} measures nothing: {named} would change nothing.", remedy=f"Leave out {named}.")


def _planned(arguments: argparse.Namespace) -> Plan:
    from seatrial.launching.checks import check_runner
    from seatrial.launching.this_machine import plan_here

    load: dict[str, Any] = {"context_tokens": arguments.context_tokens, "concurrency": max(arguments.streams)}
    if arguments.checkpoint is None and arguments.runner is None:
        plan = plan_here(arguments.model, engine=arguments.engine, **load)
    else:
        from seatrial.hardware import detect_hardware
        from seatrial.launching.choose import choose_plan
        from seatrial.plan.request import Request

        usual = None if arguments.checkpoint else "smollm2"
        model = usual if arguments.model == "auto" else arguments.model
        named = {"model": model, "checkpoint": arguments.checkpoint, "engine": arguments.engine}
        plan = choose_plan(Request(detect_hardware(), **named, **load), arguments.runner).plan
    check_runner(plan, arguments.runner)
    return replace(plan, settings={})


def _tune(plan: Plan, arguments: argparse.Namespace) -> Tuned:
    from seatrial.cli.fetch import progress_bar
    from seatrial.launching.claim import check_launch
    from seatrial.launching.this_machine import fetch_stand_in
    from seatrial.plan import make_plan
    from seatrial.tune import TuneRequest, tune_machine
    from seatrial.tune.grid import parse_grid
    from seatrial.view.tables.tuning import round_line

    request = TuneRequest(
        streams=arguments.streams,
        budget_s=arguments.budget_s,
        values=parse_grid(arguments.server_options),
        prompt_tokens=arguments.prompt_tokens,
        answer_tokens=arguments.answer_tokens,
        runner=arguments.runner,
    )
    check_launch(plan, name="tune-1", runner=arguments.runner, tuned=False)
    with progress_bar() as show_progress:
        fetch_stand_in(plan, show_progress)

    def plan_for(streams: int) -> Plan:
        return make_plan(
            checkpoint=plan.checkpoint,
            hardware=plan.hardware,
            engine=plan.engine,
            context_tokens=plan.context_tokens,
            concurrency=streams,
        )

    ends = time.monotonic() + request.budget_s

    def show(rounds: Sequence[Round]) -> None:
        stderr().print(round_line(list(rounds), ends - time.monotonic()), soft_wrap=True)

    return tune_machine(plan_for, request, show)


def _answer(tuned: Tuned) -> CommandResult:
    from seatrial.view.tables.tuning import table_tuned

    document = {**to_dict(tuned), "origin": "measured", "file": str(tuned.subject.path)}
    return CommandResult(document, lambda: stdout().print(table_tuned(tuned).to_rich()))


def _streams(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) > _MAX_LEVELS:
        raise argparse.ArgumentTypeError(f"more than {_MAX_LEVELS} numbers of streams")
    return tuple(sorted(set(map(whole_number(1, _MAX_STREAMS), parts))))
