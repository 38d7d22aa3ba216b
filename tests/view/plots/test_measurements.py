"""The kit's own plots: the finding in the title, units on the axes, origins kept."""

from dataclasses import replace

import pytest
from tests.view.made_up import LEVELS, measurement, plans, point

from seatrial.hardware import detect_hardware
from seatrial.measure import Workload
from seatrial.plan import make_plan
from seatrial.view.chart.axis import text_width
from seatrial.view.plots.measurements import (
    load_levels,
    memory_over_time_chart,
    throughput_chart,
    tokens_chart,
    ttft_chart,
)
from seatrial.view.plots.plan_memory import memory_chart

EMPTY = {"points": (), "samples": ()}


def test_throughput_says_the_best_and_how_much_better_it_is():
    """Title, measured line and predicted interval."""
    chart = throughput_chart(measurement())
    assert "Throughput peaks at 210 tok/s with 8 streams, 3.1 times 1 stream" == chart.title
    assert ["measured", "predicted"] == [series.origin for series in chart.series]
    assert "Concurrent streams" == chart.x_label
    assert chart.log_x


def test_what_is_no_deepseek_v4_says_so():
    """A stand-in and a simulation stand in the subtitle, a simulation in the series too."""
    chart = throughput_chart(measurement(simulated=True))
    assert "SIMULATED" in chart.subtitle
    assert "a stand-in, not DeepSeek V4" in chart.subtitle
    assert "simulated" == chart.series[0].origin


def test_predictions_come_from_the_plan_where_the_points_have_none():
    """The figures of both ways are the same kind of series."""
    bare = measurement(points=tuple(replace(one, predicted_tokens_per_s=None) for one in measurement().points))
    predicted = make_plan("smollm2", hardware=detect_hardware("cpu")).prediction
    assert 1 == len(throughput_chart(bare).series)
    assert (1.0,) == throughput_chart(bare, {1: predicted}).series[1].x


def test_several_runs_are_named_and_the_fastest_is_the_finding():
    """One line a run."""
    chart = throughput_chart({"slow": measurement(), "fast": measurement(1.5)})
    assert "fast is fastest with 315 tok/s" == chart.title
    assert {"slow", "fast"} == {series.name for series in chart.series}


def test_each_kind_of_load_is_a_line_by_rising_load():
    """Prompt lengths are not joined by one line, and the loads that a search tried last are not drawn backwards."""
    loads = [(1, "short"), (8, "short"), (4, "short"), (1, "long"), (8, "long")]
    points = tuple(
        replace(point(streams, 10.0 * streams), label=f"{streams} streams, {kind}") for streams, kind in loads
    )
    lines = [one for one in throughput_chart(measurement(points=points)).series if one.origin == "measured"]
    assert [("made-up-model, short", (1.0, 4.0, 8.0)), ("made-up-model, long", (1.0, 8.0))] == [
        (one.name, one.x) for one in lines
    ]


def test_the_finding_is_of_a_valid_level():
    """A level the client did not keep up with is not the peak while there is another, and is marked where there is none."""
    points = measurement().points
    bad = [replace(one, self_check=replace(one.self_check, valid=False, why="Slow.")) for one in points]
    title = throughput_chart(measurement(points=(*points[:3], bad[3]))).title
    assert title.startswith("Throughput peaks at 170 tok/s with 4 streams (of the valid load levels)")
    assert "times" not in throughput_chart(measurement(points=(bad[0], *points[1:]))).title
    assert "peaks at 210 tok/s (not valid) with 8" in throughput_chart(measurement(points=tuple(bad))).title
    both = {"doubtful": measurement(2.0, points=tuple(bad)), "sound": measurement()}
    assert "sound is fastest with 210 tok/s" == throughput_chart(both).title


@pytest.mark.parametrize("make", [throughput_chart, ttft_chart, tokens_chart, memory_over_time_chart])
def test_axis_titles_are_shorter_than_a_plot_is_high(make):
    """A long title of the upright axis would run into the subtitle: 220 pixels at 13 are what is sure."""
    assert text_width(make(measurement()).y_label, 13) < 220


def test_waiting_times_take_the_unit_people_read():
    """Milliseconds below two seconds, else seconds; half of the requests, and nine in ten."""
    chart = ttft_chart(measurement())
    assert ("Time to first token (ms)", 480.0) == (chart.y_label, chart.series[0].y[-1])
    slow = measurement(points=tuple(point(30 * streams, 10.0) for streams in LEVELS))
    assert "Time to first token (s)" == ttft_chart(slow).y_label


