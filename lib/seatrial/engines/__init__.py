"""A plan as a command: the program, arguments and environment that start one engine.

Nothing is started in this package. The launch fills in ``{port}`` and ``{key_file}``. If several machines run one
model, ``machine_commands`` returns the command of each, and ``{head_address}`` is the address of the first.
"""

from __future__ import annotations

import re
from dataclasses import replace

from seatrial.catalog.engine_facts import engine_ids
from seatrial.engines.llamacpp import RUNNERS
from seatrial.engines.machines import MachineCommand, machine_commands
from seatrial.engines.protocol import Engine, find_engine
from seatrial.engines.settings import apply_settings
from seatrial.engines.snapshot import with_version_note
from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, RefusedError
from seatrial.plan.request import Request
from seatrial.plan.types import TENSOR_PARALLEL, Plan

_VISIBILITY = re.compile(r"(?:HIP|ROCR|CUDA|GGML_VK)_VISIBLE_DEVICES|CUDA_DEVICE_ORDER")

ENGINES: dict[str, Engine] = {name: find_engine(name) for name in engine_ids()}
"""Every engine, by id, the preferred first: each data file in ``catalog/engines/`` with its module."""


def build_command(
    plan: Plan,
    *,
    model_path: str | None = None,
    runner: str | None = None,
    host: str = "127.0.0.1",
    version: str | None = None,
) -> Command:
    """Return the command that starts ``plan``, with the settings that were tuned for it.

    Args:
        plan: A plan that runs.
        model_path: Path of the weights; the checkpoint id by default.
        runner: llama.cpp: ``xllamacpp``, ``llama-server`` or ``llama_cpp.server``; SGLang: the python
            that has it; vLLM and MLX: the program.
        host: Address to listen on.
        version: Installed version; ``Command.notes`` says if it is newer than the flags. None skips that check.

    Raises:
        DoesNotFitError: If the plan's verdict is ``does_not_fit``.
        RefusedError: If the plan's verdict is ``refused``.

    """
    if not plan.runs:
        why = plan.reasons[0].text if plan.reasons else f"{plan.checkpoint} does not run on {plan.hardware.name}."
        error = RefusedError if plan.verdict == "refused" else DoesNotFitError
        raise error(why, remedy=plan.smallest_change or "")
    command = ENGINES[plan.engine].build(plan, model_path=model_path, runner=runner, host=host)
    env = command.env | _visibility(plan.hardware.engine_env)
    env |= _chosen_gpus(plan, env)
    command = apply_settings(replace(command, nodes=plan.nodes, env=env), plan.settings)
    return command if version is None else with_version_note(command, version)


def _chosen_gpus(plan: Plan, env: dict[str, str]) -> dict[str, str]:
    """Return the variable that leaves an engine the equal GPUs of its plan, if it would take others: those that come first.

    Args:
        plan: A plan; SGLang and vLLM share a model over equal GPUs and start with the first GPU they see.
        env: Variables of its command so far.

    """
    kinds = [(gpu.name, gpu.memory_bytes) for gpu in plan.hardware.gpus]
    used = Request(plan.hardware).gpus[: plan.gpus_per_node]
    nvidia = all(gpu.vendor == "nvidia" and not gpu.mig for gpu in plan.hardware.gpus)
    if plan.engine not in TENSOR_PARALLEL or not used or not nvidia:
        return {}
    places = [place for place, kind in enumerate(kinds) if kind == (used[0].name, used[0].memory_bytes)][: len(used)]
    if places == list(range(len(used))):
        return {}
    seen = (
        env["CUDA_VISIBLE_DEVICES"].split(",") if "CUDA_VISIBLE_DEVICES" in env else list(map(str, range(len(kinds))))
    )
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen[place] for place in places)} if len(seen) == len(kinds) else {}


def _visibility(settings: tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a machine that say which GPUs are seen; a description from elsewhere may hold others."""
    pairs = (setting.partition("=") for setting in settings)
    return {name: value for name, _, value in pairs if _VISIBILITY.fullmatch(name)}


__all__ = ["ENGINES", "RUNNERS", "Command", "Engine", "MachineCommand", "build_command", "machine_commands"]
