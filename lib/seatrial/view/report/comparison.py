"""Runs beside one another as tables: the best level of each, every level, cost, predictions, and answers checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.measure.types import Point, Quantiles
from seatrial.records import Interval
from seatrial.units import format_rate, format_seconds
from seatrial.view.report.find import Head
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.measurements import describe_load
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

SHOWN = 8
"""Runs that are drawn, and rows of a table that are not folded."""
_NOTHING = "-"
_HOUR, _MILLION, _J_PER_KWH = 3600, 1_000_000, 3_600_000
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Level:
    """One load level of a run, with what the hour of its machine costs."""

    run: str
    head: Head
    point: Point
    dollars_per_hour: float | None = None

    @property
    def dollars_per_million(self) -> float | None:
        """Dollars for a million output tokens at this load."""
        rate = self.point.output_tokens_per_s
        return None if not rate or self.dollars_per_hour is None else self.dollars_per_hour / _HOUR / rate * _MILLION

    @property
    def load(self) -> str:
        """The load in words, with what a reader must know of the figures."""
        doubts = ["partial"] if self.point.partial else []
        doubts += [] if self.point.self_check.valid else ["not valid"]
        return describe_load(self.point) + (f" ({', '.join(doubts)})" if doubts else "")


def comparison_table(runs: Sequence[tuple[str, Head, float | None]], title: str) -> Table:
    """Return a row for each run, given with its name and price: what it was, and its best load level."""
    rows = []
    for name, head, price in runs:
        best = head.best
        level = Level(name, head, best, price) if best else None
        rows.append({
            "Run": plain_text(name, _LONGEST),
            "Best load": level.load if level else _NOTHING,
            "Tokens/s>": _with_interval(best.output_tokens_per_s, best.output_tokens_per_s_interval, _rate) if best else _NOTHING,
            "TTFT p50>": _wait(best) if best else _NOTHING,
            **_extras(level),
        })  # fmt: skip
    note = "TTFT: time to first token at that load. A range: the 95 % interval of repeated runs, else the client's own error."
    return replace(_table(title, rows, note), details=tuple(_measured(head) for _, head, _ in runs), unfolded=("Run",))


def levels_table(levels: Sequence[Level], most: int) -> Table:
    """Return every load level of the runs, ``most`` at most."""
    rows = [
        {
            "Run": level.run,
            "Load": level.load,
            "Tokens/s>": _with_interval(level.point.output_tokens_per_s, level.point.output_tokens_per_s_interval, _rate),
            "TTFT p50>": _wait(level.point),
            "TTFT p90>": _seconds(_ttft(level.point), "p90"),
            "TTFT p99>": _seconds(_ttft(level.point), "p99"),
            "TPOT p50>": _with_interval(_median(level.point.tpot_s), level.point.tpot_interval_s, format_seconds),
            "Goodput>": _optional(level.point.goodput_per_s, lambda rate: format_rate(rate, "req")),
            "OK>": f"{level.point.requests.succeeded}/{level.point.requests.sent}",
            **_extras(level),
        }
        for level in levels[:most]
    ]  # fmt: skip
    note = f"{len(levels) - most:,} more are in the CSV and JSON files. " if len(levels) > most else ""
    return _table(f"{len(levels):,} load levels", rows, f"{note}Empty columns are left out.")


def predictions_table(runs: Sequence[RunRecord], names: Sequence[str]) -> Table | None:
    """Return what was predicted for each load level beside what was measured; None if nothing was predicted."""
    rows = []
    inside = 0
    for name, run in zip(names, runs, strict=True):
        for point in run.measurement.points if run.measurement else ():
            for what, predicted, measured, form in _predicted(run, point):
                inside += predicted.low <= measured <= predicted.high
                rows.append({
                    "Run": name,
                    "Load": describe_load(point),
                    "Figure": what,
                    "Predicted>": _range(predicted, form),
                    "Measured>": form(measured),
                    "Predicted / measured>": f"{predicted.expected / measured:.2f}",
                })  # fmt: skip
    title = f"{inside} of {len(rows)} measured figures lie within what was predicted"
    note = "1.00 would be exact; above 1 the prediction of a rate was too high, that of a time too long."
    return _table(title, rows, note) if rows else None


def answers_table(levels: Sequence[Level]) -> Table | None:
    """Return how many answers were right at each load level; None if none was checked."""
    checked = [level for level in levels if level.point.checked_answers]
    rows = []
    for level in checked:
        right, asked = level.point.right_answers or 0, level.point.checked_answers or 0
        share = f"{right / asked:.0%}"
        rows.append({"Run": level.run, "Load": level.load, "Right>": f"{right} of {asked}", "Share>": share})
    wrong = sum((level.point.checked_answers or 0) > (level.point.right_answers or 0) for level in checked)
    title = (
        f"Answers went wrong at {wrong} of {len(checked)} load levels" if wrong else "Every checked answer was right"
    )
    return _table(title, rows, "Questions with one right answer, sent among the load.") if rows else None


def cost_table(levels: Sequence[Level]) -> Table | None:
    """Return energy and dollars at each load level; None if neither is known."""
    rows = [
        {
            "Run": level.run,
            "Load": level.load,
            "Tokens/s>": _optional(level.point.output_tokens_per_s, _rate),
            **_extras(level, everything=False),
            "kWh a million tokens>": _optional(
                level.point.energy_per_token_j, lambda joule: f"{joule * _MILLION / _J_PER_KWH:,.3g}"
            ),
        }
        for level in levels
        if level.point.energy_per_token_j is not None or level.dollars_per_million is not None
    ]
    if not rows:
        return None
    priced = [level for level in levels if level.dollars_per_million is not None]
    sound = [level for level in priced if level.point.self_check.valid and not level.point.partial]
    cheapest = min(sound or priced, key=lambda level: level.dollars_per_million or 0.0, default=None)
    title = (
        f"A million output tokens cost {_dollars(cheapest.dollars_per_million)} at least: {cheapest.run}, {cheapest.load}"
        if cheapest
        else "Energy of the GPUs for each output token"
    )
    return _table(
        title, rows, "Dollars: the price of the machine's hour over the tokens of an hour. Energy: of the GPUs only."
    )


def _predicted(run: RunRecord, point: Point) -> Iterator[tuple[str, Interval, float, Callable[[float | None], str]]]:
    made = run.predictions.get(point.concurrency or 0)
    rate = point.predicted_tokens_per_s or (made.decode_tokens_per_s if made else None)
    if rate is not None and point.output_tokens_per_s:
        yield "tokens/s", rate, point.output_tokens_per_s, _rate
    for what, interval, seen in (
        ("TTFT p50", made.ttft_s if made else None, point.ttft_s),
        ("TPOT p50", made.tpot_s if made else None, point.tpot_s),
    ):
        if interval is not None and seen is not None and seen.p50 > 0:
            yield what, interval, seen.p50, format_seconds


def _extras(level: Level | None, *, everything: bool = True) -> Mapping[str, str]:
    point = level.point if level else None
    cost = {
        "J a token>": _optional(point.energy_per_token_j if point else None, lambda joule: f"{joule:,.3g}"),
        "$ a million tokens>": _optional(level.dollars_per_million if level else None, _dollars),
    }
    if not everything:
        return cost
    asked = point.checked_answers if point else None
    return {"Right answers>": _optional(asked, lambda count: f"{(point and point.right_answers) or 0}/{count}"), **cost}


def _dollars(value: float | None) -> str:
    return _NOTHING if value is None else f"${value:,.2f}" if value >= 0.01 else f"${value:,.2g}"  # noqa: PLR2004 -- a cent


def _measured(head: Head) -> str:
    kind = f" ({head.kind})" if head.kind else ""
    what = (
        f"{plain_text(head.model, _LONGEST)}{kind}{f' on {head.engine}' if head.engine else ''}"
        if head.model
        else "nothing"
    )
    return f"{what}, {head.machine or 'machine not recorded'}"


def _table(title: str, rows: Sequence[Mapping[str, str]], note: str) -> Table:
    """Return a table without columns in which no row has anything, and without the name of the only run."""
    runs = {row["Run"] for row in rows}
    columns = tuple(
        name for name in (rows[0] if rows else ()) if any(row[name] != _NOTHING for row in rows)
        and (name != "Run" or len(runs) > 1 or "Best load" in rows[0])
    )  # fmt: skip
    return Table(title, columns, tuple(tuple(row[name] for name in columns) for row in rows), note)


def _ttft(point: Point) -> Quantiles | None:
    """Return the waiting times; under open load they count from the moment a request was due."""
    return point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s


def _wait(point: Point) -> str:
    """Return the median TTFT with its interval, or with what the client itself may have added."""
    wait, late = _ttft(point), point.self_check.ttft_error_s
    if wait is None:
        return _NOTHING
    sooner = Interval(max(wait.p50 - late, 0.0), wait.p50, wait.p50) if late else None
    return _with_interval(wait.p50, point.ttft_interval_s or sooner, format_seconds)


def _with_interval(value: float | None, interval: Interval | None, form: Callable[[float | None], str]) -> str:
    if value is None:
        return _NOTHING
    return (
        form(value)
        if interval is None
        else f"{form(interval.expected)} ({form(interval.low)} to {form(interval.high)})"
    )


def _range(interval: Interval, form: Callable[[float | None], str]) -> str:
    return f"{form(interval.expected)} ({form(interval.low)} to {form(interval.high)})"


def _rate(value: float | None) -> str:
    return format_rate(value, "").removesuffix(" /s")


def _median(quantiles: Quantiles | None) -> float | None:
    return None if quantiles is None else quantiles.p50


def _seconds(quantiles: Quantiles | None, name: str) -> str:
    value = None if quantiles is None else getattr(quantiles, name)
    return _NOTHING if value is None else format_seconds(value)


def _optional(value: float | None, form: Callable[[float], str]) -> str:
    return _NOTHING if value is None else form(value)