def test_open_load_counts_from_when_people_came():
    """TTFT from the schedule, over arrivals a second."""
    late = replace(point(1, 10.0), concurrency=None, rate=2.5, ttft_s=None)
    chart = ttft_chart(measurement(workload=Workload(concurrency=(), rate=2.5), points=(late,)))
    assert "Requests arriving per second" == chart.x_label
    assert (60.0,) == chart.series[0].y


def test_a_run_over_time_marks_its_load_levels():
    """Each level is a named stretch."""
    chart = tokens_chart(measurement())
    assert ["1 stream", "2 streams", "4 streams", "8 streams"] == [span.name for span in chart.spans]
    assert (10.0, 19.75) == (chart.spans[1].start, chart.spans[1].end)


def test_a_line_breaks_between_load_levels():
    """Nobody looked while the next level was warmed up, so nothing is drawn there."""
    series = tokens_chart(measurement()).series[0]
    assert [10.0, 20.0, 30.0] == [x for x, y in zip(series.x, series.y, strict=True) if y is None]


def test_memory_of_each_gpu_is_a_line():
    """Host memory and every GPU; an unread value is a gap."""
    samples = tuple(replace(one, gpu_memory_bytes=(1 << 30, None)) for one in measurement().samples)
    chart = memory_over_time_chart(measurement(samples=samples))
    assert ["engine, host memory", "GPU 0"] == [series.name for series in chart.series]
    assert "Memory in use (GiB)" == chart.y_label


@pytest.mark.parametrize("make", [throughput_chart, ttft_chart, tokens_chart, memory_over_time_chart])
def test_a_run_without_success_is_said_not_drawn(make):
    """No figure is made up where there is none."""
    chart = make(measurement(**EMPTY))
    assert chart.is_empty
    assert any(word in chart.title for word in ("No ", "could not"))


def test_levels_that_are_not_over_are_named_by_number():
    """A load that was stopped has samples without a point."""
    assert ["level 1", "level 2"] == [span.name for span in load_levels(measurement().samples[:80])]


def test_memory_on_each_gpu_adds_up_to_the_fullest():
    """Weights, caches and reserve of one GPU are its footprint."""
    plan = plans("h200x8")[0]
    chart = memory_chart(plan)
    assert "Memory on each GPU (GiB)" == chart.x_label
    assert pytest.approx(plan.footprint.per_gpu_bytes / 2**30) == sum(series.y[0] for series in chart.series)


def test_copied_weights_are_not_drawn_as_cache():
    """Attention replicas copy dense weights to each GPU; the cache is what the footprint says."""
    plan = make_plan("flash", hardware=detect_hardware("b200x8"), engine="sglang", objective="throughput")
    parts = plan.footprint.per_gpu_by_part
    drawn = {series.name: series.y[0] * 2**30 for series in memory_chart(plan).series}
    assert plan.parallelism.data > 1
    assert pytest.approx(parts["kv"] + parts["state"]) == drawn["KV cache and state"]
    assert pytest.approx(parts["reserve"]) == drawn["Reserve, assumed"]


def test_memory_together_adds_up_to_the_footprint():
    """Where host memory is used too, everything is shown at once."""
    chart = memory_chart(plans("cpu"))
    for bar, plan in enumerate(plans("cpu")):
        assert pytest.approx(plan.footprint.total_bytes / 2**30) == sum(series.y[bar] for series in chart.series)
    assert "needs" in chart.title


def test_what_hangs_on_unnamed_host_memory_does_not_just_fit():
    """A named GPU machine says nothing of its host memory, so the verdict has a condition."""
    plan = make_plan("pro", hardware=detect_hardware("rtx4090x1"))
    assert "if" in memory_chart(plan).title
    assert memory_chart(plan).references[0].name.startswith("host memory assumed")


def test_runs_that_cannot_be_compared_have_no_winner():
    """A simulation is no faster than a model that answered."""
    both = {"real": measurement(), "played": measurement(simulated=True)}
    titles = [chart(both).title for chart in (throughput_chart, ttft_chart)]
    assert ["Throughput of runs that cannot be compared", "Waiting times of runs that cannot be compared"] == titles
