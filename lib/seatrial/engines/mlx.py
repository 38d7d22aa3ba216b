"""MLX on Apple silicon: ``mlx_lm.server``, for models it has a class for (DeepSeek V4 is none of them)."""

from __future__ import annotations

from pathlib import Path

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.plan.types import Plan


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of the server. It knows no API key, so it listens on this machine only.

    A local model goes by its path, links resolved, which is what the server lists. Its list of models is empty of
    anything else, and no request can make it download another: the hub's cache it looks into is the model's own folder
    (it fails where there is none), and the hub is off.

    Args:
        plan: A plan for MLX.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``mlx_lm.server`` program; the one on PATH by default.
        host: Address to listen on.

    """
    local = str(Path(model_path).resolve()) if model_path else None
    return Command(
        engine="mlx",
        argv=(
            runner or "mlx_lm.server",
            f"--model={local or plan.checkpoint}",
            f"--host={host}",
            "--port={port}",
        ),
        model=local or served_name(plan.checkpoint),
        env={"HF_HUB_CACHE": local, "HF_HUB_OFFLINE": "1"} if local else {},
        health_path="/health",
        program="mlx-lm",
        stand_in=is_stand_in(plan.model),
    )
