"""Expansion of --grid name=a,b into runs."""

import pytest

from seatrial.batch import expand_grid
from seatrial.errors import UsageError


def test_without_axes_there_is_one_run():
    """No grid: one run, in the output folder itself."""
    assert {"": {"hardware": "auto"}} == expand_grid([], {"hardware": "auto"})


def test_every_combination_is_a_run():
    """Two axes of two and one values are two runs; the name says which is which."""
    assert expand_grid(["model=flash,pro", "context_tokens=8192"], {"hardware": "h200x8"}) == {
        "model-flash_context_tokens-8192": {"hardware": "h200x8", "model": "flash", "context_tokens": "8192"},
        "model-pro_context_tokens-8192": {"hardware": "h200x8", "model": "pro", "context_tokens": "8192"},
    }


def test_semicolons_separate_values_that_hold_commas():
    """concurrency=1,2;4,8 is two lists, not four numbers."""
    assert ["1,2", "4,8"] == [run["concurrency"] for run in expand_grid(["concurrency=1,2;4,8"], {}).values()]


def test_values_that_give_the_same_folder_name_stay_apart():
    """Names are cleaned for the file system, and no run may hide another."""
    runs = expand_grid(["checkpoint=a/b,a:b"], {})
    assert ["a/b", "a:b"] == [run["checkpoint"] for run in runs.values()]


@pytest.mark.parametrize("axis", ["model", "model=", "model=a,,b", "model=a,a", "../x=1", "model;x=1"])
def test_malformed_axes_are_refused(axis):
    """A grid that lists nothing, or the same twice, is a mistake."""
    with pytest.raises(UsageError):
        expand_grid([axis], {})


def test_an_axis_beside_the_same_parameter_is_refused():
    """-p model flash --grid model=flash,pro contradicts itself."""
    with pytest.raises(UsageError, match="twice"):
        expand_grid(["model=flash,pro"], {"model": "flash"})


def test_a_grid_of_thousands_is_refused():
    """A slip of the finger does not start a week of runs."""
    axes = [f"{name}={','.join(map(str, range(20)))}" for name in "abc"]
    with pytest.raises(UsageError, match="8,000 runs"):
        expand_grid(axes, {})
