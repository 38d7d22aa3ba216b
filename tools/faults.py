"""Break servers on purpose: inject every fault several times, print what happened, write JSON.

The faults are the tests of ``tests/faults`` (described in ``faults.toml`` there); this runs them, times included.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tomllib
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from _pytest.nodes import Node

from seatrial import __version__
from seatrial.records import document_with, write_json
from seatrial.view.tables.table import Table
from seatrial.writing import check_target

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "faults"
FACTS = tomllib.loads((FOLDER / "faults.toml").read_text(encoding="utf-8"))
TIMES: dict[str, float] = FACTS["bars"]
SHOWN = 48  # characters of a cell


@dataclass(slots=True)
class Trial:
    """One test of one fault in one repetition."""

    test: str
    repetition: int
    outcome: str = "passed"
    why: str = ""
    seen: list[tuple[str, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """One fault after all its repetitions.

    Attributes:
        number: Number in faults.toml.
        fault: Injected fault.
        expected: Expected behaviour.
        passed: Repetitions in which every test passed.
        repetitions: How often it was injected.
        skipped: Reasons why tests were not run on this machine, each once.
        failures: First words of each failure, each once.
        variants: Ways in which the fault was injected.
        worst_s: Longest of each time, in seconds, by name.
        over_bar: Names of the times that were over their bar.
        causes: Causes that the kit named.
        evidence: One log line behind them.
        remedy: One remedy that the kit gave.
        orphans: Processes left over, in all repetitions.
        tests: Tests that injected the fault.

    """

    number: int
    fault: str
    expected: str
    passed: int
    repetitions: int
    skipped: tuple[str, ...]
    failures: tuple[str, ...]
    variants: tuple[str, ...]
    worst_s: dict[str, float]
    over_bar: tuple[str, ...]
    causes: tuple[str, ...]
    evidence: str | None
    remedy: str | None
    orphans: int
    tests: tuple[str, ...]


class Faults:
    """Plugin of pytest that chooses faults by number, repeats and collects them.

    Args:
        repeat: Repetitions of each fault.
        only: Numbers to inject; all if empty.

    """

    def __init__(self, repeat: int, only: frozenset[int]) -> None:
        self.repeat = repeat
        self.only = only
        self.trials: dict[int, list[Trial]] = defaultdict(list)
        self._open: dict[str, Trial] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat each test of a fault."""
        if self._number(metafunc.definition) is not None:
            metafunc.fixturenames.append("repetition")
            metafunc.parametrize("repetition", range(self.repeat), ids=lambda at: f"run {at + 1}")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep only tests of the chosen faults, sorted by fault."""
        chosen = {item: self._number(item) for item in items}
        kept = [item for item in items if chosen[item] is not None and (not self.only or chosen[item] in self.only)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = sorted(kept, key=lambda item: chosen[item] or 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note how a test ended, and what it recorded."""
        report = yield
        number = self._number(item)
        if number is None:
            return report
        if report.when == "setup":
            if not isinstance(item, pytest.Function):
                raise TypeError(f"{item.nodeid} is marked as a fault and is no test function")
            trial = Trial(item.originalname, int(str(item.callspec.params["repetition"])))
            self._open[item.nodeid] = trial
            self.trials[number].append(trial)
        trial = self._open[item.nodeid]
        if not report.passed and trial.outcome == "passed":
            trial.outcome, trial.why = report.outcome, _why(report)
        if report.when == "teardown":
            trial.seen = list(item.user_properties)
        return report

    @staticmethod
    def _number(item: Node) -> int | None:
        mark = item.get_closest_marker("fault")
        return None if mark is None else int(mark.args[0])


OURS = document_with("machine", "bars_s", "faults")


