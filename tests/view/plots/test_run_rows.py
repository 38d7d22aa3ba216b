"""A run as rows: each reading has its column, what is not known is NaN, and moments with a name are marked once."""

import math
from dataclasses import replace

import pytest

from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.types import Completion, Sample
from seatrial.records import Interval
from seatrial.speed.types import Prediction
from seatrial.view.notebook.panel_widget import packed
from seatrial.view.plots.run_charts import describe_latest, run_charts, run_text
from seatrial.view.plots.run_rows import _MOST_ROWS, COLUMNS, STRIPS, RunRows, latest
from seatrial.view.plots.run_status import run_status

GIB = 1 << 30
FULL = Sample(
    1.0, 0, 100.0, 4, 2.5, GIB, (GIB, None), (0.5, 1.0), (300.0, 200.0), 3, 0.25, 4, 1000, 2000, 300, 80, 60, 0,
    0.75, 2 * GIB, (60.0, 71.0), (1980.0, 1755.0), ("", ""),
)  # fmt: skip


def completion(ttft_s):
    """Return a request of five tokens at ten milliseconds each."""
    return Completion(
        0, 0.0, 0.0, ttft_s, ttft_s, ttft_s + 0.04, 5, 5, "usage", 1, 64, 0, (0.01,) * 4, None, "text", ttft_s + 0.04
    )


def recorder(samples=(), completions=()):
    """Return a recorder that holds these."""
    made = Recorder()
    made.set_progress(LoadProgress(0, 2, "4 streams", 0, 8, None, 0, 0.5, 8, 4))
    for sample in samples:
        made.add_sample(sample)
    for one in completions:
        made.add_completion(one)
    return made


def rows_of(*samples, completions=(), predictions=None):
    """Return the rows of a run with these samples."""
    rows = RunRows(predictions)
    rows.update(recorder(samples, completions))
    return rows


def shown(rows):
    """Return the latest figures by strip, the unknown ones left out."""
    return {
        strip.title: {
            line.name: value for line, value in zip(strip.lines, values, strict=True) if not math.isnan(value)
        }
        for strip, values in zip(STRIPS, latest(rows.rows), strict=True)
    }


def test_each_reading_has_its_place():
    """Every reading of a sample stands in its strip, in the strip's unit; shares come from the growth of counters."""
    grown = replace(FULL, at_s=2.0, prompt_tokens=1200, cached_tokens=400, drafted_tokens=180, accepted_tokens=90)
    assert {
        "Output": {
            "each quarter second": 100.0,
            "mean of 2 s": 100.0,
            "predicted, low": 70.0,
            "predicted, high": 120.0,
        },
        "TTFT": {},
        "TPOT": {},
        "Requests": {"in flight": 4.0, "running in the server": 4.0, "waiting in the server": 3.0},
        "KV cache": {"in use": 25.0, "prompt tokens from the cache": 50.0},
        "Drafted tokens": {"accepted": 30.0},
        "GPU and CPU use": {"GPUs, mean": 75.0, "CPU of the machine": 75.0},
        "CPU of the engine": {"engine": 2.5},
        "Memory": {"all GPUs": 1.0, "engine, host memory": 1.0, "machine": 2.0},
        "GPU power": {"all GPUs": 500.0},
        "GPU temperature": {"hottest": 71.0},
        "GPU clock": {"slowest": 1755.0},
    } == shown(rows_of(FULL, grown, predictions={4: Prediction(Interval(70, 90, 120), None, None, "")}))


def test_what_is_not_read_is_not_known():
    """A sample of a server elsewhere has its output and streams only; nothing is taken for 0."""
    known = shown(rows_of(Sample(1.0, 0, 50.0, 2)))
    assert {"Output", "Requests"} == {title for title, figures in known.items() if figures}


def test_percentiles_are_of_recent_requests_that_succeeded():
    """TTFT and TPOT of requests that had ended by then; a failure has none, and is marked once."""
    good = replace(completion(0.1), ended_s=0.9, point=0)
    bad = replace(good, error="http_500: <b>no</b>", ended_s=0.95)
    late = replace(completion(9.0), ended_s=1.5, point=0)
    rows = rows_of(replace(FULL, at_s=1.0), completions=[good, bad, bad, late])
    assert pytest.approx(100.0) == shown(rows)["TTFT"]["p90"]
    assert [("level", "4 streams"), ("server", "failed: http_500")] == [(one.kind, one.text) for one in rows.markers]
    rows.update(recorder([replace(FULL, at_s=1.0), replace(FULL, at_s=2.0)], [good, bad, bad, late]))
    assert pytest.approx(9000.0) == shown(rows)["TTFT"]["p90"]


