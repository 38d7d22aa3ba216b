"""The sentence that answers a comparison: who serves most, by how much, at which wait, and what differs."""

from dataclasses import replace

import pytest
from tests.view.made_up import measurement, plans, point, quantiles, results, write_run

from seatrial.measure import SelfCheck
from seatrial.records import Interval
from seatrial.view.report.compared import read_runs


@pytest.fixture
def finding(tmp_path):
    """Compare runs with these measurements, each with changes of its record."""

    def compare(*measured, **changes):
        for name, one in zip("ABCDE", measured, strict=False):
            write_run(tmp_path / name, results() | {"measurement": one} | changes.get(name, {}))
        return read_runs([tmp_path / name for name, _ in zip("ABCDE", measured, strict=False)]).finding

    return compare


def real(scale=1.0, **changes):
    """Return a measurement of DeepSeek V4 itself."""
    return measurement(scale, **{"stand_in": False, "model": "V4", **changes})


def levels(*rows, **changes):
    """Return load levels of streams, tokens a second and TTFT in seconds."""
    return tuple(replace(point(streams, rate), ttft_s=quantiles(wait), **changes) for streams, rate, wait in rows)


def of(finding):
    """Return what is said of the speed."""
    return finding.partition("; they differ in")[0].partition("; no recorded")[0]


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ((100.0, 0.2), (180.0, 0.1), "B serves 1.8 times the tokens of A at 16 streams, at half the TTFT"),
        ((180.0, 0.1), (100.0, 0.2), "A serves 1.8 times the tokens of B at 16 streams, at half the TTFT"),
        ((100.0, 0.2), (110.0, 0.2), "B serves 10% more tokens than A at 16 streams, at the same TTFT"),
        ((100.0, 0.2), (101.0, 0.1), "B and A serve as many tokens at 16 streams, at half the TTFT"),
        ((100.0, 0.2), (1500.0, 0.5), "B serves 15 times the tokens of A at 16 streams, at 2.5 times the TTFT"),
        ((100.0, 0.2), (200.0, 0.15), "B serves 2.0 times the tokens of A at 16 streams, at 75% of the TTFT"),
    ],
)
def test_two_runs_in_a_sentence(finding, one, two, said):
    """At the highest load that both have, the faster one first, in the words a person would use."""
    first, second = (real(points=levels((1, 10.0, 0.1), (16, *pair))) for pair in (one, two))
    kept = {"server": {"simulated": False, "stand_in": False}}
    assert said == of(finding(first, second, A=kept, B=kept))


def test_a_difference_within_the_noise_is_none(finding):
    """The 95 % intervals of repeated runs overlap."""
    first = real(points=levels((8, 100.0, 0.1), output_tokens_per_s_interval=Interval(80.0, 100.0, 120.0)))
    second = real(points=levels((8, 115.0, 0.1), output_tokens_per_s_interval=Interval(95.0, 115.0, 135.0)))
    assert "B and A serve as many tokens at 8 streams, at the same TTFT" in finding(first, second)


def test_a_simulation_is_compared_with_nothing_real(finding):
    """Whichever is faster."""
    said = finding(real(), real(9.0, simulated=True), A={"server": {}}, B={"server": {}})
    assert "A is DeepSeek V4 itself and B is simulated: their figures cannot be compared" == said


def test_levels_that_are_not_valid_give_way_and_are_said(finding):
    """A lower load that is valid in both counts before a higher one that is not; if none is, the sentence says so."""
    late = SelfCheck(0.01, 0.9, 0.1, valid=False, why="late")
    good, bad = levels((4, 50.0, 0.1)), levels((8, 90.0, 0.1), self_check=late)
    assert " at 4 streams" in finding(real(points=good + bad), real(points=good + bad))
    said = finding(real(points=bad), real(points=bad))
    assert "at 8 streams, at the same TTFT, of a level that is partial or not valid" in said
    partial = levels((8, 90.0, 0.1), partial=True)
    assert "partial" in finding(real(points=partial), real(points=partial))


def test_runs_without_a_common_load_are_told_apart_by_their_best(finding):
    """Each with its own load."""
    said = finding(
        real(points=levels((4, 50.0, 0.1))), real(points=levels((8, 90.0, 0.1))), A={"server": {}}, B={"server": {}}
    )
    assert "B serves 90.0 tok/s at 8 streams, A 50.0 tok/s at 4 streams" == of(said)


def test_what_they_differ_in_is_said(finding):
    """Versions, machine and configuration; the first few by name."""
    said = finding(real(), real(2.0), B={"plan": plans("h200x8")[0], "plans": plans("h200x8"), "command": {"argv": []}})
    assert "they differ in model, checkpoint, engine and" in said or "they differ in checkpoint" in said
    assert "more" in said


def test_nothing_measured_is_said(finding):
    """Of one or of none."""
    assert "Nothing was measured in these runs" == finding(None, None)
    assert "Only A was measured: 210 tok/s (stand-in)" == finding(measurement(), None)
