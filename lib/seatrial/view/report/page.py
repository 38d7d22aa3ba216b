"""One page that shows a run, or compares several: readable offline, without JavaScript, on paper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from seatrial import __version__
from seatrial.errors import UsageError
from seatrial.plan.types import Plan
from seatrial.records import REPORT, write_text
from seatrial.units import counted, format_seconds
from seatrial.view.plots import measurements
from seatrial.view.report import sections
from seatrial.view.report.parts import links, missing, page, plots, section, table, text
from seatrial.view.report.run_record import RunRecord, read_record
from seatrial.view.tables.measurements import describe_rate
from seatrial.view.tables.table import Table

_SECTIONS = (
    ("v4", "DeepSeek V4 here", sections.verdicts),
    ("measured", "Measured", sections.measured),
    ("launched", "Launched", sections.launched),
    ("origins", "Every figure", sections.origins),
    ("machine", "Machine", sections.machine),
    ("notebooks", "Notebooks", sections.notebooks),
    ("versions", "Versions", sections.versions),
)


def write_report(run_dirs: Sequence[Path | str], output: Path | str) -> Path:
    """Write the page of one or several runs.

    Args:
        run_dirs: Folders of runs (or their ``record.json``).
        output: File to write, ``report.html`` in it where it is a folder.

    Returns:
        The file.

    Raises:
        UsageError: No run was named, one is not a run, or the page cannot be written.

    """
    runs = read_runs(run_dirs)
    target = Path(output)
    if target.is_dir():
        target /= REPORT
    write_text(target, _build_page(runs))
    return target


def read_runs(run_dirs: Sequence[Path | str]) -> list[RunRecord]:
    """Read the records of runs, each once.

    Raises:
        UsageError: No run was named, or one is not a run.

    """
    paths = list(dict.fromkeys(Path(path) for path in run_dirs))
    if not paths:
        raise UsageError("No run was named.", remedy="Name folders of runs, such as runs/*.")
    return [read_record(path) for path in paths]


def _build_page(runs: Sequence[RunRecord]) -> str:
    """The page as one HTML document."""
    foot = f"Made by seatrial {__version__} from {counted(len(runs), 'run')}. Nothing on this page is loaded from elsewhere."
    if len(runs) == 1:
        run = runs[0]
        targets = [(anchor, name) for anchor, name, _ in _SECTIONS]
        top = _head("Sea trial", _headline(run), _when(run)) + sections.banners(run) + links(targets)
        return page(_headline(run), top, _body(run, ""), text(foot))
    title = f"{len(runs)} runs compared"
    targets = [("compare", "Comparison"), *((f"run-{place}", name) for place, name in enumerate(_names_of(runs), 1))]
    top = _head("Sea trials", title, _finding(runs)) + links(targets)
    articles = [
        f'<article id="run-{place}">{_head("Run", _headline(run), f"{name}. {_when(run)}", level=2)}'
        f"{sections.banners(run)}\n{_body(run, f'-{place}')}</article>"
        for place, (name, run) in enumerate(zip(_names_of(runs), runs, strict=True), 1)
    ]
    return page(title, top, "\n".join([compare(runs), *articles]), text(foot))


def _headline(run: RunRecord) -> str:
    """What the run found, in one line."""
    where = run.hardware.name if run.hardware else "an unrecorded machine"
    best = sections.best_of(run)
    if run.measurement is None or best is None:
        return f"What DeepSeek V4 needs, on {where}"
    kind = "simulated" if run.simulated else "stand-in" if run.stand_in else ""
    model = f"{run.measurement.model} ({kind})" if kind else run.measurement.model
    return f"{model} on {where}: {describe_rate(best)}"


def _names_of(runs: Sequence[RunRecord]) -> list[str]:
    """A name for each run, told apart where two are called the same."""
    ids = [run.id for run in runs]
    return [
        name if ids.count(name) == 1 else f"{name} ({ids[: place + 1].count(name)})" for place, name in enumerate(ids)
    ]


def compare(runs: Sequence[RunRecord]) -> str:
    """The comparison: one row a run, and the measured ones in the same plots."""
    measured = {name: run.measurement for name, run in zip(_names_of(runs), runs, strict=True) if run.measurement}
    shown = (
        plots([measurements.throughput_chart(measured), measurements.ttft_chart(measured)], "compare")
        if measured
        else ""
    )
    lacking = [name for name, run in zip(_names_of(runs), runs, strict=True) if run.measurement is None]
    gap = missing(f"Nothing was measured in: {', '.join(lacking)}.") if lacking else ""
    return section("Comparison", table(comparison_table(runs)), shown, gap, anchor="compare")


def comparison_table(runs: Sequence[RunRecord], *, brief: bool = False) -> Table:
    """One row a run: machine, model, best throughput, waiting time, completeness, and unless brief, verdicts."""
    rows: list[dict[str, str]] = []
    for name, run in zip(_names_of(runs), runs, strict=True):
        result, best = run.measurement, sections.best_of(run)
        first = result.points[0].ttft_s if result and result.points else None
        kind = "simulated" if run.simulated else "stand-in" if run.stand_in else ""
        row = {
            "Run": name,
            "Machine": run.hardware.name if run.hardware else "not recorded",
            "Measured": " ".join([result.model, *([f"({kind})"] if kind else [])]) if result else "nothing",
            "Best>": describe_rate(best) if best else "-",
            "TTFT p50>": format_seconds(first.p50) if first else "-",
            "Notebooks>": f"{len(run.notebooks) - len(run.failed)} of {len(run.notebooks)}",
        }
        if not brief:
            row["Engine"] = (result.engine or "unknown") if result else "-"
            row["DeepSeek V4 there"] = "; ".join(map(_verdict, run.plans)) or "not recorded"
        rows.append(row)
    columns = tuple(rows[0]) if rows else ()
    return Table(
        _finding(runs),
        columns,
        tuple(tuple(row[name] for name in columns) for row in rows),
        "TTFT: time to first token at the first load level.",
    )


def _verdict(plan: Plan) -> str:
    return f"{plan.model} {plan.verdict.replace('_', ' ')}"


def _finding(runs: Sequence[RunRecord]) -> str:
    bests = {name: sections.best_of(run) for name, run in zip(_names_of(runs), runs, strict=True)}
    fastest = measurements.fastest_of(bests)
    if fastest is None:
        return "Nothing was measured in these runs"
    name, best = fastest
    return f"{name}{' is fastest' if len(runs) > 1 else ''}: {describe_rate(best)}"


def _body(run: RunRecord, suffix: str) -> str:
    made = [build(run, f"{anchor}{suffix}") for anchor, _, build in _SECTIONS]
    return "\n".join([sections.key_figures(run), *made])


def _head(kicker: str, title: str, lead: str, level: int = 1) -> str:
    return f'<p class="kicker">{text(kicker)}</p>\n<h{level}>{text(title, 200)}</h{level}>\n<p class="lead">{text(lead)}</p>\n'


def _when(run: RunRecord) -> str:
    started = _moment(run.document.get("started_at")) or "at an unrecorded time"
    finished = _moment(run.document.get("finished_at"))
    return f"Run {run.id}, started {started}, {f'finished {finished}' if finished else 'not finished'}."


def _moment(value: object) -> str:
    """``2026-11-23 12:57:49 UTC``; what is no time stays as it is."""
    if not value:
        return ""
    try:
        moment = datetime.fromisoformat(str(value))
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return str(value)
