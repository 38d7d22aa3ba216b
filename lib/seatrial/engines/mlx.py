"""MLX on Apple silicon: ``mlx_lm.server``, for models it has a class for (DeepSeek V4 is none of them)."""

from __future__ import annotations

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.plan.types import Plan


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of the server. It knows no API key, so it listens on this machine only.

    Args:
        plan: A plan for MLX.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``mlx_lm.server`` program; the one on PATH by default.
        host: Address to listen on.

    """
    return Command(
        engine="mlx",
        argv=(
            runner or "mlx_lm.server",
            f"--model={model_path or plan.checkpoint}",
            f"--host={host}",
            "--port={port}",
        ),
        model=model_path or served_name(plan.checkpoint),
        health_path="/v1/models",
        program="mlx-lm",
        stand_in=is_stand_in(plan.model),
    )
