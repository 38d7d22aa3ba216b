"""HTML of the explorer for one plan: verdict, memory, speed, command, and why."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.plan.types import Plan
from seatrial.units import format_gib
from seatrial.view.chart.svg import to_svg
from seatrial.view.plots.gpu_memory import gpu_memory_chart
from seatrial.view.tables.badges import ORIGIN_BADGES, VERDICT_BADGES
from seatrial.view.tables.commands import placeholders_note
from seatrial.view.tables.plans import VERDICTS, chat_line, condition, spread, table_plan_speed
from seatrial.view.template import load_template, trusted

_PACKAGE = "seatrial.view.notebook"
_WIDTH = 900


def plan_html(plan: Plan, command: str) -> str:
    """Return everything about a plan, with every text escaped.

    Args:
        plan: What was decided.
        command: Its command as one types it; empty if the plan does not run.

    """
    verdict = VERDICTS[plan.verdict]
    if plan.shortfall_bytes:
        verdict = f"{verdict}: {format_gib(plan.shortfall_bytes)} too little"
    picture = to_svg(gpu_memory_chart(plan), width=_WIDTH, height=100)
    return _render(
        plan=plan,
        verdict=VERDICT_BADGES[plan.verdict],
        headline=verdict[:1].upper() + verdict[1:],
        what=f"{plan.checkpoint} with {plan.engine} on {plan.hardware.times(plan.nodes)}{spread(plan)}{condition(plan)}",
        picture=trusted(picture),
        speed=table_plan_speed(plan) if plan.prediction else None,
        command=command,
        placeholders=placeholders_note(plan.nodes),
        chat=chat_line(plan.chat) if plan.chat else "",
    )


def error_html(error: SeatrialError) -> str:
    """Return what cannot be planned, and what to do about it."""
    return _render(error=error)


def _render(*, error: SeatrialError | None = None, **values: Any) -> str:
    style = files(_PACKAGE).joinpath("explorer.css").read_text(encoding="utf-8")
    template = load_template(_PACKAGE, "explorer.html.j2")
    return template.render(
        style=trusted(style),
        badges=ORIGIN_BADGES,
        error=error,
        **values,
    )
