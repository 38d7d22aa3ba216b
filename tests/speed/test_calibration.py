"""How near the speed model comes to published runs, above all to those of GPUs and recipes the fit has not seen."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from statistics import median

import pytest

from seatrial.speed.calibrate import LEFT_OUT, QUANTITIES, fit_constants, left_out_errors, main, published_rows
from seatrial.speed.roofline import calibration, constants

TPOT, TTFT, RATE = range(3)
NEAR = {TPOT: 0.12, TTFT: 0.20, RATE: 0.12}
"""Largest median log errors."""
WIDEST = 2.5
"""Largest factor between the ends of an interval."""


def test_intervals_are_no_wider_than_the_bar():
    """Low and high of a calibrated GPU differ by at most a factor of 2.5."""
    assert calibration()["gpu"]["spread"] ** 2 <= WIDEST


@pytest.mark.parametrize("part", [TPOT, TTFT, RATE], ids=QUANTITIES)
@pytest.mark.parametrize("way", LEFT_OUT)
def test_what_is_left_out_of_the_fit_is_still_predicted(way, part):
    """Of recipes, GPUs, releases, formats and strategies the constants have not seen: near, nine of ten inside."""
    sizes = [abs(errors[part]) for errors in left_out_errors(way)]
    assert len(published_rows()) == len(sizes)
    assert median(sizes) <= NEAR[part]
    assert 0.9 <= sum(size <= math.log(calibration()["gpu"]["spread"]) for size in sizes) / len(sizes)


def test_stored_constants_are_those_of_the_fit():
    """calibration.json holds what the command prints, to four digits."""
    fit = fit_constants(published_rows())
    stored = calibration()["gpu"]["values"]
    assert stored == {name: float(f"{getattr(fit, name):.4g}") for name in stored}


def test_the_command_stores_the_constants_and_what_they_rest_on(monkeypatch, tmp_path, capsys):
    """What --write stores is what it prints, with the number of rows and the GPUs; nothing else changes."""
    file = tmp_path / "calibration.json"
    monkeypatch.setattr("seatrial.speed.calibrate.CALIBRATION", file)
    main(["--write"])
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == stored["gpu"]["values"]
    assert calibration() == stored


def test_every_constant_is_named_with_its_origin():
    """Fitted ones have a start, fixed ones a value, an origin and a source; nothing is left over."""
    known = calibration()["gpu"]
    assert known["start"].keys() == known["values"].keys()
    assert all({"value", "origin", "source"} == row.keys() for row in known["fixed"].values())
    assert asdict(constants()).keys() == known["values"].keys() | known["fixed"].keys()
    assert len(published_rows()) == known["rows"]
    assert sorted({row.accelerator for row in published_rows()}) == known["published"]


def test_runs_with_fixed_lengths_are_not_in_the_fit():
    """Equal answers end together, and their replicas then read prompts together: another load than the model's."""
    apart = published_rows(fixed_lengths=True)
    assert {"pro-official"} == {row.release for row in apart}
    assert not {row.name for row in apart} & {row.name for row in published_rows()}


def test_the_page_shows_the_table_the_command_prints(capsys):
    """docs/planning.md holds what --check prints, one row for each way of leaving rows out."""
    main(["--check"])
    table = capsys.readouterr().out.strip()
    assert len(LEFT_OUT) + 3 == len(table.splitlines())
    assert table in (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
