"""How near the speed model comes to published runs, above all to those of GPUs the fit has not seen."""

import math
from dataclasses import asdict
from pathlib import Path
from statistics import median

import pytest

from seatrial.speed.calibrate import QUANTITIES, fit_constants, left_out_errors, main, published_rows
from seatrial.speed.roofline import calibration, constants

TPOT, TTFT, RATE = range(3)
NEAR = 0.15
"""Largest median log error."""
WIDEST = 2.5
"""Largest factor between the ends of an interval."""


@pytest.fixture(scope="module")
def left_out():
    """Return the log errors on the rows of each kind of GPU with constants fitted to the other kinds."""
    return left_out_errors(lambda row: row.accelerator)


def test_intervals_are_no_wider_than_the_bar():
    """Low and high of a calibrated GPU differ by at most a factor of 2.5."""
    assert calibration()["gpu"]["spread"] ** 2 <= WIDEST


@pytest.mark.parametrize("part", [TPOT, TTFT, RATE], ids=QUANTITIES)
def test_hardware_left_out_of_the_fit_is_still_predicted(left_out, part):
    """Of GPUs the constants have not seen: median log error at most 0.15, nine of ten values in the interval."""
    assert 48 == len(left_out)
    sizes = [abs(errors[part]) for errors in left_out]
    assert median(sizes) <= NEAR
    assert 0.9 <= sum(size <= math.log(calibration()["gpu"]["spread"]) for size in sizes) / len(sizes)


def test_formats_left_out_of_the_fit_are_still_predicted():
    """Of formats the constants have not seen: nearly nine of ten values are inside the intervals."""
    sizes = [abs(error) for errors in left_out_errors(lambda row: row.precision) for error in errors]
    assert 0.88 <= sum(size <= math.log(calibration()["gpu"]["spread"]) for size in sizes) / len(sizes)


def test_stored_constants_are_those_of_the_fit():
    """calibration.json holds what the command prints, to four digits."""
    fit = fit_constants(published_rows())
    stored = calibration()["gpu"]["values"]
    assert stored == {name: float(f"{getattr(fit, name):.4g}") for name in stored}


def test_every_constant_is_named_with_its_origin():
    """Fitted ones have a start, fixed ones a value, an origin and a source; nothing is left over."""
    known = calibration()["gpu"]
    assert known["start"].keys() == known["values"].keys()
    assert all({"value", "origin", "source"} == row.keys() for row in known["fixed"].values())
    assert asdict(constants()).keys() == known["values"].keys() | known["fixed"].keys()
    assert len(published_rows()) == known["rows"]
    assert sorted({row.accelerator for row in published_rows()}) == known["published"]


def test_the_page_shows_the_table_the_command_prints(capsys):
    """docs/planning.md holds what --check prints, one row for each way of leaving rows out."""
    main(["--check"])
    table = capsys.readouterr().out.strip()
    assert 6 == len(table.splitlines())
    assert table in (Path(__file__).parents[2] / "docs" / "planning.md").read_text(encoding="utf-8")
