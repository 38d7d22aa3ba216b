"""SGLang: ``python -m sglang.launch_server`` with the flags its current version accepts."""

from __future__ import annotations

from seatrial.engines.served import is_stand_in, served_name
from seatrial.engines.snapshot import translate
from seatrial.engines.types import Command
from seatrial.memory.options import Options
from seatrial.plan.types import Plan
from seatrial.plan.vendor.limits import running_limit
from seatrial.plan.vendor.spellings import flag_values

# SGLang reads its key from argv or from a YAML file; argv is visible to every user of the machine.
_KEY_FILE = 'api-key: "{key}"\n'
_HEAD_PORT = 20000
"""Where the machines find each other, as in SGLang's documentation; it takes an address only with a port."""
_OWN = frozenset({
    "--tensor-parallel-size", "--attn-dp-size", "--expert-parallel-size", "--pipeline-parallel-size",
    "--context-length", "--mem-fraction-static", "--reasoning-parser", "--tool-call-parser",
})  # fmt: skip
"""Flags this module writes itself, whatever a recipe says."""


def build(plan: Plan, *, model_path: str | None = None, runner: str | None = None, host: str = "127.0.0.1") -> Command:
    """The command of one rank.

    Args:
        plan: A plan for SGLang.
        model_path: Local folder of the weights; the hub id by default.
        runner: Python that has SGLang installed; ``python`` on PATH by default.
        host: Address to listen on.

    """
    name = served_name(plan.checkpoint)
    recipe = plan.recipe.argv if plan.recipe else ()
    exact = plan.recipe is not None and not plan.recipe.differences
    translated, _ = translate("sglang", recipe)
    kept = [word for word in translated if word.partition("=")[0] not in _OWN]
    argv = [
        runner or "python",
        "-m",
        "sglang.launch_server",
        f"--model-path={model_path or plan.checkpoint}",
        f"--served-model-name={name}",
        f"--host={host}",
        "--port={port}",
        # Two words: SGLang looks for the word "--config" and passes over "--config=..." without a word.
        "--config",
        "{key_file}",
        *_parallelism(plan, flag_values(kept)),
        f"--context-length={plan.context_tokens}",
        # A recipe that leaves the fraction to the engine was run that way.
        *([f"--mem-fraction-static={plan.gpu_memory_fraction:g}"] if plan.gpu_memory_fraction else []),
        *kept,
        *([] if exact else _running(plan, flag_values(kept))),
        *(plan.chat.flags if plan.chat else ()),
        "--enable-metrics",
    ]
    return Command(
        engine="sglang",
        argv=tuple(argv),
        model=name,
        env=dict(plan.recipe.env) if plan.recipe else {},
        key_file_text=_KEY_FILE,
        key_file_suffix=".yaml",
        health_path="/health",
        tokenize_path="/tokenize",
        metrics_path="/metrics",
        program="sglang",
        stand_in=is_stand_in(plan.model),
    )


def _running(plan: Plan, recipe: dict[str, str]) -> list[str]:
    """The requests run at once. With that flag alone SGLang makes the window pool for as many, not for a share."""
    words = [f"--max-running-requests={running_limit(plan.concurrency)}"]
    if "--swa-full-tokens-ratio" not in recipe:
        words.append(f"--swa-full-tokens-ratio={Options().swa_ratio:g}")
    return words


def _parallelism(plan: Plan, recipe: dict[str, str]) -> list[str]:
    ranks = plan.parallelism
    words = [f"--tensor-parallel-size={ranks.tensor}"]
    if ranks.data > 1:
        words.append(f"--attn-dp-size={ranks.data}")
    if ranks.expert > 1 and "--moe-a2a-backend" not in recipe:
        words.append("--moe-a2a-backend=deepep")
    if ranks.pipeline > 1:
        words.append(f"--pipeline-parallel-size={ranks.pipeline}")
    if plan.nodes > 1:
        # Loading from a shared disk outlasts the default of ten minutes.
        words += [
            f"--nnodes={plan.nodes}",
            "--node-rank={node_rank}",
            f"--dist-init-addr={{head_address}}:{_HEAD_PORT}",
            "--dist-timeout=3600",
        ]
    return words
