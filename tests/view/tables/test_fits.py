"""What fits a machine, and up to which context: the figures are the planner's own."""

import pytest

from seatrial.catalog import checkpoints, find_checkpoint
from seatrial.errors import UnknownNameError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.fits import STEP, available_bytes, checkpoint_plans, fits_on, left_out, runs_all_at_once
from seatrial.plan.request import Request
from seatrial.units import GIB
from seatrial.view.plots.fits import fit_chart
from seatrial.view.tables.fits import contexts_table, table_fits


def asked(machine, host_memory_gib=None, **wishes):
    """Return a question to the planner."""
    return Request(detect_hardware(machine, host_memory_gib=host_memory_gib), **wishes)


def planned(fit, context, concurrency=1):
    """Make exactly this plan on the same machine: the free memory of this one changes any moment."""
    return make_plan(
        checkpoint=fit.plan.checkpoint,
        hardware=fit.plan.hardware,
        engine=fit.plan.engine,
        context_tokens=context,
        concurrency=concurrency,
    )


@pytest.mark.parametrize(
    ("machine", "model", "concurrency"), [("h100x4", "flash", 16), ("h200x8", "pro", 4), ("cpu", "flash", 1)]
)
def test_each_row_is_what_a_plan_says(machine, model, concurrency):
    """Verdict, bytes and room are those of ``make_plan`` for the same checkpoint and engine."""
    for fit in fits_on(asked(machine, context_tokens=65536, concurrency=concurrency), model):
        plan = planned(fit, 65536, concurrency)
        expected = (plan.verdict, plan.footprint.per_gpu_bytes, plan.footprint.host_bytes, plan.capacity_bytes)
        found = fit.plan
        assert expected == (
            found.verdict,
            found.footprint.per_gpu_bytes,
            found.footprint.host_bytes,
            found.capacity_bytes,
        )


def test_the_largest_context_is_the_largest():
    """At it no request waits; a step further one does, or the model ends."""
    found = [fit for fit in fits_on(asked("h100x4", concurrency=16), "flash") if fit.largest_context_tokens]
    assert found
    for fit in found[:4]:
        assert runs_all_at_once(planned(fit, fit.largest_context_tokens, 16))
        further = fit.largest_context_tokens + STEP
        assert further > 1048576 or not runs_all_at_once(planned(fit, further, 16))


def test_what_runs_comes_first_and_the_fastest_of_it():
    """Verified, fits, does not fit, refused; and among equals that chat the faster, what cannot chat after them."""
    fits = fits_on(asked("h200x4"), "flash")
    order = ["verified", "fits", "does_not_fit", "refused"]
    places = [order.index(fit.plan.verdict) for fit in fits]
    assert sorted(places) == places
    equals = [fit.plan for fit in fits if fit.plan.verdict == "fits"]
    speeds = [plan.prediction.decode_tokens_per_s.expected for plan in equals if plan.chat]
    assert sorted(speeds, reverse=True) == speeds
    assert [plan.checkpoint for plan in equals[len(speeds) :]] == ["deepseek-ai/DeepSeek-V4-Flash-Base"]


def test_every_sized_checkpoint_an_engine_loads_has_a_row():
    """None is left out, none stands twice."""
    names = [row[0] for row in table_fits("h200x4").rows]
    assert len(names) == len(set(names))
    assert {"deepseek-ai/DeepSeek-V4-Flash", "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL"} <= set(names)


@pytest.mark.parametrize("machine", ["h100x8", "m3-ultra-512gb", "cpu"])
@pytest.mark.parametrize("model", ["flash", "pro"])
def test_what_a_table_leaves_out_is_named_with_why(machine, model):
    """Rows and note together name every checkpoint of the model in the catalog, each once."""
    shown = [fit.plan.checkpoint for fit in fits_on(asked(machine), model)]
    omitted = left_out(asked(machine), model)
    every = sorted(row.id for row in checkpoints() if row.model == model)
    assert every == sorted([*shown, *(name for names in omitted.values() for name in names)])
    note = table_fits(machine, model).note
    assert all(f"Not shown ({why}): {', '.join(names)}." in note for why, names in omitted.items())


