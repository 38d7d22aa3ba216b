"""vLLM: ``vllm serve`` with the flags its current version accepts."""

from __future__ import annotations

import json

from seatrial.catalog import find_model
from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.json_text import parse_json
from seatrial.plan.types import Plan

_OWN = frozenset({
    "--tensor-parallel-size", "--data-parallel-size", "--pipeline-parallel-size", "--enable-expert-parallel",
    "--max-model-len", "--gpu-memory-utilization", "--tokenizer-mode", "--reasoning-parser", "--tool-call-parser",
    "--enable-auto-tool-choice", "--nnodes", "--node-rank", "--master-addr",
})  # fmt: skip
"""Flags this module writes itself, whatever a recipe sets."""
_V4_DEFAULTS = Flags.of({"--kv-cache-dtype": "fp8", "--block-size": 256})


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of one rank.

    Args:
        plan: A plan for vLLM.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``vllm`` program; the one on PATH by default.
        host: Address to listen on; by itself vLLM would take every interface.

    """
    name = served_name(plan.checkpoint)
    recipe = plan.recipe.flags if plan.recipe else Flags()
    kept = _with_local_draft(recipe.without(_OWN), plan.checkpoint, model_path)
    own = {
        "--served-model-name": name,
        "--host": host,
        "--port": "{port}",
        **_parallelism(plan, recipe),
        "--max-model-len": plan.context_tokens,
    }
    if plan.gpu_memory_fraction:
        own["--gpu-memory-utilization"] = f"{plan.gpu_memory_fraction:g}"
    v4 = plan.model == "local" or find_model(plan.model).architecture == "deepseek_v4"
    # A recipe that leaves something to the engine was run that way: the exact recipe gets nothing added.
    exact = plan.recipe is not None and not plan.recipe.differences
    added = _V4_DEFAULTS.without(kept) if v4 and not exact else Flags()
    # vLLM accepts wrong parser names silently and fails on the first request, so the command names them.
    chat = Flags.from_words(plan.chat.flags if plan.chat else ())
    words = (Flags.of(own) + added + kept + chat).to_argv()
    return Command(
        engine="vllm",
        argv=(runner or "vllm", "serve", model_path or plan.checkpoint, *words),
        model=name,
        env=dict(plan.recipe.env) if plan.recipe else {},
        key_env="VLLM_API_KEY",
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="vllm",
        stand_in=is_stand_in(plan.model),
    )


def _parallelism(plan: Plan, recipe: Flags) -> dict[str, object]:
    """Return how the work is split. What a recipe sets for a single rank stays: kernels may need it."""
    ranks = plan.parallelism
    # vLLM multiplies the two sizes, while the plan's tensor size counts all ranks.
    flags: dict[str, object] = {"--tensor-parallel-size": ranks.tensor // ranks.data}
    if ranks.data > 1 or "--data-parallel-size" in recipe:
        flags["--data-parallel-size"] = ranks.data
    if ranks.expert > 1 or "--enable-expert-parallel" in recipe:
        flags["--enable-expert-parallel"] = None
    if "--pipeline-parallel-size" in recipe:
        flags["--pipeline-parallel-size"] = ranks.pipeline
    if plan.nodes > 1:
        flags |= {"--nnodes": plan.nodes, "--node-rank": "{node_rank}", "--master-addr": "{head_address}"}
    return flags


def _with_local_draft(recipe: Flags, checkpoint: str, model_path: str | None) -> Flags:
    """Return the flags with the draft read from the local folder, if the recipe names the checkpoint itself as draft."""
    config = parse_json(recipe.get("--speculative-config") or "{}")
    if model_path is None or config.get("model") != checkpoint:
        return recipe
    config = {name: value for name, value in config.items() if name != "revision"} | {"model": model_path}
    return recipe.with_value("--speculative-config", json.dumps(config, separators=(",", ":")))
