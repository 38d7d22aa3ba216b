"""The tables of a measurement say what was measured and whether to believe it."""

from dataclasses import replace

import pytest
from tests.measure.test_summary import completion, summary

from seatrial.measure import Workload
from seatrial.measure.repeats import merge_runs
from seatrial.measure.types import Measurement
from seatrial.view.tables.measurements import describe_target, table_measurement, table_self_check, with_error

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


@pytest.mark.parametrize(
    ("seconds", "error_s", "text"),
    [
        (0.0621, 0.0004, "62.1 ms ± 0.4"),
        (0.0621, 0.0123, "62.1 ms ± 12"),
        (1.5, 0.25, "1.5 s ± 0.25"),
        (0.0621, 0.0001, "62.1 ms"),
        (0.0621, None, "62.1 ms"),
        (125.0, 9.0, "2 min 5 s"),
    ],
)
def test_an_error_stands_beside_its_figure(seconds, error_s, text):
    """An error is in the unit of its figure; one that rounding would hide is left out."""
    assert text == with_error(seconds, error_s)


def test_a_partial_level_is_called_so():
    """A level that was stopped is partial, in its row and beside the best throughput."""
    stopped = replace(summary(GOOD), partial=True, output_tokens_per_s=90.0)
    table = table_measurement(measurement(points=(stopped,)))
    assert ("partial", True) == (table.rows[0][-1], table.title.startswith("90.0 tok/s (partial) at most: "))
    nothing = replace(summary([]), partial=True)
    table = table_measurement(measurement(points=(nothing,), completions=()))
    assert ("partial", True) == (table.rows[0][-1], table.title.startswith("Stopped before an answer was complete"))
    assert "succeeded" not in table.to_text()


def test_warnings_name_their_levels():
    """A warning that several levels share is said once, with each of them; beside a valid level, too."""
    points = tuple(summary(GOOD, streams=streams) for streams in (2, 4))
    table = table_measurement(measurement(points=points, workload=Workload(concurrency=(2, 4))))
    assert "2 streams, 4 streams: Only 2 requests succeeded: p90 is the slowest of them." in table.note
    assert ["yes", "yes"] == [row[-1] for row in table.rows]


def test_what_a_load_found_is_said():
    """Below the table: intervals of a repeated level, checked answers that stayed right, and the knee."""
    repeated = merge_runs([replace(summary(GOOD), output_tokens_per_s=rate) for rate in (90.0, 100.0, 110.0)], 3)
    note = table_measurement(measurement(points=(replace(repeated, checked_answers=9, right_answers=8),))).note
    assert "2 streams: 95 % intervals over 3 runs: throughput 75.2 tok/s to 125 tok/s, TTFT " in note
    assert "8 of 9 checked answers right" in note
    search = measurement(points=(summary(GOOD),), workload=Workload(concurrency=2, find_knee=True))
    assert "The most load that is held is 2 streams (" in table_measurement(search).note
    recorded = measurement(points=(summary(GOOD),), workload=Workload(replay="trace.csv"))
    assert table_measurement(recorded).note.startswith("Prompts and longest answers as recorded.")


def test_what_was_counted_is_said():
    """Energy for each token and preemptions stand below the table, if they are known."""
    point = replace(summary(GOOD), energy_per_token_j=2.345, preemptions=3)
    assert (
        "2 streams: 2.35 J of the GPUs for each token; 3 requests put back into the queue."
        in table_measurement(measurement(points=(point,))).note
    )
