"""Change machine, checkpoint, context and load, and see at once whether it runs, what fills the memory, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from seatrial.engines import build_command
from seatrial.errors import SeatrialError
from seatrial.hardware import Hardware, detect_hardware
from seatrial.plan import Plan, make_plan
from seatrial.plan.request import OBJECTIVES
from seatrial.plan.types import Objective
from seatrial.view.chart.chart import show_chart
from seatrial.view.notebook import explorer_choices as choices
from seatrial.view.notebook.explorer_choices import AUTO
from seatrial.view.notebook.explorer_html import error_html, plan_html
from seatrial.view.notebook.live import is_headless
from seatrial.view.notebook.widgets import show_widget
from seatrial.view.plots.gpu_memory import gpu_memory_chart
from seatrial.view.tables.commands import commands_text
from seatrial.view.tables.plans import table_plan_memory, verdict_line
from seatrial.view.tables.table import Table


@dataclass(frozen=True, slots=True)
class ExplorerChoice:
    """What the controls ask for.

    Attributes:
        hardware: A machine by its name.
        nodes: Machines of that kind.
        host_memory_gib: Host memory of each; 0 for what is known of it.
        model: Model id.
        checkpoint: Checkpoint id, or ``auto``.
        engine: Engine id, or ``auto``.
        context_tokens: Context of each request.
        concurrency: Requests at once.
        objective: What the plan should be best at.

    """

    hardware: str
    nodes: int
    host_memory_gib: int
    model: str
    checkpoint: str
    engine: str
    context_tokens: int
    concurrency: int
    objective: Objective

    def plan(self) -> Plan:
        """The plan for it.

        Raises:
            SeatrialError: It contradicts itself, or no machine has it.

        """
        return make_plan(
            self.model,
            checkpoint=None if self.checkpoint == AUTO else self.checkpoint,
            hardware=_machine(self.hardware, self.host_memory_gib),
            nodes=self.nodes,
            engine=self.engine,
            context_tokens=self.context_tokens,
            concurrency=self.concurrency,
            objective=self.objective,
        )


def plan_explorer(  # noqa: PLR0913 -- one keyword for each control
    hardware: str = AUTO,
    model: str = "flash",
    *,
    context_tokens: int = 8192,
    concurrency: int = 1,
    engine: str = AUTO,
    objective: Objective = "balanced",
) -> PlanExplorer:
    """Controls for a plan, set to these values; without a front end the plan for them.

    Args:
        hardware: ``auto`` for this machine, or a named one such as ``h200x4``.
        model: ``flash`` or ``pro``.
        context_tokens: Context of each request.
        concurrency: Requests at once.
        engine: ``auto``, or an engine id.
        objective: ``latency``, ``balanced`` or ``throughput``.

    Raises:
        UnknownNameError: No such machine, model, engine or objective.
        UsageError: A number no machine has.

    """
    return PlanExplorer(ExplorerChoice(hardware, 1, 0, model, AUTO, engine, context_tokens, concurrency, objective))


class PlanExplorer:
    """The plan for what the controls show.

    Attributes:
        plan: The plan; follows the controls, and stays where they ask for something that cannot be planned.

    """

    def __init__(self, wish: ExplorerChoice) -> None:
        self.plan = wish.plan()
        self._machines = choices.machines()
        self._controls: dict[str, Any] = {}
        self._page: Any = None
        self._settling = False
        if not is_headless():
            self._build(wish)
            self._settle()
            self._show()

    def to_table(self) -> Table:
        """Verdict, memory and command as text."""
        memory = table_plan_memory(self.plan)
        note = "\n".join(filter(None, [memory.title, self.plan.smallest_change or "", command_of(self.plan)]))
        return Table(verdict_line(self.plan), memory.columns, memory.rows, note)

    def _build(self, wish: ExplorerChoice) -> None:
        import ipywidgets

        machine, gpus = choices.place(self.plan.hardware, wish.hardware)
        self._machines.setdefault(machine.key, machine)
        listed = [(one.label, one.key) for one in self._machines.values()]
        wide: dict[str, Any] = {"style": {"description_width": "120px"}, "layout": {"width": "98%"}}
        pick, slide = ipywidgets.Dropdown, ipywidgets.SelectionSlider
        self._controls = {
            "machine": pick(value=machine.key, options=listed, description="Machine", **wide),
            "model": pick(value=wish.model, options=choices.model_options(wish.model), description="Model", **wide),
            "gpus": slide(value=gpus, options=machine.counts(gpus), description="GPUs", **wide),
            "checkpoint": pick(options=choices.checkpoint_options(wish.model), description="Checkpoint", **wide),
            "nodes": slide(value=1, options=choices.steps(choices.NODES), description="Machines", **wide),
            "engine": pick(
                value=wish.engine, options=_with(choices.ENGINES, wish.engine), description="Engine", **wide
            ),
            "host_memory_gib": slide(value=0, options=choices.host_options(), description="Host memory", **wide),
            "objective": pick(value=wish.objective, options=OBJECTIVES, description="Best at", **wide),
            "context_tokens": slide(
                value=wish.context_tokens,
                options=choices.steps(choices.CONTEXTS, wish.context_tokens),
                description="Context (tokens)",
                **wide,
            ),
            "concurrency": slide(
                value=wish.concurrency,
                options=choices.steps(choices.LOADS, wish.concurrency),
                description="Requests at once",
                **wide,
            ),
        }
        self._page = ipywidgets.HTML(layout={"width": "98%"})
        self._page.add_class("seatrial-page")
        for name, control in self._controls.items():
            control.add_class(f"seatrial-{name.replace('_', '-')}")
            control.observe(self._changed, names="value")

    def _changed(self, change: dict[str, Any]) -> None:
        if self._settling:  # one change of a person may set other controls
            return
        if change["owner"] is self._controls["model"]:
            self._quietly("checkpoint", choices.checkpoint_options(change["new"]))
        self._settle()
        try:
            self.plan = self._wish().plan()
        except SeatrialError as error:
            self._page.value = error_html(error)
            return
        self._show()

    def _show(self) -> None:
        self._page.value = plan_html(self.plan, command_of(self.plan))

    def _settle(self) -> None:
        """Offer what the machine can have: so many GPUs, host memory beside it, several of it."""
        machine = self._machines[self._controls["machine"].value]
        self._quietly("gpus", machine.counts(self._controls["gpus"].value))
        self._controls["gpus"].disabled = not machine.most_gpus
        self._controls["host_memory_gib"].disabled = not machine.takes_host_memory

    def _quietly(self, name: str, options: list[tuple[str, Any]]) -> None:
        """Change what a control offers; its value stays where it is offered still, else the first (of GPUs the most)."""
        control = self._controls[name]
        if list(control.options) == options:
            return
        values = [value for _, value in options]
        kept = control.value if control.value in values else values[-1 if name == "gpus" else 0]
        self._settling = True
        try:
            control.options = options
            control.value = kept
        finally:
            self._settling = False

    def _wish(self) -> ExplorerChoice:
        values = {name: control.value for name, control in self._controls.items()}
        machine = self._machines[values.pop("machine")]
        wish = ExplorerChoice(hardware=machine.named(values.pop("gpus")), **values)
        return wish if machine.takes_host_memory else replace(wish, host_memory_gib=0)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not self._controls:
            display(self.to_table())  # type: ignore[no-untyped-call]
            show_chart(gpu_memory_chart(self.plan))
            return
        import ipywidgets

        columns = {"grid_template_columns": "repeat(2, minmax(0, 1fr))", "max_width": "900px", "grid_gap": "0 16px"}
        grid = ipywidgets.GridBox(list(self._controls.values()), layout=columns)
        show_widget(ipywidgets.VBox([grid, self._page]), self._page.value, self.to_table().to_text())


def command_of(plan: Plan) -> str:
    """The command of a plan as one types it, of each machine where there are several; empty where it does not run."""
    if not plan.runs:
        return ""
    return commands_text(build_command(plan))


@cache
def _machine(name: str, host_memory_gib: int) -> Hardware:
    """A machine, looked at once: this one does not change while somebody moves a slider."""
    return detect_hardware(name, host_memory_gib=host_memory_gib or None)


def _with(options: tuple[tuple[str, str], ...], chosen: str) -> list[tuple[str, str]]:
    return [*options, *([] if chosen in {value for _, value in options} else [(chosen, chosen)])]
