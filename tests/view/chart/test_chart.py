"""Charts as data: gaps, limits, and what a screen reader is told."""

import math

import pytest

from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import LOOKS, Reference, Series, runs_of


def chart(*series, **options):
    """Return a chart of a few series."""
    return Chart("Speed doubles", "Streams", "Speed (tok/s)", series, **options)


def test_no_two_origins_look_alike():
    """Dash pattern and marker both differ between any two origins."""
    assert len(LOOKS) == len({look.dash for look in LOOKS.values()})
    assert len(LOOKS) == len({look.marker for look in LOOKS.values()})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, None])
def test_what_cannot_be_drawn_is_a_gap(value):
    """A gap is never bridged: the line breaks there."""
    series = chart(Series("a", (1, 2, 3, 4), (1.0, value, 3.0, 4.0), "measured")).series[0]
    assert (1.0, None, 3.0, 4.0) == series.y
    assert [[0], [2, 3]] == runs_of(series)


def test_a_log_axis_has_no_zero():
    """Zero and negative values are gaps where an axis is logarithmic."""
    drawn = chart(Series("a", (0, 2, 4), (1.0, 0.0, 3.0), "measured"), log_x=True, log_y=True)
    assert (None, None, 3.0) == drawn.series[0].y


def test_limits_that_cannot_be_drawn_are_left_out():
    """An infinite limit would stretch the axis to nothing."""
    assert () == chart(references=(Reference("all", math.inf),)).references


@pytest.mark.parametrize(
    "series",
    [Series("a", (1, 2), (1.0,), "measured"), Series("a", (1,), (1.0,), "measured", low=(0.5,))],
)
def test_lists_that_do_not_match_are_refused(series):
    """A chart that would draw something else than meant is not made."""
    with pytest.raises(ValueError, match="series 'a'"):
        chart(series)


def test_the_text_has_every_figure_with_its_origin():
    """Finding, axes, values and intervals, for people who do not see the plot."""
    text = chart(
        Series("Flash", (1, 2), (10.0, 20.5), "measured"),
        Series("Flash", (1, 2), (12.0, 24.0), "predicted", low=(6.0, 12.0), high=(20.0, 40.0)),
        references=(Reference("limit 30", 30.0),),
        subtitle="a stand-in",
    ).to_text()
    for words in ("Speed doubles", "Streams", "Speed (tok/s)", "Flash, measured", "Flash, predicted", "20.5",
                  "24 (12 to 40)", "limit 30", "a stand-in"):  # fmt: skip
        assert words in text


def test_the_text_of_a_long_series_stays_short():
    """A run of an hour is told by two dozen of its values, first and last among them."""
    times = tuple(range(10_000))
    table = chart(Series("a", times, tuple(map(float, times)), "measured")).to_table()
    assert 24 == len(table.rows)
    assert ("0", "9,999") == (table.rows[0][0], table.rows[-1][0])


def test_a_notebook_gets_all_forms():
    """One bundle: plotly, SVG and text."""
    bundle = chart(Series("a", (1,), (1.0,), "measured"))._repr_mimebundle_()
    assert {"application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"} == set(bundle)