def main() -> int:
    """Run, print the table, write the JSON; return 1 if a fault was not survived each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="repetitions of each fault (default: 5)")
    parser.add_argument("--only", default="", metavar="9,14", help="numbers of faults")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.output:
        check_target(arguments.output, OURS)
    faults = Faults(arguments.repeat, frozenset(map(int, filter(None, arguments.only.split(",")))))
    os.chdir(ROOT)
    options = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", str(FOLDER)]
    try:
        broken = bool(pytest.main(options, plugins=[faults]))
    except Exception as error:  # noqa: BLE001 -- a failure at the very end must not cost the table
        print(f"pytest: {error}")
        broken = True
    results = [
        result_of(row, faults.trials[row["number"]], arguments.repeat)
        for row in FACTS["faults"]
        if row["number"] in faults.trials
    ]
    print(table(results).to_text())
    for result in results:
        for line in (*result.failures, *(f"not run on this machine: {reason}" for reason in result.skipped)):
            print(f"  {result.number}: {line}")
    if arguments.output:
        write_json(arguments.output, {"machine": machine(), "bars_s": TIMES, "faults": results}, ours=OURS)
        print(f"Written: {arguments.output}")
    return int(broken or any(result.failures or result.orphans for result in results))


def result_of(row: dict[str, str], trials: list[Trial], repetitions: int) -> Result:
    """Sum up all repetitions of one fault."""
    seen: dict[str, list[object]] = defaultdict(list)
    for trial in trials:
        for name, value in trial.seen:
            seen[name].append(value)
    passed = [all(trial.outcome == "passed" for trial in trials if trial.repetition == at) for at in range(repetitions)]
    worst = {name: max(map(float, map(str, seen[name]))) for name in TIMES if seen[name]}
    return Result(
        number=int(row["number"]),
        fault=row["fault"],
        expected=row["expected"],
        passed=sum(passed),
        repetitions=repetitions,
        skipped=_once(trial.why for trial in trials if trial.outcome == "skipped"),
        failures=_once(f"{trial.test}: {trial.why}" for trial in trials if trial.outcome == "failed"),
        variants=_once(map(str, seen["variant"])),
        worst_s={name: round(value, 4) for name, value in worst.items()},
        over_bar=tuple(name for name, value in worst.items() if value > TIMES[name]),
        causes=_once(map(str, seen["cause"])),
        evidence=str(seen["evidence"][-1]) if seen["evidence"] else None,
        remedy=str(seen["remedy"][-1]) if seen["remedy"] else None,
        orphans=sum(int(str(value)) for value in seen["orphans"]),
        tests=_once(trial.test for trial in trials),
    )


def table(results: list[Result]) -> Table:
    """Return the results as a table for people."""
    rows = [
        (
            str(result.number),
            result.fault,
            f"{result.passed}/{result.repetitions}",
            *(_time(result, name) for name in ("diagnosis", "stop", "attach")),
            ", ".join(f"{name} {_time(result, name)}" for name in ("lease", "job", "hang") if name in result.worst_s),
            _short(", ".join(result.causes)),
            _short(result.evidence or ""),
            str(result.orphans),
        )
        for result in results
    ]
    facts = machine()
    survived = sum(result.passed == result.repetitions for result in results)
    bars = ", ".join(f"{name} {bar:g} s" for name, bar in TIMES.items())
    return Table(
        f"seatrial {__version__}: {survived} of {len(results)} faults survived each time",
        (
            "No.>",
            "Fault",
            "Passed>",
            "Diagnosis s>",
            "Stop s>",
            "Attach s>",
            "Other s",
            "Cause",
            "Evidence",
            "Orphans>",
        ),
        tuple(rows),
        f"Longest times of all repetitions; bars: {bars}; over one is marked with !. "
        f"{facts['cpus']} CPUs, load average {facts['load']}.",
    )


def machine() -> dict[str, str]:
    """Describe the machine of the run."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seatrial": __version__,
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _why(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):  # a skip: file, line, reason
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = [line for line in report.longreprtext.splitlines() if line.startswith("E ")] or ["failed"]
    return f"{report.when}: {lines[0][1:].strip()[:200]}"


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _time(result: Result, name: str) -> str:
    if name not in result.worst_s:
        return ""
    return f"{result.worst_s[name]:.2f}{'!' if name in result.over_bar else ''}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."


if __name__ == "__main__":
    sys.exit(main())
