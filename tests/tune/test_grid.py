"""Values to try: figures of the machine filled in, without those the default has already."""

import pytest

from seatrial.engines import build_command
from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.tune.grid import evaluate, grid_of, parse_grid

FIGURES = {"cores": 8, "streams": 4}


@pytest.fixture
def command():
    """llama.cpp's command for four requests at once."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="llamacpp", concurrency=4)
    return build_command(plan)


@pytest.mark.parametrize(
    ("text", "value"),
    [("cores-1", "7"), ("cores/2", "4"), ("streams*2", "8"), ("streams+1", "5"), ("cores", "8"), ("256", "256"),
     ("on", "on"), ("cores-8", None)],
)  # fmt: skip
def test_values_are_made_from_figures(text, value):
    """Cores and streams are counted with; what comes out below one is no value."""
    assert value == evaluate(text, FIGURES)


def test_without_a_count_of_cores_they_are_not_tried():
    """A machine that does not tell its cores has no values made from them."""
    assert evaluate("cores-1", {"cores": None, "streams": 1}) is None


def test_the_table_has_no_settings_that_change_answers(command):
    """Cache types are never searched by themselves."""
    assert not {"cache-type-k", "cache-type-v"} & grid_of(command, FIGURES, {}).keys()


def test_what_the_default_has_already_is_not_tried_again(command):
    """A value the command sets anyway would be measured against itself."""
    grid = grid_of(command, FIGURES, {"ubatch-size": ("512", "256", "256")})

    assert {"ubatch-size": ("256",)} == grid


def test_more_contexts_than_memory_holds_are_not_tried(command):
    """More slots mean more memory: only what the planner lets pass."""
    grid = grid_of(command, FIGURES, {"parallel": ("5", "8")}, lambda slots: slots < 8)

    assert {"parallel": ("5",)} == grid


def test_a_setting_of_another_program_is_refused():
    """llama_cpp.server knows no flash attention switch."""
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"), engine="llamacpp")
    other = build_command(plan, runner="llama_cpp.server")

    with pytest.raises(UsageError, match="no setting flash-attn"):
        grid_of(other, FIGURES, {"flash-attn": ("on",)})


def test_options_are_read_by_name():
    """A name given twice has two values."""
    assert {"threads": ("1", "2"), "spin": ("1000",)} == parse_grid(["threads=1,threads=2", "spin=1000"])


@pytest.mark.parametrize("text", ["threads", "threads=", "=1", "threads=1;rm", "threads=$(x)", "--threads=1", "a=b c"])
def test_anything_else_is_refused(text):
    """The error quotes what is no name and value, and gives an example."""
    with pytest.raises(UsageError, match="--server-options"):
        parse_grid([text])


def test_an_unknown_setting_is_named_with_its_nearest(command):
    """A typing error costs nothing."""
    with pytest.raises(UnknownNameError, match="threads"):
        grid_of(command, FIGURES, {"thread": ("1",)})
