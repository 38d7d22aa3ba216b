"""A scripted server that behaves like an engine, for teaching and tests; always labelled as one."""

from __future__ import annotations

import sys

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.plan.types import Plan

LONGEST_TTFT_S, LONGEST_TPOT_S = 5.0, 1.0
"""Slowest pace: a slow machine may need hours for a long prompt, but a simulator must answer while a person waits."""


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of the simulator, at the pace the plan predicts or the slowest one can wait for.

    Args:
        plan: Any plan; its prediction, if it has one, sets the pace.
        model_path: Not used: there is no model.
        runner: Not used.
        host: Address to listen on.

    """
    del model_path, runner
    name = served_name(plan.checkpoint)
    flags: dict[str, object] = {
        "--host": host,
        "--port": "{port}",
        "--api-key-file": "{key_file}",
        "--model": name,
        "--slots": plan.concurrency,
    }
    if plan.prediction and plan.prediction.ttft_s and plan.prediction.tpot_s:
        flags["--ttft-s"] = f"{min(plan.prediction.ttft_s.expected, LONGEST_TTFT_S):.6f}"
        flags["--tpot-s"] = f"{min(plan.prediction.tpot_s.expected, LONGEST_TPOT_S):.6f}"
    return Command(
        engine="simulated",
        argv=(sys.executable, "-m", "seatrial.simulator", *Flags.of(flags).to_argv()),
        model=name,
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="seatrial",
        stand_in=is_stand_in(plan.model),
    )
