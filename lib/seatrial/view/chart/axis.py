"""Axes with round ticks, linear or logarithmic, and the width of texts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_FEW = 8
_BOLD = 1.17
_NARROW = frozenset("fijlrtI.,:;|!'`()[]{}/\\ -")
_WIDE = frozenset("mwMW@%&GOQ")


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from values to the stretch 0 to 1, with ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of ``value``: 0 at the low end and below, 1 at the high end and above."""
        if self.log:
            place = math.log(value / self.low) / math.log(self.high / self.low) if value > 0 else 0.0
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(max(place, 0.0), 1.0)

    def tick_label(self, tick: float) -> str:
        """Return a tick with as many digits as neighbouring ticks need to differ."""
        if self.log or not self.ticks[1:]:
            return f"{tick:,.12g}"
        step = self.ticks[1] - self.ticks[0]
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        if round(step * 10**places, 6) % 1:
            places += 1
        return f"{tick:,.{places}f}"


def linear_axis(values: Iterable[float], *, wanted: int = 5, zero: bool = True, snug: bool = False) -> Axis:
    """Return an axis over ``values`` with about ``wanted`` round ticks.

    Args:
        values: Values that must lie on it.
        wanted: Number of ticks to aim at.
        zero: True to include 0, without which lengths and rates cannot be compared.
        snug: True to end at the last value instead of a tick (time).

    """
    seen = list(values)
    low, high = min(seen, default=0.0), max(seen, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1.0):
        high = low + max(abs(low), 1.0)
    raw = (high - low) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.floor(high / step + 1e-9) if snug else math.ceil(high / step - 1e-9)
    ticks = tuple(float(f"{index * step:.12g}") for index in range(first, last + 1))
    return Axis(
        low if snug else ticks[0], high if snug else ticks[-1], tuple(tick for tick in ticks if tick >= low or not snug)
    )


def log_axis(values: Iterable[float], ticks: tuple[float, ...] = ()) -> Axis:
    """Return a logarithmic axis; few distinct values (1, 2, 4, 8 streams) are the ticks, unless others are given."""
    seen = sorted({value for value in (*values, *ticks) if value > 0})
    if not seen:
        return Axis(1.0, 10.0, (1.0, 10.0), log=True)
    low, high = seen[0], seen[-1]
    if ticks or len(seen) <= _FEW:
        margin = (high / low) ** 0.04 if high > low else 2.0
        return Axis(low / margin, high * margin, ticks or tuple(seen), log=True)
    return decade_axis(low, high)


def decade_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis with ticks at 1, 2 and 5 of each power of ten, fewer if they crowd."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    start = max((tick for tick in fine if tick <= low * (1 + 1e-9)), default=low)
    end = min((tick for tick in fine if tick >= high * (1 - 1e-9)), default=high)
    if end <= start:
        end = start * 10
    ticks = [tick for tick in fine if start <= tick <= end]
    if len(ticks) > _FEW:
        decades = [10.0**power for power in powers if start <= 10.0**power <= end]
        ticks = decades[:: max(1, math.ceil(len(decades) / _FEW))]
    return Axis(start, end, tuple(float(f"{tick:.12g}") for tick in ticks), log=True)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of ``text`` in pixels at font size ``size``, a little generous because fonts differ."""
    units = sum(_sign_width(sign) for sign in text)
    return units * size * (_BOLD if bold else 1.0)


def wrap(text: str, width: float, size: float, *, bold: bool = False, lines: int = 3) -> list[str]:
    """Return ``text`` in at most ``lines`` lines of ``width`` pixels, the last cut with an ellipsis."""
    done: list[str] = []
    current = ""
    for word in text.split():
        longer = f"{current} {word}".strip()
        if current and text_width(longer, size, bold=bold) > width:
            done.append(current)
            current = word
        else:
            current = longer
    done += [current] if current else []
    if len(done) > lines:
        done = [*done[: lines - 1], " ".join(done[lines - 1 :])]
    return [shorten(line, width, size, bold=bold) for line in done]


def shorten(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return ``text`` cut with an ellipsis so that it takes at most ``width`` pixels."""
    if text_width(text, size, bold=bold) <= width:
        return text
    free, kept = width - size, 0
    total = 0.0
    for sign in text:
        total += _sign_width(sign) * size * (_BOLD if bold else 1.0)
        if total > free:
            break
        kept += 1
    return f"{text[:kept].rstrip()}…"


def _sign_width(sign: str) -> float:
    if sign in _NARROW:
        return 0.36
    if sign > "\u2e7f":  # CJK and emoji are full width
        return 1.0
    return 0.88 if sign in _WIDE else 0.68 if sign.isupper() else 0.6
