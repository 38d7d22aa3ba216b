"""Chooses a plan that this machine can launch now: an installed engine, and a local checkpoint if one will do.

`fetch`, `serve` and the notebooks all ask this module, so that what the first downloads is what the others launch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

from seatrial.catalog import find_model
from seatrial.catalog.types import Checkpoint
from seatrial.errors import EngineMissingError, RefusedError, SeatrialError
from seatrial.fetch.checkpoint import found_path
from seatrial.plan.candidate import engines_for, preferred_checkpoints
from seatrial.plan.choose import plan_of
from seatrial.plan.rank import verdict_preference
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command, known_programs
from seatrial.programs.probing import output_of
from seatrial.units import counted

_ASK_DEVICES = "import xllamacpp; print(*(device['type'].name for device in xllamacpp.get_device_info()))"


@dataclass(frozen=True, slots=True)
class ChosenPlan:
    """A plan, and how it came to be chosen."""

    plan: Plan  # to launch; the best plan if nothing can be launched
    best: Plan  # what would come first with every engine installed and every checkpoint downloaded
    missing: SeatrialError | None = None  # why `plan` cannot be started; None if its engine is ready or it does not run
    instead_of: SeatrialError | None = None  # why `best` cannot be started; None if its engine is ready
    fetched: bool = False  # the checkpoint of `plan` is on this machine

    @property
    def why(self) -> str:
        """Explanation of the choice in one line, for people."""
        plan, best = self.plan, self.best
        pair = f"{plan.checkpoint} with {plan.engine}"
        if best.hardware.gpus and not plan.hardware.gpus:
            pair += " on the CPU"
        if (plan.checkpoint, plan.engine, plan.hardware) == (best.checkpoint, best.engine, best.hardware):
            verdict = "a vendor ran exactly this" if plan.verdict == "verified" else "it fits"
            return f"{pair}: the plan for {plan.hardware.name} ({verdict})."
        fetched = "it is downloaded already, and " if self.fetched else ""
        text = f"{pair}: {fetched}it runs on {plan.hardware.name}. The plan prefers {best.checkpoint}"
        if self.instead_of is not None:
            return f"{text} with {best.engine}, but {self.instead_of.what} {self.instead_of.remedy}"
        return f"{text}: seatrial fetch {best.checkpoint}"


def choose_plan(request: Request, runner: str | None = None) -> ChosenPlan:
    """Choose the best plan among the engines installed on this machine; a checkpoint that is downloaded comes first.

    If a checkpoint is named, or the machine is not this one, the best plan is returned as it is.

    Args:
        request: What was asked, for this machine.
        runner: The way to run llama.cpp, which is then the engine; None for any that is installed.

    Raises:
        UnknownNameError: If there is no such model or engine.
        UsageError: If a number is one that no machine has.

    """
    if runner is not None and request.engine == "auto":
        request = replace(request, engine="llamacpp")
    best = plan_of(request)
    if not best.runs or request.checkpoint is not None or request.hardware.only_named:
        return ChosenPlan(best, best)
    obstacle = find_obstacle(best, runner)
    pairs = list(_plans_by_engine(replace(request, model=best.model)))
    downloaded = (
        plan_of(replace(asked, model=None, checkpoint=row)) for asked, plan in pairs for row in _downloaded(plan)
    )
    for plan in sorted(downloaded, key=_preference):
        if plan.runs and find_obstacle(plan, runner) is None:
            return ChosenPlan(plan, best, None, obstacle, fetched=True)
    for plan in sorted((plan for _, plan in pairs), key=_preference) if obstacle else [best]:
        if find_obstacle(plan, runner) is None:
            return ChosenPlan(plan, best, None, obstacle)
    return ChosenPlan(best, best, obstacle, obstacle)


def find_obstacle(plan: Plan, runner: str | None = None) -> SeatrialError | None:
    """Return why the engine of a plan cannot be started: missing, too old, or built without GPUs; None if it can."""
    try:
        command = installed_command(plan, runner=runner if plan.engine == "llamacpp" else None)
    except (EngineMissingError, RefusedError) as error:
        return error
    if command.program == "xllamacpp" and plan.gpu_layers and not _embedded_uses_gpus():
        return EngineMissingError(
            f"the installed llama.cpp (xllamacpp) computes on the CPU only, and this plan uses "
            f"{counted(plan.gpus_per_node, 'GPU')}.",
            remedy=known_programs()["llama-server"].remedy,
            cause="engine missing",
        )
    return None


def _plans_by_engine(request: Request) -> Iterator[tuple[Request, Plan]]:
    """Yield each engine's plan that runs, llama.cpp's also without the GPUs: its usual build does not use them."""
    hardware = request.hardware
    for name in engines_for(hardware) if request.engine == "auto" else (request.engine,):
        asked = replace(request, engine=name)
        plan = plan_of(asked)
        if plan.runs:
            yield asked, plan
        if name == "llamacpp" and plan.gpu_layers and not any(gpu.unified for gpu in hardware.gpus):
            asked = replace(asked, hardware=replace(hardware, gpus=()), tensor_parallel=None)
            plan = plan_of(asked)
            if plan.runs:
                yield asked, plan


def _preference(plan: Plan) -> tuple[int, int, int]:
    """Return a sort key that orders plans as the planner does; equals keep their order."""
    return verdict_preference(plan.verdict, find_model(plan.model), plan.checkpoint, plan.ranks)


def _downloaded(plan: Plan) -> Iterator[Checkpoint]:
    """Yield the downloaded checkpoints that the plan's engine can serve, the plan's own first."""
    rows = preferred_checkpoints(plan.model, plan.engine)
    for row in sorted(rows, key=lambda row: row.id != plan.checkpoint):
        if found_path(row) is not None:
            yield row


def _embedded_uses_gpus() -> bool:
    """Return True if the embedded llama.cpp finds GPUs it was built for; a process of its own looks for them."""
    return "GPU" in output_of((sys.executable, "-c", _ASK_DEVICES))
