"""Which plan this machine can really carry out: its engine installed, its checkpoint here already where one will do.

`fetch`, `serve` and the notebooks all ask here, so that what the first brings is what the others launch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from seatrial.errors import EngineMissingError, RefusedError, SeatrialError
from seatrial.programs.find import installed_command, known_programs
from seatrial.programs.probing import output_of
from seatrial.units import counted

if TYPE_CHECKING:
    from seatrial.catalog import Checkpoint
    from seatrial.hardware import Hardware
    from seatrial.plan import Plan

_ASK_DEVICES = "import xllamacpp; print(*(device['type'].name for device in xllamacpp.get_device_info()))"


@dataclass(frozen=True, slots=True)
class ChosenPlan:
    """A plan, and how it came to be chosen.

    Attributes:
        plan: What to launch here; the best plan where nothing can be launched.
        best: What would come first with every engine installed and every checkpoint here.
        missing: Why ``plan`` cannot be started, None where its engine is ready (or it does not run at all).
        instead_of: Why ``best`` cannot be started, None where its engine is ready.
        fetched: Whether the checkpoint of ``plan`` is on this machine.

    """

    plan: Plan
    best: Plan
    missing: SeatrialError | None = None
    instead_of: SeatrialError | None = None
    fetched: bool = False

    @property
    def why(self) -> str:
        """The choice in one line, for people."""
        plan, best = self.plan, self.best
        with_engine = f"{plan.checkpoint} with {plan.engine}"
        if best.hardware.gpus and not plan.hardware.gpus:
            with_engine += " on the CPU"
        same = (plan.checkpoint, plan.engine, plan.hardware) == (best.checkpoint, best.engine, best.hardware)
        verdict = "a vendor ran exactly this" if plan.verdict == "verified" else "it fits"
        if same:
            return f"{with_engine}: the plan for {plan.hardware.name} ({verdict})."
        text = f"{with_engine}: {'already here, and ' if self.fetched else ''}it runs on {plan.hardware.name}."
        if self.instead_of is not None:
            return (
                f"{text} The plan prefers {best.checkpoint} with {best.engine}, but {self.instead_of.what} "
                f"{self.instead_of.remedy}"
            )
        return f"{text} The plan prefers {best.checkpoint}: seatrial fetch {best.checkpoint}"


def choose_plan(
    model: str | None = None,
    *,
    checkpoint: str | None = None,
    hardware: Hardware,
    engine: str = "auto",
    runner: str | None = None,
    **wish: Any,
) -> ChosenPlan:
    """The best plan for a model among the engines installed here; a checkpoint that is here already comes first.

    Args:
        model: Model id; Flash by default.
        checkpoint: Exactly this one: there is nothing to choose.
        hardware: This machine; for one that was only named the best plan is returned as it is.
        engine: ``auto``, or an engine id.
        runner: The way to run llama.cpp, which it then is; None for what is here.
        wish: What else :func:`seatrial.plan.make_plan` takes.

    Raises:
        UnknownNameError: No such model or engine.
        UsageError: A number no machine has.

    """
    from seatrial.plan import make_plan

    if runner is not None and engine == "auto":
        engine = "llamacpp"
    best = make_plan(model, checkpoint=checkpoint, hardware=hardware, engine=engine, **wish)
    if not best.runs or checkpoint is not None or hardware.only_named:
        return ChosenPlan(best, best)
    obstacle = find_obstacle(best, runner)
    ways = list(_ways(best, hardware, engine, wish))
    here = (
        make_plan(checkpoint=row, hardware=way.hardware, engine=way.engine, **wish)
        for way in ways
        for row in _fetched(way)
    )
    for plan in sorted(here, key=_standing):
        if plan.runs and find_obstacle(plan, runner) is None:
            return ChosenPlan(plan, best, None, obstacle, fetched=True)
    for plan in sorted(ways, key=_standing) if obstacle else [best]:
        if find_obstacle(plan, runner) is None:
            return ChosenPlan(plan, best, None, obstacle)
    return ChosenPlan(best, best, obstacle, obstacle)


def find_obstacle(plan: Plan, runner: str | None = None) -> SeatrialError | None:
    """Why the engine of a plan that runs cannot be started here: missing, too old, or without its GPUs; None if ready."""
    try:
        command = installed_command(plan, runner=runner if plan.engine == "llamacpp" else None)
    except (EngineMissingError, RefusedError) as error:
        return error
    if command.program == "xllamacpp" and plan.gpu_layers and not _embedded_uses_gpus():
        row = known_programs()["llama-server"]
        return EngineMissingError(
            f"the llama.cpp installed here (xllamacpp) computes on the CPU alone, and this plan uses "
            f"{counted(plan.gpus_per_node, 'GPU')}.",
            remedy=row.remedy,
            cause="engine missing",
        )
    return None


def _ways(best: Plan, hardware: Hardware, engine: str, wish: dict[str, Any]) -> Iterator[Plan]:
    """Every engine's plan that runs, llama.cpp's also without the GPUs: its usual build has no use for them."""
    from seatrial.plan import make_plan
    from seatrial.plan.prefer import engines_of

    for name in engines_of(hardware) if engine == "auto" else (engine,):
        plan = make_plan(best.model, hardware=hardware, engine=name, **wish)
        if plan.runs:
            yield plan
        if name == "llamacpp" and plan.gpu_layers and not any(gpu.unified for gpu in hardware.gpus):
            alone = make_plan(
                best.model, hardware=replace(hardware, gpus=()), engine=name, **(wish | {"tensor_parallel": None})
            )
            if alone.runs:
                yield alone


def _standing(plan: Plan) -> tuple[int, bool]:
    """Sort key: as the planner itself prefers; equals keep their order."""
    from seatrial.catalog import find_model
    from seatrial.plan.rank import standing

    return standing(plan.verdict, find_model(plan.model), plan.checkpoint)


def _fetched(plan: Plan) -> Iterator[Checkpoint]:
    """Checkpoints on this machine that the plan's engine may serve instead, its own first."""
    from seatrial.catalog import checkpoints, find_model
    from seatrial.fetch.checkpoint import local_path
    from seatrial.plan.prefer import preferred

    rows = preferred(find_model(plan.model), plan.engine, checkpoints())
    for row in sorted(rows, key=lambda row: row.id != plan.checkpoint):
        if local_path(row) is not None:
            yield row


def _embedded_uses_gpus() -> bool:
    """Whether the embedded llama.cpp was built for GPUs it finds here; asked in a process of its own."""
    return "GPU" in output_of((sys.executable, "-c", _ASK_DEVICES))
