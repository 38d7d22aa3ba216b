"""One page that shows a run, or compares several: readable offline, without JavaScript, on paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from seatrial import __version__
from seatrial.measure.types import Measurement
from seatrial.records import REPORT
from seatrial.units import counted
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.svg import to_svg
from seatrial.view.chart.svg_shapes import DARK_VARIABLES, STYLE
from seatrial.view.plots.fronts import front_chart
from seatrial.view.plots.measurements import throughput_chart, ttft_chart
from seatrial.view.report.card import CARD_PAGE_STYLE, CARD_STYLE, SVG_BEGINNING, Card, card_of, card_svg
from seatrial.view.report.compared import Compared, read_runs
from seatrial.view.report.comparison import (
    SHOWN,
    answers_table,
    cost_table,
    levels_table,
    predictions_table,
)
from seatrial.view.report.content import banners, describe_run
from seatrial.view.report.differences import differences, table_differences
from seatrial.view.report.files import CSV, JSON, begins_with, csv_text, json_text
from seatrial.view.report.run_record import RunRecord
from seatrial.view.template import load_template, trusted
from seatrial.writing import Ours, check_target, write_text

_PACKAGE = "seatrial.view.report"
_BEGINNING = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="seatrial">
"""
"""First bytes of every report: the mark by which a later one knows that it may take its place."""
_MOST_BYTES = 300_000
"""Of a page: what a chat or a bug tracker still shows."""
_LEVELS = 60
"""Load levels of a run in a plot, and of all in a table."""
_PAGE = begins_with(_BEGINNING)
_BESIDE: Mapping[str, Ours] = {
    "-levels.csv": CSV,
    "-levels.json": JSON,
    "-card.svg": begins_with(SVG_BEGINNING),
    "-card.html": _PAGE,
}
"""Files beside a page, by what follows its name."""


def write_report(names: Sequence[Path | str], output: Path | str, prices: Sequence[float] = ()) -> Path:
    """Write the page of one or several runs, its figures as CSV and JSON, and a card to share, beside one another.

    Args:
        names: Records, folders of runs, and patterns.
        output: File to write, or a folder that gets ``report.html``.
        prices: Dollars an hour of the machines: one for all, or one for each run.

    Returns:
        The page.

    Raises:
        UsageError: If no run was named, one is not a run, the page cannot be written, or something other than a report
            is in its place.

    """
    return write_compared(read_runs(names, prices), output)


def write_compared(compared: Compared, output: Path | str) -> Path:
    """Write the page of runs that were read, and the files beside it; return the page."""
    target = Path(output)
    if target.is_dir():
        target /= REPORT
    check_report(target)
    levels = compared.levels()
    card = card_of(compared.heads)
    beside = {"-levels.csv": csv_text(levels), "-levels.json": json_text(compared.documents)}
    if card is not None:
        beside |= {"-card.svg": card_svg(card), "-card.html": _card_page(card)}
    links = {ending: _beside(target, ending).name for ending in beside}
    write_text(target, _page(compared, links), ours=_PAGE)
    for ending, text in beside.items():
        write_text(_beside(target, ending), text, ours=_BESIDE[ending])
    return target


def check_report(target: Path) -> None:
    """Refuse a place of a report, or of a file beside it, that has something else in it.

    Raises:
        UsageError: If there is a link, a folder, a device or a file that is no report.

    """
    check_target(target, _PAGE)
    for ending, ours in _BESIDE.items():
        check_target(_beside(target, ending), ours)


