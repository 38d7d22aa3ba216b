"""MLX on Apple silicon: ``mlx_lm.server``, for models it has a class for (DeepSeek V4 is none of them)."""

from __future__ import annotations

from pathlib import Path

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.plan.types import Plan


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of the server, which knows no API key and so listens on this machine only.

    The server lists a local model by its path with links resolved. No request can make it download or list another
    model: its hub cache is the model's own folder (the server fails without one), and the hub is off.

    Args:
        plan: A plan for MLX.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``mlx_lm.server`` program; the one on PATH by default.
        host: Address to listen on.

    """
    local = str(Path(model_path).resolve()) if model_path else None
    flags = Flags.of({"--model": local or plan.checkpoint, "--host": host, "--port": "{port}"})
    return Command(
        engine="mlx",
        argv=(runner or "mlx_lm.server", *flags.to_argv()),
        model=local or served_name(plan.checkpoint),
        env={"HF_HUB_CACHE": local, "HF_HUB_OFFLINE": "1"} if local else {},
        health_path="/health",
        program="mlx-lm",
        stand_in=is_stand_in(plan.model),
    )
