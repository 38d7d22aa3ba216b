"""Pieces of the report's page. Every text is escaped here; no other module of the report writes markup."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib.resources import files

from seatrial.view.chart.chart import Chart
from seatrial.view.chart.svg import to_svg
from seatrial.view.chart.svg_shapes import DARK_VARIABLES, STYLE
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import plain_text

_WIDE_CELL = 40


def text(value: object, limit: int = 2000) -> str:
    """``value`` as escaped text."""
    return html.escape(plain_text(value, limit))


def page(title: str, top: str, body: str, foot: str) -> str:
    """The whole document: one file, no script, nothing loaded from anywhere."""
    sheet = files("seatrial.view.report").joinpath("report.css").read_text(encoding="utf-8")
    style = sheet.replace("/*DARK*/", DARK_VARIABLES) + STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{text(title, 120)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header class="top"><div>\n{top}\n</div></header>\n<main>\n{body}\n</main>\n'
        f"<footer><div>{foot}</div></footer>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str, anchor: str = "") -> str:
    """A heading and what stands under it; says so where nothing does."""
    body = "\n".join(part for part in parts if part)
    identity = f' id="{anchor}"' if anchor else ""
    return f"<section{identity}>\n<h2>{text(heading)}</h2>\n{body or missing('Nothing was recorded.')}\n</section>"


def missing(what: str) -> str:
    """Said in place of what a run did not record."""
    return f'<p class="missing">{text(what)}</p>'


def table(shown: Table) -> str:
    """A table; where the page is narrow each row is a list, and every value has its heading beside it."""
    right = [heading.endswith(">") for heading in shown.columns]

    names, numeric = [heading.rstrip(">") for heading in shown.columns], ' class="n"'

    def cell(value: str, heading: str, *, number: bool) -> str:
        kind = numeric if number else ' class="w"' if len(value) > _WIDE_CELL else ""
        return f'<td{kind} data-name="{text(heading)}">{text(value)}</td>'

    head = "".join(
        f'<th scope="col"{numeric if number else ""}>{text(name)}</th>'
        for name, number in zip(names, right, strict=True)
    )

    def line(row: Row, detail: str) -> str:
        cells = "".join(cell(value, name, number=number) for value, name, number in zip(row, names, right, strict=True))
        below = f"<br><small>{text(detail)}</small></td>" if detail else "</td>"
        return f"<tr>{cells.replace('</td>', below, 1)}</tr>\n"

    body = "".join(line(row, detail) for row, detail in shown.detailed_rows())
    note = f'<p class="note">{text(shown.note)}</p>' if shown.note else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(shown.title, 200)}"><table>'
        f"<caption>{text(shown.title)}</caption><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>{note}"
    )


def plot(chart: Chart, name: str, *, wide: bool = False) -> str:
    """A plot in the page's colours; ``name`` is its own on the page."""
    kind = ' class="wide"' if wide else ""
    width = 520 if wide else 500  # both legible where a telephone shows them at three quarters
    return f'<figure{kind} tabindex="0">{to_svg(chart, width=width, height=360, style=False, name=name)}</figure>'


def plots(charts: list[Chart], name: str) -> str:
    """Plots side by side where there is room."""
    shown = "".join(plot(chart, f"{name}-plot-{place}") for place, chart in enumerate(charts, 1))
    return f'<div class="plots">{shown}</div>' if charts else ""


def banner(head: str, more: str, *, bad: bool = False) -> str:
    """What a reader must know before reading on."""
    return f'<p class="banner{" bad" if bad else ""}" role="note"><strong>{text(head)}</strong> {text(more)}</p>'


def tiles(figures: list[tuple[str, str, str]]) -> str:
    """The few figures that matter most: name, value, origin."""
    return (
        '<dl class="tiles">'
        + "".join(
            f'<div class="tile"><dt>{text(name)}</dt><dd class="figure">{text(value)}</dd>'
            f'<dd class="origin">{text(origin)}</dd></div>'
            for name, value, origin in figures
        )
        + "</dl>"
    )


def badge(word: str, kind: str) -> str:
    """A verdict in a pill; the word carries it, not the colour."""
    return f'<span class="badge {kind}">{text(word)}</span>'


def code(lines: str) -> str:
    """A command, to be copied."""
    return f"<pre>{text(lines, 20_000)}</pre>"


def links(targets: list[tuple[str, str]]) -> str:
    """Links inside the page: anchor and text."""
    rows = "".join(f'<li><a href="#{text(anchor)}">{text(name, 80)}</a></li>' for anchor, name in targets)
    return f'<nav aria-label="On this page"><ul>{rows}</ul></nav>'
