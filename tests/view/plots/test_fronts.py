"""The front: what each user gets against what a GPU gives."""

from dataclasses import replace

from tests.view.made_up import HOSTILE, measurement, point, quantiles

from seatrial.measure import SelfCheck
from seatrial.records import Interval
from seatrial.view.chart.svg import to_svg
from seatrial.view.plots.fronts import front_chart


def measured(**changes):
    """Return two load levels, 100 and 10 tokens a second for each user."""
    rows = ((1, 100.0, 0.01), (16, 800.0, 0.1))
    points = tuple(replace(point(streams, rate), tpot_s=quantiles(tpot), **changes) for streams, rate, tpot in rows)
    return measurement(points=points)


def test_throughput_of_a_gpu_over_the_speed_for_a_user():
    """Slowest user first, the load beside each point."""
    chart = front_chart({"A": measured()}, {"A": 4}, "The finding")
    (line,) = chart.series
    assert (10.0, 100.0) == line.x
    assert (200.0, 25.0) == line.y
    assert ("16", "1") == line.labels
    assert ("The finding", "Output of each GPU (tok/s)") == (chart.title, chart.y_label)
    drawn = to_svg(chart)
    assert ">16</text>" in drawn
    assert "a stand-in, not DeepSeek V4" in chart.subtitle


def test_without_a_number_of_gpus_the_whole_output_is_drawn():
    """Of one run it is not known, so none is divided."""
    chart = front_chart({"A": measured(), "B": measured()}, {"A": 4, "B": None}, "")
    assert [(800.0, 100.0)] * 2 == [line.y for line in chart.series]
    assert "Output (tok/s)" == chart.y_label


def test_intervals_are_drawn_and_doubtful_levels_ringed():
    """Repeated runs have an interval; what is partial or not valid has a ring, which is explained."""
    late = SelfCheck(0.01, 0.9, 0.1, valid=False, why="late")
    chart = front_chart(
        {"A": measured(output_tokens_per_s_interval=Interval(80.0, 100.0, 120.0), self_check=late)}, {"A": 2}, ""
    )
    (line,) = chart.series
    assert ((40.0, 40.0), (60.0, 60.0)) == (line.low, line.high)
    assert 2 == len(chart.highlights)
    assert "a ring: not valid, or stopped before its end" in chart.subtitle
    assert 2 == len(front_chart({"A": measured(partial=True)}, {"A": 2}, "").highlights)


def test_levels_without_a_speed_are_left_out():
    """Nothing succeeded, or every answer came in one read; hostile names stay text."""
    nothing = measurement(
        points=(replace(point(1, 1.0), tpot_s=None), replace(point(2, 1.0), output_tokens_per_s=None))
    )
    chart = front_chart({HOSTILE: nothing}, {}, HOSTILE)
    assert chart.is_empty
    assert "<script>" not in to_svg(chart)
