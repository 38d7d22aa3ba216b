"""A scripted server that behaves like an engine, for teaching and tests; always labelled as one."""

from __future__ import annotations

import sys

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.plan.types import Plan

LONGEST_TTFT_S, LONGEST_TPOT_S = 5.0, 1.0
"""A slow machine is predicted to need hours for a long prompt; who asks a simulator shall see it answer."""


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of the simulator, at the pace the plan predicts, or the slowest that can be waited for.

    Args:
        plan: Any plan; its prediction sets the pace where it has one.
        model_path: Not used: there is no model.
        runner: Not used.
        host: Address to listen on.

    """
    del model_path, runner
    name = served_name(plan.checkpoint)
    argv = [
        sys.executable,
        "-m",
        "seatrial.simulator",
        f"--host={host}",
        "--port={port}",
        "--api-key-file={key_file}",
        f"--model={name}",
        f"--slots={plan.concurrency}",
    ]
    if plan.prediction and plan.prediction.ttft_s and plan.prediction.tpot_s:
        argv += [
            f"--ttft-s={min(plan.prediction.ttft_s.expected, LONGEST_TTFT_S):.6f}",
            f"--tpot-s={min(plan.prediction.tpot_s.expected, LONGEST_TPOT_S):.6f}",
        ]
    return Command(
        engine="simulated",
        argv=tuple(argv),
        model=name,
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="seatrial",
        stand_in=is_stand_in(plan.model),
    )
