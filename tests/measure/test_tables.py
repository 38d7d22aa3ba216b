"""The tables of a measurement say what was measured and whether to believe it."""

from dataclasses import replace

from tests.measure.test_summary import completion, summary

from seatrial.measure import Workload
from seatrial.measure.types import Measurement
from seatrial.view.tables.measurements import describe_target, table_measurement, table_self_check

GOOD = [completion(), completion()]


def measurement(**changes):
    """Return a measurement of one level in which everything went well."""
    values = {
        "url": "http://127.0.0.1:1",
        "model": "SmolLM2",
        "engine": "llamacpp",
        "workload": Workload(concurrency=(2,)),
        "points": (summary(GOOD),),
        "samples": (),
        "completions": tuple(GOOD),
        "started_at": "2026-01-01T00:00:00+00:00",
    }
    return Measurement(**values | changes)


def test_stand_in_and_simulation_are_labelled():
    """Neither is ever shown without saying so."""
    text = table_measurement(measurement(stand_in=True, simulated=True)).to_text()
    assert "SmolLM2 (stand-in, simulated) on llamacpp at http://127.0.0.1:1" in text


def test_model_names_are_plain_text():
    """A server that names its model after escape codes moves no cursor."""
    assert "\x1b" not in describe_target(measurement(model="a\x1b[31mb"))


def test_columns_without_content_are_left_out():
    """No column for p99 under 100 requests, none for goodput without objectives; with them, both."""
    plain = table_measurement(measurement()).columns
    assert ("TTFT p99>" in plain, "Goodput>" in plain) == (False, False)
    workload = Workload(concurrency=(2,), slo_ttft_s=1.0)
    full = table_measurement(measurement(points=(summary(GOOD * 50, workload),), workload=workload)).columns
    assert ("TTFT p99>" in full, "Goodput>" in full) == (True, True)


def test_not_valid_says_why():
    """A point the client did not keep up with is not valid, and the reason stands below."""
    slow = measurement(points=(summary(GOOD, loop_lag_p99_s=1.0),))
    table = table_measurement(slow)
    assert "no" == table.rows[0][-1]
    assert "the TTFT of 500 ms may be wrong by 1 s" in table.note
    assert table_self_check(slow).title == "The times are the server's own at 0 of 1 load levels"


def test_the_title_prefers_a_valid_level():
    """The best throughput is that of a valid level; the title says if there is none."""
    good = replace(summary(GOOD), output_tokens_per_s=90.0)
    doubtful = replace(good, output_tokens_per_s=200.0, self_check=replace(good.self_check, valid=False, why="Slow."))
    assert table_measurement(measurement(points=(good, doubtful))).title.startswith("90.0 tok/s at most: ")
    assert table_measurement(measurement(points=(doubtful,))).title.startswith("200 tok/s (not valid) at most: ")


def test_nothing_succeeded():
    """Failures are counted by kind; figures that do not exist are a dash."""
    failed = [replace(one, error="http_500: x") for one in GOOD]
    table = table_measurement(measurement(points=(summary(failed),), completions=tuple(failed)))
    assert table.title.startswith("Nothing succeeded")
    assert ("2 streams", "-", "-", "-", "-", "-", "0/2", "no") == table.rows[0]
    assert "Failed: http_500 x2." in table.note
