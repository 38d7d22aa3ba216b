"""A plan as a command: the program, arguments and environment that start one engine.

Nothing is started here. ``{port}`` and ``{key_file}`` in the arguments are filled in at launch. Where several
machines run one model, ``machine_commands`` has the command of each; ``{head_address}`` is the first one's.
"""

from __future__ import annotations

from dataclasses import replace

from seatrial.catalog.engine_facts import engine_ids
from seatrial.engines.llamacpp import RUNNERS
from seatrial.engines.machines import MachineCommand, machine_commands
from seatrial.engines.protocol import Engine, find_engine
from seatrial.engines.settings import apply_settings
from seatrial.engines.snapshot import in_version
from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, RefusedError
from seatrial.plan.types import Plan

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
    """The command that starts ``plan``, with the settings that were tuned for it; ``machine_commands`` deals it out.

    Args:
        plan: A plan that runs.
        model_path: Where the weights lie; the checkpoint id by default.
        runner: llama.cpp: ``xllamacpp``, ``llama-server`` or ``llama_cpp.server``; SGLang: the python
            that has it; vLLM and MLX: the program.
        host: Address to listen on.
        version: Version that is installed; its spellings are used where they are known to differ, and
            ``Command.notes`` says where they are not known. None takes the newest known.

    Raises:
        DoesNotFitError: The plan's verdict is ``does_not_fit``.
        RefusedError: The plan's verdict is ``refused``.

    """
    if not plan.runs:
        why = plan.reasons[0].text if plan.reasons else f"{plan.checkpoint} does not run on {plan.hardware.name}."
        error = RefusedError if plan.verdict == "refused" else DoesNotFitError
        raise error(why, remedy=plan.smallest_change or "")
    command = ENGINES[plan.engine].build(plan, model_path=model_path, runner=runner, host=host)
    command = apply_settings(replace(command, nodes=plan.nodes), plan.settings)
    return command if version is None else in_version(command, version)


__all__ = ["ENGINES", "RUNNERS", "Command", "Engine", "MachineCommand", "build_command", "machine_commands"]
