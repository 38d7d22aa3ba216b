"""Plotly figures: the same series and looks as the SVG, and text that plotly cannot take for markup."""

import json

import pytest
from tests.view.chart.test_svg import HOSTILE_CHART, ORIGINS
from tests.view.made_up import measurement, plans

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.view.chart.chart import PLOTLY_MIME
from seatrial.view.chart.plotly import literal, to_plotly
from seatrial.view.plots.fits import fit_chart
from seatrial.view.plots.gpu_memory import gpu_memory_chart
from seatrial.view.plots.measurements import throughput_chart, tokens_chart
from seatrial.view.plots.plan_memory import memory_chart


def test_every_series_is_there_with_its_values():
    """X and y are those of the chart."""
    chart = throughput_chart(measurement())
    traces = {trace.name: trace for trace in to_plotly(chart).data}
    for series in chart.series:
        assert series.x == tuple(traces[series.label].x)
        assert series.y == tuple(traces[series.label].y)


def test_a_predicted_interval_is_a_band():
    """Low and high end are traces of their own, the space between them filled."""
    names = [trace.name for trace in to_plotly(throughput_chart(measurement())).data if trace.fill == "tonexty"]
    assert ["made-up-model, predicted: low to high"] == names


def test_no_two_origins_look_alike():
    """Dash and symbol differ, not only colour."""
    looks = [(trace.line.dash, trace.marker.symbol, trace.marker.line.width) for trace in to_plotly(ORIGINS).data]
    assert len(looks) == len({dash for dash, _, _ in looks})
    assert len(looks) == len({(symbol, width) for _, symbol, width in looks})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
        ("<a href='http://evil/'>x</a>", "&lt;a href='http://evil/'&gt;x&lt;/a&gt;"),
        ("$\\href{javascript:1}{x}$", "&#36;\\href{javascript:1}{x}&#36;"),
        ("\x1b[31mred\u202e", "red"),
    ],
)
def test_plotly_reads_no_markup_and_no_tex(text, shown):
    """Tags, links and TeX arrive as the characters they are."""
    assert shown == literal(text)


def test_hostile_text_stays_text():
    """Nothing in the figure is a tag, except the breaks and the bold that stand here."""
    text = (
        json.dumps(to_plotly(HOSTILE_CHART).to_plotly_json()).replace("<b>", "").replace("</b>", "").replace("<br>", "")
    )
    text = text.replace("<extra>", "").replace("</extra>", "")
    assert "<" not in text
    assert "$" not in text


@pytest.mark.parametrize("make", [lambda: tokens_chart(measurement()), lambda: memory_chart(plans())])
def test_a_bundle_is_plain_json(make):
    """It can be stored in a notebook, in at most 100 kB."""
    forms = make()._repr_mimebundle_()
    assert {"data", "layout", "config"} == set(forms[PLOTLY_MIME])
    assert len(json.dumps(forms)) < 100_000


def test_bars_are_drawn_against_their_limits():
    """One line and one name for each bar's capacity."""
    layout = to_plotly(memory_chart(plans())).layout
    assert (2, 2) == (len(layout.shapes), len(layout.annotations))


def test_equal_limits_of_compact_bars_are_named_once():
    """Eight names above eight bars would run into one another; each bar has its line all the same."""
    figure = to_plotly(gpu_memory_chart(make_plan("pro", hardware=detect_hardware("h200x8"))))
    assert 1 == len(figure.layout.annotations)
    assert 8 == len(figure.layout.shapes)


def test_a_ring_marks_a_point_and_stands_in_no_legend():
    """The largest context of each line, named where one points at it."""
    chart = fit_chart("h200x4")
    rings = [trace for trace in to_plotly(chart).data if trace.mode == "markers"]
    assert [(mark.x, mark.y) for mark in chart.highlights] == [(ring.x[0], ring.y[0]) for ring in rings]
    assert {False} == {ring.showlegend for ring in rings}
