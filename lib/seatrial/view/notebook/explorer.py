"""Controls for machine, checkpoint, context and load that show at once if it runs, what fills the memory, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from seatrial.engines import build_command
from seatrial.errors import SeatrialError
from seatrial.given import text, whole
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
    """Values of all controls."""

    hardware: str  # name of a machine
    nodes: int
    host_memory_gib: int  # of each machine; 0 for the size that is known
    model: str
    checkpoint: str  # id, or auto
    engine: str  # id, or auto
    context_tokens: int  # of each request
    concurrency: int
    objective: Objective

    def plan(self) -> Plan:
        """Make the plan.

        Raises:
            SeatrialError: If the values contradict one another, or no machine has them.

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


def plan_explorer(  # noqa: PLR0913 -- a person's choices, one for each control
    hardware: str = AUTO,
    model: str = "flash",
    *,
    context_tokens: int = 8192,
    concurrency: int = 1,
    engine: str = AUTO,
    objective: Objective = "balanced",
) -> PlanExplorer:
    """Return controls for a plan, set to these values; without a front end, the plan for them.

    Args:
        hardware: ``auto`` for this machine, or a named one such as ``h200x4``.
        model: ``flash`` or ``pro``.
        context_tokens: Context of each request.
        concurrency: Requests at once.
        engine: ``auto``, or an engine id.
        objective: ``latency``, ``balanced`` or ``throughput``.

    Raises:
        UnknownNameError: If there is no such machine, model, engine or objective.
        UsageError: If no machine has such a number.

    """
    hardware, context_tokens = text("hardware", hardware), whole("context_tokens", context_tokens)
    return PlanExplorer(ExplorerChoice(hardware, 1, 0, model, AUTO, engine, context_tokens, concurrency, objective))


class PlanExplorer:
    """A plan that follows its controls.

    Attributes:
        plan: The latest plan; stays if the controls ask for something that cannot be planned.

    """

    def __init__(self, choice: ExplorerChoice) -> None:
        self.plan = choice.plan()
        self._machines = choices.machines()
        self._controls: dict[str, Any] = {}
        self._page: Any = None
        self._settling = False
        if not is_headless():
            self._build(choice)
            self._settle()
            self._show()

    def to_table(self) -> Table:
        """Return verdict, memory and command as text."""
        memory = table_plan_memory(self.plan)
        note = "\n".join(filter(None, [memory.title, self.plan.smallest_change or "", command_of(self.plan)]))
        return Table(verdict_line(self.plan), memory.columns, memory.rows, note)

    def _build(self, choice: ExplorerChoice) -> None:
        import ipywidgets

        machine, gpus = choices.find_choice(self.plan.hardware, choice.hardware)
        self._machines.setdefault(machine.key, machine)
        listed = [(one.label, one.key) for one in self._machines.values()]
        wide: dict[str, Any] = {"style": {"description_width": "120px"}, "layout": {"width": "98%"}}
        pick, slide = ipywidgets.Dropdown, ipywidgets.SelectionSlider
        contexts = choices.steps(choices.CONTEXTS, choice.context_tokens)
        loads = choices.steps(choices.LOADS, choice.concurrency)
        controls = {
            "machine": ("Machine", pick, machine.key, listed),
            "model": ("Model", pick, choice.model, choices.model_options(choice.model)),
            "gpus": ("GPUs", slide, gpus, machine.counts(gpus)),
            "checkpoint": ("Checkpoint", pick, choice.checkpoint, choices.checkpoint_options(choice.model)),
            "nodes": ("Machines", slide, choice.nodes, choices.steps(choices.NODES)),
            "engine": ("Engine", pick, choice.engine, choices.engine_options(choice.engine)),
            "host_memory_gib": ("Host memory", slide, choice.host_memory_gib, choices.host_options()),
            "objective": ("Best at", pick, choice.objective, OBJECTIVES),
            "context_tokens": ("Context (tokens)", slide, choice.context_tokens, contexts),
            "concurrency": ("Requests at once", slide, choice.concurrency, loads),
        }
        self._controls = {
            name: kind(description=label, value=value, options=options, **wide)
            for name, (label, kind, value, options) in controls.items()
        }
        self._page = ipywidgets.HTML(layout={"width": "98%"})
        self._page.add_class("seatrial-page")
        for name, control in self._controls.items():
            control.add_class(f"seatrial-{name.replace('_', '-')}")
            control.observe(self._changed, names="value")

    def _changed(self, change: dict[str, Any]) -> None:
        if self._settling:  # a person's change of one control may set others
            return
        if change["owner"] is self._controls["model"]:
            self._quietly("checkpoint", choices.checkpoint_options(change["new"]))
        self._settle()
        try:
            self.plan = self._choice().plan()
        except SeatrialError as error:
            self._page.value = error_html(error)
            return
        self._show()

    def _show(self) -> None:
        self._page.value = plan_html(self.plan, command_of(self.plan))

    def _settle(self) -> None:
        """Offer the numbers of GPUs and the host memory that the machine can have."""
        machine = self._machines[self._controls["machine"].value]
        self._quietly("gpus", machine.counts(self._controls["gpus"].value))
        self._controls["gpus"].disabled = not machine.most_gpus
        self._controls["host_memory_gib"].disabled = not machine.takes_host_memory

    def _quietly(self, name: str, options: list[tuple[str, Any]]) -> None:
        """Change the options of a control; its value stays if it is still offered, else the first (of GPUs the most)."""
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

    def _choice(self) -> ExplorerChoice:
        values = {name: control.value for name, control in self._controls.items()}
        machine = self._machines[values.pop("machine")]
        choice = ExplorerChoice(hardware=machine.named(values.pop("gpus")), **values)
        return choice if machine.takes_host_memory else replace(choice, host_memory_gib=0)

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
    """Return the command of a plan, of each machine if there are several; empty if the plan does not run."""
    return commands_text(build_command(plan)) if plan.runs else ""


@cache
def _machine(name: str, host_memory_gib: int) -> Hardware:
    """Detect a machine once: this one does not change while somebody moves a slider."""
    return detect_hardware(name, host_memory_gib=host_memory_gib or None)
