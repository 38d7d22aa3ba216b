"""MLX on Apple silicon: ``mlx_vlm.server``, which serves DeepSeek V4 and plain language models."""

from __future__ import annotations

from pathlib import Path

from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.plan.types import Plan


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of the server; by itself it would listen on every interface.

    The server lists a local model by its path with links resolved. No request can make it download or list another
    model: its hub cache is the model's own folder, and the hub is off.

    Args:
        plan: A plan for MLX.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``mlx_vlm.server`` program; the one on PATH by default.
        host: Address to listen on.

    """
    local = str(Path(model_path).resolve()) if model_path else None
    flags = Flags.of({
        "--model": local or plan.checkpoint,
        "--host": host,
        "--port": "{port}",
        "--max-kv-size": plan.context_tokens,
        "--max-num-seqs": plan.concurrency,
    })  # fmt: skip
    if plan.drafter:
        flags = flags.with_value("--draft-model", local or plan.checkpoint)
    if plan.draft_tokens:
        # The first token of a block is the model's own.
        flags = flags.with_value("--draft-block-size", str(plan.draft_tokens + 1))
    # A launch gives the engine a config.json it can read; whoever pastes the command does that by hand.
    misread = engine_facts("mlx").misread_config
    by_hand = local is None and misread is not None and plan.chat is not None
    return Command(
        engine="mlx",
        argv=(runner or "mlx_vlm.server", *flags.to_argv()),
        model=local or served_name(plan.checkpoint),
        env={"HF_HUB_CACHE": local, "HF_HUB_OFFLINE": "1"} if local else {},
        key_env="MLX_VLM_SERVER_API_KEY",
        health_path="/health",
        metrics_path="/metrics",
        program="mlx-vlm",
        stand_in=is_stand_in(plan.model),
        notes=(misread.by_hand,) if misread and by_hand else (),
    )
