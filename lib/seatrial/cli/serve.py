"""Launch an engine on this machine, wait until it answers, print its URL.

seatrial serve --model smollm2                  the small stand-in model, with llama.cpp
seatrial serve                                  DeepSeek V4 Flash, if it fits
seatrial serve --plan plan.json                 what seatrial plan --json decided, checked against this machine
seatrial serve --model smollm2 --keep-running   return, and let it run until seatrial stop

What runs already under that name is shown, and nothing is started; another plan under it is refused, with both shown.
The server listens on 127.0.0.1 only, with a random API key in a file only you can read, unless you give
--host and --expose: docs/security.md describes what that opens. Ctrl-C stops the server
and proves that it is gone. --json prints the document once the server is ready.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.cli.fetch import progress_bar
from seatrial.cli.options import add_plan_options, plan_request, positive_number, whole_number
from seatrial.cli.ps import document
from seatrial.cli.startup import startup_progress
from seatrial.engines import RUNNERS
from seatrial.errors import UsageError
from seatrial.launching import launch
from seatrial.launching.access import Access
from seatrial.launching.checks import check_one_machine
from seatrial.launching.claim import check_launch
from seatrial.launching.next_plan import advise, why_ended, with_share
from seatrial.launching.this_machine import fetch_stand_in
from seatrial.launching.tuned import tuned_plan
from seatrial.memory.types import Parallelism
from seatrial.paths import typed_path
from seatrial.programs.preflight import proceeding_anyway
from seatrial.records import from_dict, read_json
from seatrial.server import Server
from seatrial.server.address import LARGEST_PORT
from seatrial.server.failures.diagnosis import ended_error
from seatrial.server.processes import LOOPBACK
from seatrial.server.startup.stall import STALL_LIMIT_S
from seatrial.units import format_seconds
from seatrial.view.tables.badges import kind_label
from seatrial.view.tables.servers import stopped_line

if TYPE_CHECKING:
    from seatrial.plan.types import Plan


@dataclass(frozen=True, slots=True)
class PlanFile:
    """The choices in a ``plan --json`` document; its argv is never run, and its figures are computed anew."""

    model: str
    checkpoint: str
    engine: str
    context_tokens: int
    concurrency: int
    nodes: int = 1
    objective: Literal["latency", "balanced", "throughput"] = "balanced"
    parallelism: Parallelism = field(default_factory=Parallelism)
    drafter: str | None = None
    draft_tokens: int | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial serve``."""
    add_plan_options(parser)
    parser.add_argument(
        "--plan",
        type=partial(typed_path, what="--plan"),
        metavar="FILE",
        default=None,
        help="document of seatrial plan --json",
    )
    parser.add_argument("--port", type=whole_number(0, LARGEST_PORT), default=0, help="0 chooses a free one (default)")
    parser.add_argument(
        "--keep-running", action="store_true", help="return once the server answers; end it with seatrial stop"
    )
    parser.add_argument("--name", default=None, help="name in seatrial ps (default: the model's)")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--expose", action="store_true", help="let --host be an address that other machines can reach")
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--api-key-file",
        type=partial(typed_path, what="--api-key-file"),
        metavar="FILE",
        help="a key of your own, in a file only you can read",
    )
    key.add_argument("--api-key-env", metavar="VAR", help="environment variable with a key of your own")
    parser.add_argument(
        "--anyway", action="store_true", help="launch even if this machine lacks what the engine requires"
    )
    parser.add_argument(
        "--runner", default=None, help=f"llama.cpp through {', '.join(RUNNERS)} (default: the one installed)"
    )
    parser.add_argument(
        "--gpu-memory-fraction",
        type=positive_number(1.0),
        metavar="SHARE",
        help="share of each GPU that SGLang or vLLM may take for weights and caches (default: the plan's)",
    )
    parser.add_argument(
        "--stall-limit-s",
        type=positive_number(86400),
        default=STALL_LIMIT_S,
        help=f"give up after so many seconds without any progress (default: {STALL_LIMIT_S:g})",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Plan and launch; without --keep-running stay until the server ends."""
    with proceeding_anyway(wanted=arguments.anyway):
        return _serve(arguments)


def _serve(arguments: argparse.Namespace) -> CommandResult:
    leaving = _Leaving()
    access = Access(arguments.host, arguments.expose, arguments.api_key_file, arguments.api_key_env)
    access.own_key()  # before anything that takes time
    _check_used(arguments)
    plan = _planned(arguments)
    if arguments.gpu_memory_fraction is not None:
        plan = with_share(plan, arguments.gpu_memory_fraction)
    choices: dict[str, Any] = {
        "name": arguments.name,
        "port": arguments.port,
        "runner": arguments.runner,
        "access": access,
        "options": arguments.engine_option,
    }
    check_launch(plan, **choices)
    with progress_bar() as on_progress:
        fetch_stand_in(plan, on_progress)
    with startup_progress() as show:
        server = launch(
            plan,
            **choices,
            keep_running=arguments.keep_running,
            on_event=show,
            stall_limit_s=arguments.stall_limit_s,
            tuned=not arguments.no_tuned,
        )
    if arguments.keep_running or not server.ours:
        return CommandResult(document(server), lambda: _show(server))
    leaving.serving = True
    return CommandResult(document(server), lambda: _show(server), then=lambda: _stay(server, leaving, plan))


class _Leaving:
    """Handler of Ctrl-C, TERM and a closed terminal: ends a launch at once, and afterwards only notes the request."""

    def __init__(self) -> None:
        self.serving = False
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self)

    def __call__(self, *_: object) -> None:
        if not self.serving or self.requested:
            raise KeyboardInterrupt
        self.requested = True


def _planned(arguments: argparse.Namespace) -> Plan:
    from seatrial.hardware import detect_hardware
    from seatrial.launching.choose import choose_plan
    from seatrial.launching.running_plans import beside_running

    hardware = detect_hardware(arguments.hardware, host_memory_gib=arguments.host_memory_gib)
    request = plan_request(arguments, hardware)
    if arguments.plan is not None:
        _check_beside_plan(arguments)
        chosen = from_dict(PlanFile, read_json(arguments.plan))
        decided = {part.name: getattr(chosen, part.name) for part in fields(chosen) if part.name != "parallelism"}
        ranks = chosen.parallelism.tensor if hardware.gpus else None
        request = replace(request, **decided, tensor_parallel=ranks)
    check_one_machine(request.nodes)
    request = beside_running(request, lambda asked: choose_plan(asked, arguments.runner).plan, arguments.name)
    choice = choose_plan(request, arguments.runner)
    if choice.missing is not None:
        raise choice.missing
    if choice.plan != choice.best:
        stderr().print(choice.why, soft_wrap=True)
    if arguments.no_tuned:
        return choice.plan
    plan = tuned_plan(choice.plan, arguments.runner)
    if plan.settings:
        stderr().print(plan.reasons[-1].text, soft_wrap=True)
    return plan


def _check_used(arguments: argparse.Namespace) -> None:
    """Raise if an option would change nothing, so that nobody believes that it did."""
    if arguments.expose and arguments.host == LOOPBACK:
        raise UsageError(
            f"--expose lets --host be an address that other machines reach, and {LOOPBACK} is none.",
            remedy="Leave --expose out, or add --host.",
        )
    if arguments.host_memory_gib is not None and arguments.hardware == "auto":
        raise UsageError(
            "--host-memory-gib is for a machine that is only named; an engine is launched with the memory there is.",
            remedy="Leave it out. For another machine: seatrial plan --hardware NAME --host-memory-gib N.",
        )


def _check_beside_plan(arguments: argparse.Namespace) -> None:
    """Raise if options ask for something else than the plan file decided."""
    options = argparse.ArgumentParser()
    add_plan_options(options)
    defaults = vars(options.parse_args([]))
    decided = {*(part.name for part in fields(PlanFile)), "tensor_parallel"}
    beside = [name for name in defaults if name in decided and getattr(arguments, name) != defaults[name]]
    if beside:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in beside)
        raise UsageError(
            f"--plan decides what {named} would.", remedy="Omit that, or make another plan: seatrial plan --json."
        )


def _show(server: Server) -> None:
    console = stdout()
    what = kind_label(stand_in=server.stand_in, simulated=server.simulated)
    if server.ours:
        console.print(f"{server.model} answers at {server.url}/v1{what}", soft_wrap=True)
    else:
        age = format_seconds(server.age_s)
        console.print(f"{server.model} is already running at {server.url}/v1{what}, {age} old", soft_wrap=True)
    console.print(f"  name      {server.name}", soft_wrap=True)
    console.print(f"  API key   in {server.api_key_file}", soft_wrap=True)
    console.print(f"  log       {server.log}", soft_wrap=True)
    console.print(f"  measure   seatrial measure --server {server.name}", soft_wrap=True)
    here = server.ours and not server.keep_running
    console.print(f"  stop      {'Ctrl-C' if here else f'seatrial stop {server.name}'}", soft_wrap=True)
    if not server.ours and not server.keep_running:
        console.print(f"  ends      with the process that launched it (pid {server.record.owner.pid})", soft_wrap=True)


def _stay(server: Server, leaving: _Leaving, plan: Plan) -> int:
    """Stay until Ctrl-C, or until the server ends by itself or another terminal stops it."""
    while server.alive() and not leaving.requested:
        time.sleep(0.2)
    if leaving.requested:
        stderr().print(stopped_line(server.stop()), soft_wrap=True)
        return 0
    server.stop()
    why = why_ended(server)
    if why is None:
        stderr().print(f"{server.name} was stopped.")
        return 0
    raise advise(ended_error(why, server.engine, server.name), plan)