def _beside(page: Path, ending: str) -> Path:
    return page.with_name(f"{page.name.removesuffix('.html')}{ending}")


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of everything a page has room for."""

    details: int  # runs with their folded details
    rows: int  # of one table
    letters: int  # of one cell or banner
    over_time: bool = True  # charts over time


_ROOMS = (_Room(SHOWN, 200, 600), _Room(SHOWN // 2, 60, 300), _Room(1, 40, 200), _Room(0, SHOWN, 80, over_time=False))
"""The most first; a page takes the first with which it is small enough."""


def _page(compared: Compared, links: Mapping[str, str]) -> str:
    """Return the page, with as many details as keep it small."""
    text = ""
    for room in _ROOMS:
        text = _render(room, links, _several(compared, room) if len(compared.heads) > 1 else _one(compared, room))
        if len(text.encode()) <= _MOST_BYTES:
            break
    return text


def _render(room: _Room, links: Mapping[str, str], content: Mapping[str, Any]) -> str:
    """Return the page as one HTML document: no script, nothing loaded from anywhere."""
    sheet = files(_PACKAGE).joinpath("report.css").read_text(encoding="utf-8")
    style = sheet.replace("/*DARK*/", DARK_VARIABLES) + STYLE + CARD_STYLE
    page = load_template(_PACKAGE, "report.html.j2").render(
        style=trusted(style), style_hash=_hash(style), links=links, room=room, version=__version__, counted=counted,
        shown_rows=SHOWN, svg=_svg, trusted=trusted, **content,
    )  # fmt: skip
    return page.lstrip()  # the macros before it leave empty lines


def _one(compared: Compared, room: _Room) -> dict[str, Any]:
    """Return what the page of one run shows."""
    run = _drawable(compared.runs[0]) if not room.over_time else compared.runs[0]
    described = describe_run(run, compared.prices[0])
    if not room.over_time:
        described["charts"] = described["charts"][:2]
    return {"title": described["headline"], "run": described, "several": None, "count": 1}


def _several(compared: Compared, room: _Room) -> dict[str, Any]:
    """Return what the page of a comparison shows."""
    names, runs = compared.shown_names, [_drawable(run) for run in compared.runs]
    measured = {name: _measured_only(run.measurement) for name, run in zip(names, runs, strict=True) if run.measurement}
    gpus = {name: _gpus(run) for name, run in zip(names, runs, strict=True)}
    levels = compared.levels(compared.shown)
    found = differences(runs)
    card = card_of(compared.heads)
    return {
        "title": compared.finding,
        "run": None,
        "count": len(compared.heads),
        "several": {
            "banners": [*_banners(names, runs), *_unread(compared)],
            "front": front_chart(measured, gpus, _front_title(measured)) if measured else None,
            "charts": [throughput_chart(measured), ttft_chart(measured)] if measured else [],
            "table": compared.table(),
            "rest": compared.table(others=True) if len(compared.heads) > len(runs) else None,
            "different": table_differences(found, names),
            "predicted": predictions_table(runs, names),
            "answers": answers_table(levels),
            "cost": cost_table(levels),
            "priced": any(price is not None for price in compared.prices),
            "levels": levels_table(levels, _LEVELS),
            "unmeasured": [name for name in names if name not in measured],
            "details": [(name, describe_run(run)) for name, run in zip(names[: room.details], runs, strict=False)],
            "card": card_svg(card, style=False) if card else None,
        },
    }


def _measured_only(result: Measurement) -> Measurement:
    """Return a measurement without its predictions, which would bury the lines of several runs."""
    return replace(result, points=tuple(replace(point, predicted_tokens_per_s=None) for point in result.points))


def _front_title(measured: Mapping[str, Measurement]) -> str:
    return f"What each user gets against what the machine gives, {counted(len(measured), 'run')}"


def _banners(names: Sequence[str], runs: Sequence[RunRecord]) -> Iterator[tuple[str, str, bool]]:
    """Yield what must be known of the runs before reading on, each once with the runs it holds for."""
    said: dict[tuple[str, str, bool], list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for banner in banners(run):
            said.setdefault(banner, []).append(name)
    for (head, text, bad), whose in list(said.items())[:SHOWN]:
        yield f"{', '.join(whose)}: {head}", text, bad


def _unread(compared: Compared) -> list[tuple[str, str, bool]]:
    if not compared.unread:
        return []
    return [(f"{counted(len(compared.unread), 'record')} could not be read.", " ".join(compared.unread[:3]), True)]


def _gpus(run: RunRecord) -> int | None:
    """Return the GPUs that a run used, None if there are none or their number is not known."""
    return (run.plan.ranks if run.plan else len(run.hardware.gpus) if run.hardware else 0) or None


def _drawable(run: RunRecord) -> RunRecord:
    """Return a run with at most as many load levels as a plot can show."""
    result = run.measurement
    if result is None or len(result.points) <= _LEVELS:
        return run
    return replace(run, measurement=replace(result, points=result.points[:_LEVELS]))


def _card_page(card: Card) -> str:
    """Return the card as a small page of its own."""
    return (
        load_template(_PACKAGE, "card.html.j2")
        .render(card=card, style=trusted(CARD_PAGE_STYLE), style_hash=_hash(CARD_PAGE_STYLE))
        .lstrip()
    )


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _svg(chart: Chart, width: int, name: str) -> str:
    """Return a chart in the page's colours; ``name`` begins its ids, which are unique on the page."""
    return trusted(to_svg(chart, width=width, height=360, style=False, name=name))
