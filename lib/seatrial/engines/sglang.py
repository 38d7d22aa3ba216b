"""SGLang: ``python -m sglang.launch_server`` with the flags its current version accepts."""

from __future__ import annotations

from seatrial.catalog.architecture import architecture_of
from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.memory.options import Options
from seatrial.plan.types import Plan
from seatrial.plan.vendor.limits import running_limit

# SGLang reads its key from argv or from a YAML file; argv is visible to every user of the machine.
_KEY_FILE = 'api-key: "{key}"\n'
_HEAD_PORT = 20000
"""Port of the first machine, as in SGLang's documentation, which takes an address only with a port."""
_TABLES_ON_HOST = {"SGLANG_ENABLE_DSV41_ENGRAM_HOST_TABLE": "1"}
"""Keeps the Engram tables of V4.1 in host memory; nothing else of SGLang's plans is there."""
_OWN = frozenset({
    "--tensor-parallel-size", "--attn-dp-size", "--pipeline-parallel-size",
    "--context-length", "--mem-fraction-static", "--reasoning-parser", "--tool-call-parser",
})  # fmt: skip
"""Flags this module writes itself, whatever a recipe sets."""


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """Return the command of one rank.

    Args:
        plan: A plan for SGLang.
        model_path: Local folder of the weights; the hub id by default.
        runner: Python that has SGLang installed; ``python`` on PATH by default.
        host: Address to listen on.

    """
    name = served_name(plan.checkpoint)
    recipe = plan.recipe.flags.without(_OWN) if plan.recipe else Flags()
    own = {
        "--model-path": model_path or plan.checkpoint,
        "--served-model-name": name,
        "--host": host,
        "--port": "{port}",
        "--config": "{key_file}",
        **_parallelism(plan, recipe),
        "--context-length": plan.context_tokens,
    }
    if plan.gpu_memory_fraction:  # a recipe that leaves the fraction to the engine was run that way
        own["--mem-fraction-static"] = f"{plan.gpu_memory_fraction:g}"
    exact = plan.recipe is not None and not plan.recipe.differences
    flags = Flags.of(own) + recipe + Flags.of({} if exact else _running(plan, recipe))
    flags += Flags.from_words(plan.chat.flags if plan.chat else ()) + Flags.of({"--enable-metrics": None})
    # SGLang looks for the word "--config" and passes over "--config=..." silently.
    words = Flags(flags.pairs, frozenset({"--config"})).to_argv()
    return Command(
        engine="sglang",
        argv=(runner or "python", "-m", "sglang.launch_server", *words),
        model=name,
        env=(dict(plan.recipe.env) if plan.recipe else {}) | (_TABLES_ON_HOST if plan.footprint.host_bytes else {}),
        key_file_text=_KEY_FILE,
        key_file_suffix=".yaml",
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="sglang",
        stand_in=is_stand_in(plan.model),
    )


def _running(plan: Plan, recipe: Flags) -> dict[str, object]:
    """Return the limit on running requests. With only that flag SGLang sizes the window pool by it, not by a share."""
    own = "--swa-full-tokens-ratio" in recipe or architecture_of(plan.architecture).windows_by_requests
    ratio = {} if own else {"--swa-full-tokens-ratio": f"{Options().swa_ratio:g}"}
    return {"--max-running-requests": running_limit(plan.concurrency), **ratio}


def _parallelism(plan: Plan, recipe: Flags) -> dict[str, object]:
    ranks = plan.parallelism
    flags: dict[str, object] = {"--tensor-parallel-size": ranks.tensor}
    if ranks.data > 1:
        flags["--attn-dp-size"] = ranks.data
    if ranks.expert > 1 and not {"--moe-a2a-backend", "--expert-parallel-size"} & recipe.keys():
        flags["--moe-a2a-backend"] = "deepep"
    if plan.nodes > 1:
        flags |= {
            "--nnodes": plan.nodes,
            "--node-rank": "{node_rank}",
            "--dist-init-addr": f"{{head_address}}:{_HEAD_PORT}",
            "--dist-timeout": 3600,  # loading from a shared disk outlasts the default of ten minutes
        }
    return flags
