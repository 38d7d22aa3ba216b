"""A card to share: machine, model, tokens per second and TTFT, as one SVG picture or one small page, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from seatrial import __version__
from seatrial.units import format_rate, format_seconds
from seatrial.view.chart.axis import shorten, wrap
from seatrial.view.chart.svg_shapes import escaped
from seatrial.view.report.find import Head
from seatrial.view.tables.measurements import describe_load

WIDTH, HEIGHT = 640, 336
_EDGE = 36
_MODEL, _SMALL = 27, 16
CARD_STYLE = (
    ".st-card{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif}"
    ".st-card .sc-back{fill:#ffffff;stroke:#dfe3e8}.st-card .sc-bar{fill:#0072b2}.st-card .sc-ink{fill:#1f2328}"
    ".st-card .sc-muted{fill:#57606a;font-size:16px}.st-card .sc-kicker{fill:#0072b2;font-size:14px;font-weight:650;letter-spacing:.06em}"
    ".st-card .sc-model{font-size:27px;font-weight:650}.st-card .sc-figure{font-size:42px;font-weight:700}"
    ".st-card .sc-second{font-size:24px;font-weight:650}.st-card .sc-doubt{fill:#8a3406;font-size:16px;font-weight:650}"
    "@media (prefers-color-scheme:dark){.st-card .sc-back{fill:#171b21;stroke:#2c333c}.st-card .sc-ink{fill:#e6e9ed}"
    ".st-card .sc-muted{fill:#9ea7b3}.st-card .sc-kicker{fill:#5bb0e6}.st-card .sc-bar{fill:#5bb0e6}.st-card .sc-doubt{fill:#ff9a5c}}"
)
CARD_PAGE_STYLE = (
    ":root{color-scheme:light dark}body{margin:0;padding:24px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue','DejaVu Sans',sans-serif;background:#f6f7f9;color:#1f2328}"
    "article{max-width:620px;box-sizing:border-box;padding:28px 34px;border:1px solid #dfe3e8;border-top:5px solid #0072b2;"
    "border-radius:14px;background:#fff;overflow-wrap:anywhere}p{margin:4px 0}"
    ".kicker{color:#0072b2;font-size:14px;font-weight:650;letter-spacing:.06em}h1{margin:6px 0;font-size:27px;line-height:1.2}"
    "dl{display:flex;flex-wrap:wrap;gap:8px 30px;margin:22px 0}dd{margin:0;font-size:25px;font-weight:650;line-height:1.2}"
    "div{display:flex;flex-direction:column-reverse;justify-content:flex-start}div:first-child dd{font-size:40px;font-weight:700}"
    "dt,.muted{color:#57606a}.doubt{color:#8a3406;font-weight:650}"
    "@media (prefers-color-scheme:dark){body{background:#0e1116;color:#e6e9ed}article{background:#171b21;border-color:#2c333c;"
    "border-top-color:#5bb0e6}.kicker{color:#5bb0e6}dt,.muted{color:#9ea7b3}.doubt{color:#ff9a5c}}"
)
SVG_BEGINNING = f'<svg xmlns="http://www.w3.org/2000/svg" class="st-card" viewBox="0 0 {WIDTH} {HEIGHT}"'
"""First bytes of every card: the mark by which a later one knows that it may take its place."""


@dataclass(frozen=True, slots=True)
class Card:
    """Texts of a card."""

    model: str
    machine: str
    rate: str
    load: str
    ttft: str
    tpot: str
    doubts: tuple[str, ...]
    foot: str

    @property
    def words(self) -> str:
        """Everything on it, for screen readers."""
        doubts = "; ".join(self.doubts)
        return (
            f"{self.model} on {self.machine}: {self.rate} at {self.load}, TTFT {self.ttft}, TPOT {self.tpot}. {doubts}"
        )


def card_of(heads: Sequence[Head]) -> Card | None:
    """Return the card of the fastest run, real and valid ones first; None if nothing was measured."""
    measured = [head for head in heads if head.best is not None]
    if not measured:
        return None
    head = max(measured, key=_order)
    best = head.best
    if best is None:
        return None
    ttft = best.ttft_s if best.concurrency is not None else best.ttft_from_schedule_s
    doubts = {
        "SIMULATED: no model answered": head.kind == "simulated",
        "A stand-in, not DeepSeek V4": head.kind == "stand-in",
        "NOT VALID: not the server's own times": not best.self_check.valid,
        "PARTIAL: stopped before its end": best.partial,
    }
    return Card(
        model=head.model.rstrip("/").rpartition("/")[2],
        machine=" · ".join(filter(None, (head.machine or "an unrecorded machine", head.engine))),
        rate=format_rate(best.output_tokens_per_s),
        load=describe_load(best),
        ttft=format_seconds(ttft.p50) if ttft else "unknown",
        tpot=format_seconds(best.tpot_s.p50) if best.tpot_s else "unknown",
        doubts=tuple(text for text, holds in doubts.items() if holds),
        foot=" · ".join(
            filter(None, (f"seatrial {__version__}", _day(head.started_at), f"{best.requests.succeeded} requests"))
        ),
    )


def _order(head: Head) -> tuple[bool, bool, float]:
    best = head.best
    rate = (best and best.output_tokens_per_s) or 0.0
    return head.kind != "simulated", best is not None and best.self_check.valid, rate


def _day(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).date().isoformat()
    except ValueError:
        return ""


def card_svg(card: Card, *, style: bool = True) -> str:
    """Return the card as a picture of its own; without its style if the page has ``CARD_STYLE``."""
    drawn = [
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="14" class="sc-back"/>',
        f'<rect x="{_EDGE}" y="{_EDGE - 6}" width="44" height="4" rx="2" class="sc-bar"/>',
        _text(_EDGE, 58, "SEA TRIAL", "sc-kicker"),
    ]
    y = 94
    for line in wrap(card.model, WIDTH - 2 * _EDGE, _MODEL, bold=True, lines=2):
        drawn.append(_text(_EDGE, y, line, "sc-ink sc-model"))
        y += 32
    drawn.append(_text(_EDGE, y - 4, shorten(card.machine, WIDTH - 2 * _EDGE, _SMALL), "sc-muted"))
    drawn += [
        _text(_EDGE, 226, card.rate, "sc-ink sc-figure"),
        _text(_EDGE, 252, f"at {card.load}", "sc-muted"),
        _text(376, 226, card.ttft, "sc-ink sc-second"),
        _text(376, 252, "TTFT p50", "sc-muted"),
        _text(496, 226, card.tpot, "sc-ink sc-second"),
        _text(496, 252, "TPOT p50", "sc-muted"),
    ]
    if card.doubts:
        drawn.append(
            _text(_EDGE, 284, shorten(" · ".join(card.doubts), WIDTH - 2 * _EDGE, _SMALL, bold=True), "sc-doubt")
        )
    drawn.append(_text(_EDGE, 312, card.foot, "sc-muted"))
    sheet = f"<style>{CARD_STYLE}</style>" if style else ""
    name = f'role="img" aria-label="{escaped(card.words)}"'
    return f'{SVG_BEGINNING} width="{WIDTH}" height="{HEIGHT}" {name}>{sheet}{"".join(drawn)}</svg>'


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escaped(text)}</text>'