def test_a_mac_s_own_engine_is_no_reason_to_leave_a_checkpoint_out():
    """MLX is asked for by name, and its checkpoints have rows on a Mac; elsewhere the note says what they need."""
    rows = {row[0]: row[2] for row in table_fits("m3-ultra-512gb").rows}
    assert "mlx" == rows["deepseek-ai/DeepSeek-V4-Flash-0731"]
    assert not any("mlx and" in why and "Mac" in why for why in left_out(asked("m3-ultra-512gb"), "flash"))
    assert {"needs mlx and a Mac", "needs sglang or vllm and GPUs of NVIDIA or AMD, or mlx and a Mac"} == {
        why for why in left_out(asked("cpu"), "flash") if "mlx and" in why
    }


def test_a_table_says_how_much_is_missing():
    """A checkpoint that does not fit says by how much, one that is refused names no bytes."""
    rows = {row[0]: tuple(cell.replace("\u00a0", " ") for cell in row) for row in table_fits("h200x4", "pro").rows}
    assert rows["deepseek-ai/DeepSeek-V4-Pro"][1].startswith("✗ ")
    assert rows["deepseek-ai/DeepSeek-V4-Pro"][1].endswith(" GiB short")
    assert ("⊘ refused", "", "") == (
        rows["nvidia/DeepSeek-V4-Pro-NVFP4"][1],
        *rows["nvidia/DeepSeek-V4-Pro-NVFP4"][4:6],
    )


def test_a_crowd_waits_where_the_cache_is_full():
    """Up to its largest context all run at once, beyond it fewer do, and the table says how many."""
    request = asked("h200x4", concurrency=256)
    fit = next(fit for fit in fits_on(request, "flash") if fit.plan.checkpoint.endswith("0731"))
    plans = checkpoint_plans(request, find_checkpoint("flash"), "sglang")
    table = contexts_table(plans, fit)
    waiting = [row for row in table.rows if row[1].endswith("at once")]
    assert f"fits up to {fit.largest_context_tokens:,} tokens" in table.title
    assert [plan.footprint.concurrency for plan in plans if not runs_all_at_once(plan)] == [
        int(row[1].split()[1]) for row in waiting
    ]


def test_the_chart_s_points_are_the_planner_s_figures():
    """Every point of every line, the limit and the ringed context."""
    chart = fit_chart("h200x4")
    plans = checkpoint_plans(asked("h200x4"), find_checkpoint("flash"), "sglang")
    line = next(series for series in chart.series if "0731" in series.name)
    assert [plan.need_bytes / 4 / GIB for plan in plans] == list(line.y)
    # Recipes give the checkpoints different shares, so other lines may have another limit.
    limits = {round(plan.capacity_bytes / 4 / GIB, 6) for plan in plans}
    assert limits <= {round(mark.value, 6) for mark in chart.references}
    assert {1048576} == {mark.x for mark in chart.highlights}
    assert "largest context 1,048,576 tokens" in chart.to_text()


def test_a_line_ends_where_requests_would_wait():
    """Beyond the largest context the footprint is of fewer requests and could not be compared."""
    chart = fit_chart("h200x4", concurrency=256)
    mark = next(mark for mark in chart.highlights)
    line = chart.series[mark.series]
    assert mark.x == max(x for x, y in zip(line.x, line.y, strict=True) if y is not None)
    assert {"derived"} == {series.origin for series in chart.series}


def test_where_nothing_fits_the_need_is_shown_above_the_limit():
    """A picture of a no is a picture too."""
    chart = fit_chart("m5-max-36gb", "pro")
    assert () == chart.highlights
    assert max(mark.value for mark in chart.references) < min(y for series in chart.series for y in series.y)
    assert "nothing fits: " in chart.title


def test_unknown_names_are_errors():
    """A parameter that is wrong is not hidden in an empty table."""
    with pytest.raises(UnknownNameError):
        table_fits("h2O0x4")
    with pytest.raises(UnknownNameError):
        fit_chart("h200x4", "flush")


def test_what_does_not_fit_is_never_below_the_limit():
    """Of llama.cpp's two pools one may be too small while the sum would do: the table shows that one, the chart no point."""
    request = asked("rtx4090x2", host_memory_gib=192)
    for plan in checkpoint_plans(
        request, find_checkpoint("unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"), "llamacpp"
    ):
        assert plan.runs == (plan.need_bytes <= available_bytes(plan))
    chart = fit_chart("m5-max-128gb")
    limit = max(mark.value for mark in chart.references)
    reached = {mark.series: mark.x for mark in chart.highlights}
    for place, series in enumerate(chart.series):
        beyond = [y for x, y in zip(series.x, series.y, strict=True) if y is not None and x > reached.get(place, 0)]
        assert [] == [y for y in beyond if y <= limit]
