"""Change machine, model, context and load, and see at once whether it runs, what fills the memory, and the command."""

from __future__ import annotations

import html
from typing import Any

from seatrial.catalog import models
from seatrial.engines import build_command
from seatrial.errors import SeatrialError
from seatrial.hardware import accelerators, detect_hardware
from seatrial.plan import Plan, make_plan
from seatrial.view.command_text import command_text
from seatrial.view.live import is_headless
from seatrial.view.memory_bars import memory_chart
from seatrial.view.plan_tables import table_plan_memory, verdict_line
from seatrial.view.plotly_chart import show_chart
from seatrial.view.svg import to_svg
from seatrial.view.table import Table
from seatrial.view.untrusted import plain_text

_COUNTS = (1, 2, 4, 8)
_CONTEXTS = tuple(1 << power for power in range(11, 21))
_LOADS = tuple(1 << power for power in range(9))


def plan_explorer(
    hardware: str = "auto", model: str = "flash", *, context_tokens: int = 8192, concurrency: int = 1
) -> PlanExplorer:
    """Controls for a plan, set to these values; without a front end the plan for them.

    Args:
        hardware: ``auto`` for this machine, or a named one such as ``h200x4``.
        model: ``flash`` or ``pro``.
        context_tokens: Context of each request.
        concurrency: Requests at once.

    Raises:
        UnknownNameError: No such machine or model.
        UsageError: A number no machine has.

    """
    return PlanExplorer(hardware, model, context_tokens=context_tokens, concurrency=concurrency)


class PlanExplorer:
    """The plan for what the controls show.

    Attributes:
        plan: The plan; follows the controls, and stays where they hold something unknown.

    """

    def __init__(self, hardware: str, model: str, *, context_tokens: int, concurrency: int) -> None:
        self.plan = _plan(hardware, model, context_tokens, concurrency)
        self._controls: dict[str, Any] = {}
        self._shown: dict[str, Any] = {}
        if not is_headless():
            self._build(hardware, model, context_tokens, concurrency)
            self._show()

    def to_table(self) -> Table:
        """Verdict, memory and command as text."""
        memory = table_plan_memory(self.plan)
        note = "\n".join(filter(None, [memory.title, self.plan.smallest_change or "", command_of(self.plan)]))
        return Table(verdict_line(self.plan), memory.columns, memory.rows, note)

    def _build(self, hardware: str, model: str, context_tokens: int, concurrency: int) -> None:
        import ipywidgets  # noqa: PLC0415 -- heavy, notebooks only

        wide: dict[str, Any] = {"style": {"description_width": "130px"}, "layout": {"width": "460px"}}
        self._controls = {
            "hardware": ipywidgets.Combobox(
                value=hardware, options=_machines(), description="Machine", continuous_update=False,
                placeholder="h200x4", **wide
            ),
            "model": ipywidgets.Dropdown(
                value=model, options=sorted({model, *(one.id for one in models() if one.role == "official")}),
                description="Model", **wide
            ),
            "context_tokens": ipywidgets.SelectionSlider(
                value=context_tokens, options=_steps(_CONTEXTS, context_tokens), description="Context (tokens)", **wide
            ),
            "concurrency": ipywidgets.SelectionSlider(
                value=concurrency, options=_steps(_LOADS, concurrency), description="Requests at once", **wide
            ),
        }  # fmt: skip
        self._shown = {
            "verdict": ipywidgets.HTML(),
            "memory": ipywidgets.Image(format="svg+xml", layout={"max_width": "760px"}),
            "command": ipywidgets.HTML(),
        }
        for name, widget in (*self._controls.items(), *self._shown.items()):
            widget.add_class(f"seatrial-{name.replace('_', '-')}")
        for control in self._controls.values():
            control.observe(lambda _: self._changed(), names="value")

    def _changed(self) -> None:
        try:
            self.plan = _plan(*(control.value for control in self._controls.values()))
        except SeatrialError as error:
            self._shown["verdict"].value = _paragraph(f"{error.what} {error.remedy}")
            return
        self._show()

    def _show(self) -> None:
        plan = self.plan
        change = _paragraph(plan.smallest_change) if plan.smallest_change else ""
        self._shown["verdict"].value = f"<b>{_paragraph(verdict_line(plan))}</b>{change}"
        # An image, not markup: whatever stands in it, a browser runs none of it.
        self._shown["memory"].value = to_svg(memory_chart(plan), height=240).encode()
        self._shown[
            "command"
        ].value = f'<pre style="white-space:pre-wrap">{html.escape(plain_text(command_of(plan)))}</pre>'

    def _ipython_display_(self) -> None:
        from IPython.display import display  # noqa: PLC0415 -- heavy, notebooks only

        if not self._controls:
            display(self.to_table())  # type: ignore[no-untyped-call]
            show_chart(memory_chart(self.plan))
            return
        import ipywidgets  # noqa: PLC0415 -- heavy, notebooks only

        display(ipywidgets.VBox([*self._controls.values(), *self._shown.values()]))  # type: ignore[no-untyped-call]


def command_of(plan: Plan) -> str:
    """The command of a plan as one types it; empty where it does not run."""
    if not plan.runs:
        return ""
    command = build_command(plan)
    return command_text(command.argv, command.env)


def _plan(hardware: str, model: str, context_tokens: int, concurrency: int) -> Plan:
    return make_plan(model, hardware=detect_hardware(hardware), context_tokens=context_tokens, concurrency=concurrency)


def _machines() -> list[str]:
    """Names to choose from; any other valid name can be typed."""
    named = ["auto", "cpu"]
    for one in accelerators().values():
        if one.unified_memory and one.memory_options_gb:
            named += [f"{one.key}-{size}gb" for size in one.memory_options_gb]
        elif one.memory_gb is not None:  # a chip that was never released has none
            named += [f"{one.key}x{count}" for count in _COUNTS if count <= one.gpus_per_node_max]
    return named


def _steps(usual: tuple[int, ...], given: int) -> list[tuple[str, int]]:
    return [(f"{value:,}", value) for value in sorted({*usual, given})]


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(plain_text(text, 1000))}</p>"
