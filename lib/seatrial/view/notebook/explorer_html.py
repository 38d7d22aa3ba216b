"""What the explorer shows for one plan, as HTML: verdict, memory, speed, command, and why."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files

from seatrial.errors import SeatrialError
from seatrial.plan.types import Plan
from seatrial.records import Reason
from seatrial.units import format_gib
from seatrial.view.chart.svg import to_svg
from seatrial.view.plots.gpu_memory import gpu_memory_chart
from seatrial.view.tables.badges import VERDICT_BADGES, origin_badge
from seatrial.view.tables.commands import placeholders_note
from seatrial.view.tables.plans import VERDICTS, chat_line, condition, spread, table_plan_speed
from seatrial.view.untrusted import plain_text

_WIDTH = 900


def plan_html(plan: Plan, command: str) -> str:
    """Everything about a plan; every text escaped.

    Args:
        plan: What was decided.
        command: Its command as one types it; empty where it does not run.

    """
    picture = to_svg(gpu_memory_chart(plan), width=_WIDTH, height=100)
    why = f"<h4>Why</h4><ul>{''.join(map(_reason, plan.reasons))}</ul>"
    return _page(_verdict(plan) + picture + _speed(plan) + _command(plan, command) + why)


def error_html(error: SeatrialError) -> str:
    """What cannot be planned, and what to do about it."""
    text = f"<b>! No plan</b><br>{_safe(error.what)}<p>{_safe(error.remedy)}</p>"
    return _page(f'<div class="st-verdict" role="status" style="border-color:#C44E00">{text}</div>')


def _page(inner: str) -> str:
    return f'<style>{_style()}</style><div class="st-page">{inner}</div>'


@cache
def _style() -> str:
    return files("seatrial.view.notebook").joinpath("explorer.css").read_text(encoding="utf-8")


def _verdict(plan: Plan) -> str:
    badge = VERDICT_BADGES[plan.verdict]
    text = VERDICTS[plan.verdict]
    if plan.shortfall_bytes:
        text = f"{text}: {format_gib(plan.shortfall_bytes)} too little"
    what = f"{plan.checkpoint} with {plan.engine} on {plan.hardware.times(plan.nodes)}{spread(plan)}{condition(plan)}"
    change = f"<p><strong>{_safe(plan.smallest_change)}</strong></p>" if plan.smallest_change else ""
    return (
        f'<div class="st-verdict" role="status" style="border-color:{badge.color}">'
        f'<b style="color:{badge.color}">{badge.sign} {_safe(text[:1].upper() + text[1:])}</b>'
        f"<br><small>{_safe(what)}</small>{change}</div>"
    )


def _speed(plan: Plan) -> str:
    if plan.prediction is None:
        return ""
    table = table_plan_speed(plan)
    head = "".join(f'<th class="n">{_safe(name.rstrip(">"))}</th>' for name in table.columns[1:])
    rows = "".join(f"<tr><td>{_safe(name)}</td>{''.join(map(_number, cells))}</tr>" for name, *cells in table.rows)
    title = f"<h4>{_safe(table.title)} {origin_badge('derived')}</h4>"
    return f"{title}<table><tr><th></th>{head}</tr>{rows}</table><p><small>{_safe(table.note)}</small></p>"


def _number(cell: str) -> str:
    return f'<td class="n">{_safe(cell)}</td>'


def _command(plan: Plan, command: str) -> str:
    """The command, what is filled in later, what it is taken from, and how to chat with it."""
    if not command:
        return ""
    parts = [
        f"<h4>Command{' of each machine' if plan.nodes > 1 else ''}</h4><pre>{html.escape(plain_text(command))}</pre>"
    ]
    parts.append(f"<p><small>{_safe(placeholders_note(plan.nodes))}</small></p>")
    if plan.recipe and plan.recipe.differences:
        differences = "".join(f"<li>- {_safe(text)}</li>" for text in plan.recipe.differences)
        parts.append(f"<p>Nearest recipe: {_safe(plan.recipe.cell)}. It differs:</p><ul>{differences}</ul>")
    if plan.chat:
        parts.append(f"<p>{_safe(chat_line(plan.chat))}</p>")
    return "".join(parts)


def _reason(reason: Reason) -> str:
    return f"<li>{origin_badge(reason.origin)} {_safe(reason.text)} <small>({_safe(reason.source)})</small></li>"


def _safe(text: str) -> str:
    return html.escape(plain_text(text, 4000))
