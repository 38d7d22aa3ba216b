"""Refuses a launch before anything is started: the plan does not run, engine or weights are missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seatrial.catalog import find_checkpoint
from seatrial.catalog.local import check_no_code
from seatrial.engines import RUNNERS
from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, RefusedError, UnknownNameError, UsageError
from seatrial.fetch.checkpoint import adopt_checkpoint, check_weights, local_path
from seatrial.launching.model_folder import readable_folder
from seatrial.launching.tuned import tuned_plan
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command, resolve_program


def command_of(plan: Plan | Command, runner: str | None, model_path: Path | None, tuned: bool) -> Command:
    """Return the command of a plan whose engine and checkpoint are on this machine; arguments as for ``launch``."""
    if isinstance(plan, Command):
        return replace(plan, argv=resolve_program(plan))
    check_plan(plan)
    check_runner(plan, runner)
    plan = tuned_plan(plan, runner) if tuned else plan
    local = None if plan.simulated else model_path or _path_of(plan.checkpoint)
    if local is not None and local.is_dir():
        check_no_code(local)
        local = readable_folder(plan.engine, local)
    drafter = _drafter_path(plan)
    if drafter is not None:
        plan = replace(plan, drafter=str(drafter.absolute()))
    # The engine first: nobody should fetch 160 GB to learn that it is missing.
    command = installed_command(plan, model_path=str(local.absolute()) if local else None, runner=runner)
    if local is None and not plan.simulated:
        raise UsageError(
            f"The checkpoint {plan.checkpoint} is not on this machine yet.",
            remedy=f"Run: seatrial fetch {plan.checkpoint}",
        )
    if local is not None:
        check_weights(local)
    if drafter is not None:
        check_weights(drafter)
    return command


def _path_of(name: str) -> Path | None:
    """Return the path of a checkpoint that was fetched, or that Hugging Face's cache holds; the latter is checked once."""
    checkpoint = find_checkpoint(name)
    return adopt_checkpoint(checkpoint) or local_path(checkpoint)


def _drafter_path(plan: Plan) -> Path | None:
    """Return the file of the plan's drafter; None if it has none, or if the draft is inside the checkpoint."""
    if plan.drafter is None or plan.drafter == plan.checkpoint:
        return None
    path = _path_of(plan.drafter)
    if path is None:
        raise UsageError(
            f"The drafter {plan.drafter} is not on this machine yet.", remedy=f"Run: seatrial fetch {plan.drafter}"
        )
    return path


def check_runner(plan: Plan, runner: str | None) -> None:
    """Refuse a way to run llama.cpp that does not exist, and any for another engine.

    Raises:
        UnknownNameError: If there is no such runner.
        UsageError: If the plan is not for llama.cpp.

    """
    if runner is not None and runner not in RUNNERS:
        raise UnknownNameError("llama.cpp runner", runner, RUNNERS)
    if runner is not None and plan.engine != "llamacpp":
        raise UsageError(
            f"The runner {runner} runs llama.cpp, and the plan is for {plan.engine}.",
            remedy="Leave --runner out, or add --engine llamacpp.",
        )


def check_one_machine(nodes: int) -> None:
    """Refuse to launch on several machines: a launch starts one process, on this one.

    Raises:
        RefusedError: If there are several.

    """
    if nodes > 1:
        raise RefusedError(
            f"An engine is launched on this machine only, and {nodes} machines were asked for.",
            remedy=f"Leave --nodes out. For {nodes} machines seatrial plan --nodes {nodes} shows the command of each, and "
            "seatrial.scale.submit runs them with Slurm.",
        )


def check_plan(plan: Plan) -> None:
    """Refuse a plan that does not run, or not on this machine.

    Raises:
        DoesNotFitError: If it needs more memory than there is.
        RefusedError: If a rule refuses it, or it is for other machines.

    """
    check_one_machine(plan.nodes)
    if not plan.runs:
        why = plan.reasons[0].text if plan.reasons else ""
        what = f"{plan.checkpoint} does not run on {plan.hardware.name} with {plan.engine}. {why}".strip()
        kind = RefusedError if plan.verdict == "refused" else DoesNotFitError
        raise kind(what, remedy=plan.smallest_change or "seatrial plan --all ranks what does run.")
    if plan.hardware.only_named and not plan.simulated:
        raise RefusedError(
            f"The plan is for {plan.hardware.name}, a machine that was only named or described; an engine is launched on this one.",
            remedy="Leave --hardware out to plan for this machine, or take the command that seatrial plan shows.",
        )
