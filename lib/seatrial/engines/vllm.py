"""vLLM: ``vllm serve`` with the flags its current version accepts."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.catalog import find_model
from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.snapshot import translate
from seatrial.engines.types import Command
from seatrial.plan.types import Plan
from seatrial.plan.vendor.spellings import flag_values

_OWN = frozenset({
    "--tensor-parallel-size", "--data-parallel-size", "--pipeline-parallel-size", "--enable-expert-parallel",
    "--max-model-len", "--gpu-memory-utilization", "--tokenizer-mode", "--reasoning-parser", "--tool-call-parser",
    "--enable-auto-tool-choice", "--nnodes", "--node-rank", "--master-addr",
})  # fmt: skip
"""Flags this module writes itself, whatever a recipe says."""
_V4_DEFAULTS = {"--kv-cache-dtype": "fp8", "--block-size": "256"}


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of one rank.

    Args:
        plan: A plan for vLLM.
        model_path: Local folder of the weights; the hub id by default.
        runner: The ``vllm`` program; the one on PATH by default.
        host: Address to listen on; vLLM itself would take every interface.

    """
    name = served_name(plan.checkpoint)
    recipe = plan.recipe.argv if plan.recipe else ()
    translated, _ = translate("vllm", recipe)
    kept = [word for word in translated if word.partition("=")[0] not in _OWN]
    v4 = plan.model == "local" or find_model(plan.model).architecture == "deepseek_v4"
    # A recipe that leaves something to the engine was run that way: exactly it gets nothing added.
    added = {} if not v4 or (plan.recipe and not plan.recipe.differences) else _V4_DEFAULTS
    given = flag_values(kept)
    argv = [
        runner or "vllm",
        "serve",
        model_path or plan.checkpoint,
        f"--served-model-name={name}",
        f"--host={host}",
        "--port={port}",
        *_parallelism(plan, flag_values(translated)),
        f"--max-model-len={plan.context_tokens}",
        *([f"--gpu-memory-utilization={plan.gpu_memory_fraction:g}"] if plan.gpu_memory_fraction else []),
        *(f"{flag}={value}" for flag, value in added.items() if flag not in given),
        *kept,
        # vLLM accepts wrong parser names without a word and fails on the first request, so they stand here.
        *(plan.chat.flags if plan.chat else ()),
    ]
    return Command(
        engine="vllm",
        argv=tuple(argv),
        model=name,
        env=dict(plan.recipe.env) if plan.recipe else {},
        key_env="VLLM_API_KEY",
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="vllm",
        stand_in=is_stand_in(plan.model),
    )


def _parallelism(plan: Plan, recipe: Mapping[str, str]) -> list[str]:
    """How the work is split; what the recipe asks for of a single rank stays, since kernels may insist on it."""
    ranks = plan.parallelism
    # vLLM multiplies the two; here tensor counts all ranks.
    words = [f"--tensor-parallel-size={ranks.tensor // ranks.data}"]
    if ranks.data > 1:
        words.append(f"--data-parallel-size={ranks.data}")
    if ranks.expert > 1 or "--enable-expert-parallel" in recipe:
        words.append("--enable-expert-parallel")
    if ranks.pipeline > 1 or "--pipeline-parallel-size" in recipe:
        words.append(f"--pipeline-parallel-size={ranks.pipeline}")
    if plan.nodes > 1:
        words += [f"--nnodes={plan.nodes}", "--node-rank={node_rank}", "--master-addr={head_address}"]
    return words
