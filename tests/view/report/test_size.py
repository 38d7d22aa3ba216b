"""A page stays small whatever the records hold: what does not fit is folded, cut, or left to the files beside it."""

import re
from dataclasses import replace

import pytest
from tests.view.made_up import HOSTILE, measurement, point, results, write_run

from seatrial.measure import Sample
from seatrial.view.report.page import write_report

MOST = 300_000
LONG = (HOSTILE + "x" * 200) * 12


def many_levels(count):
    """Return a measurement of so many load levels."""
    return measurement(
        points=tuple(replace(point(place + 1, 10.0 + place), label=f"level {place}") for place in range(count))
    )


def many_samples():
    """Return a measurement whose telemetry jumps between levels, with many GPUs."""
    samples = tuple(Sample(at / 4, at % 4, 1.0 * at, 1, gpu_memory_bytes=(at,) * 24) for at in range(800))
    return measurement(samples=samples)


RECORDS = {
    "long texts": results() | {"measurement": measurement(model=LONG, engine=LONG, notes=(LONG,) * 10),
                               "command": {"argv": [LONG] * 20, "env": {LONG: LONG}}},
    "many levels": results() | {"measurement": many_levels(400)},
    "many samples": results() | {"measurement": many_samples()},
    "many plans": results() | {"plans": results()["plans"] * 40, "example_plans": results()["plans"] * 40},
    "many phases": results() | {"server": {"name": LONG, "url": LONG, "phases": [{"name": LONG, "seconds": 1.0}] * 60}},
}  # fmt: skip


@pytest.mark.parametrize(("what", "several"), [*((what, 1) for what in RECORDS), ("long texts", 8), ("many levels", 8)])
def test_a_page_is_small_and_complete(tmp_path, what, several):
    """One run or eight: at most 300 kB, well-formed to its end, nothing of the hostile text alive."""
    row = {"notebook": LONG, "status": "failed", "error": {"kind": LONG, "message": LONG, "cell": LONG}}
    runs = [write_run(tmp_path / f"r{place}", RECORDS[what], notebooks=[row] * 4) for place in range(several)]
    html = write_report(runs, tmp_path / "report.html").read_text()
    assert len(html.encode()) <= MOST
    assert html.endswith("</html>")
    assert html.count("<details") == html.count("</details>")
    assert "<script" not in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_of_many_runs_the_rest_is_folded_and_counted(tmp_path):
    """Eight rows in sight; how many more there are is said."""
    runs = [write_run(tmp_path / f"r{place:03}", {"measurement": measurement(1 + place)}) for place in range(30)]
    html = write_report(runs, tmp_path / "report.html").read_text()
    assert "30 runs compared" in html
    assert "<summary>22 more runs</summary>" in html
    assert "Of 30 runs: r029 serves" in html