def test_a_gap_lies_between_levels_and_the_mean_begins_anew():
    """Lines end with their level; the headline is the mean of the level that runs."""
    rows = rows_of(*(Sample(at, at // 3, 100.0 * (1 + at // 3), 1) for at in range(6)))
    assert [3] == [index for index, row in enumerate(rows.rows) if all(map(math.isnan, row[1:]))]
    assert 200.0 == rows.mean_tokens_per_s


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpu_throttle": ("", "power")}, ("throttled", "GPU 1 is throttled: power")),
        ({"generated_tokens": 5}, ("server", "the server began anew")),
        ({"preemptions": 2}, ("server", "requests were put back into the queue")),
    ],
)
def test_moments_are_marked_once(changes, expected):
    """Throttling, a new start of the server and preemption are each marked when they begin."""
    rows = rows_of(FULL, replace(FULL, at_s=1.25, **changes), replace(FULL, at_s=1.5, **changes))
    assert [expected] == [(one.kind, one.text) for one in rows.markers if one.kind != "level"]


def test_a_long_run_keeps_its_shape():
    """Older rows are thinned out, the ends stay, and it is told how often that happened."""
    rows = rows_of(*(Sample(at / 4, 0, 1.0, 1) for at in range(2 * _MOST_ROWS)))
    assert _MOST_ROWS // 2 <= len(rows.rows) <= _MOST_ROWS
    assert rows.thinned > 1
    assert (0.0, (2 * _MOST_ROWS - 1) / 4) == (rows.rows[0][0], rows.rows[-1][0])


def test_a_row_is_as_wide_as_the_strips_say():
    """Whoever draws counts the lines of the strips."""
    assert COLUMNS == len(rows_of(FULL).rows[0]) == 1 + sum(len(strip.lines) for strip in STRIPS)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, 1e300, -5.0])
def test_odd_figures_are_drawn_or_left_out(odd):
    """An absurd figure breaks neither the rows nor the pictures."""
    rows = rows_of(replace(FULL, tokens_per_s=odd, gpu_power_w=(odd,)), replace(FULL, at_s=1.25))
    assert all(isinstance(one.title, str) for one in run_charts(rows, "odd"))
    assert "KV cache" in run_text(rows)
    assert 4 * COLUMNS * len(rows.rows) == len(packed(rows.rows))


def test_pictures_show_only_what_is_known():
    """A chart each for the strips with a figure, with the levels behind them; none without rows."""
    charts = run_charts(rows_of(Sample(1.0, 0, 50.0, 2), Sample(2.0, 0, 60.0, 2)), "55 tok/s")
    assert ["55 tok/s", "Requests: in flight 2"] == [one.title for one in charts]
    assert ["4 streams"] == [span.name for span in charts[0].spans]
    assert () == run_charts(RunRows(), "nothing")


def test_figures_in_words_have_their_unit():
    """A share has its sign, a time its unit, a count no decimals."""
    assert "accepted 33.3%" == describe_latest(STRIPS[5], (33.34,))
    assert "p50 51.2 ms, p90 1,200 ms" == describe_latest(STRIPS[1], (51.24, 1200.0))
    assert "in flight 4" == describe_latest(STRIPS[3], (4.0, math.nan, math.nan))


def test_progress_tells_the_share_and_the_time_left():
    """Two of eight requests in a second, and eight more later: seven seconds left."""
    rows = rows_of(replace(FULL, at_s=1.5), completions=[completion(0.1)] * 2)
    status = run_status(LoadProgress(0, 2, "4 streams", 2, 8, None, 4, 0.5, 8, 4), rows, 2)
    assert (7.0, 2 / 16, "100 tok/s") == (status.left_s, status.share, status.headline)
    assert "level 1 of 2, 2 of 8 requests, about 7 s left" in status.detail


def test_a_load_without_an_end_has_no_time_left():
    """Nobody knows when a person will stop it; before the first level nothing is claimed."""
    rows = rows_of(FULL)
    endless = run_status(LoadProgress(1, 0, "3 streams", 5, 0, None, 3, 0.5, 0, 3), rows, 9)
    assert (None, None) == (endless.left_s, endless.share)
    assert "3 streams, until you stop" in endless.detail
    assert "begins" in run_status(LoadProgress(-1, 0, "", 0, 0, None, 0), RunRows(), 0).detail
