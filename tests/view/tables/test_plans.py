"""A plan's tables say what is needed once, and what lies on every rank as often."""

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.units import GIB
from seatrial.view.plots.plan_memory import memory_chart
from seatrial.view.tables.lessons import table_plans
from seatrial.view.tables.memory import COPIES, NEEDED, footprint_table
from seatrial.view.tables.plans import chat_line, table_plan_memory, table_plan_speed


def test_ranks_hold_copies():
    """Tensor parallelism needs more over all GPUs than every byte counted once."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"))
    assert plan.need_bytes == plan.footprint.per_gpu_bytes * 4 > plan.footprint.total_bytes
    assert NEEDED in dict(table_plan_memory(plan).rows)


def test_layers_on_several_gpus_are_no_copies():
    """llama.cpp puts each layer on one GPU: rounding to whole bytes and layers copies nothing."""
    plan = make_plan("flash", hardware=detect_hardware("rtx4090x2", host_memory_gib=256))
    assert ("llamacpp", plan.footprint.total_bytes) == (plan.engine, plan.need_bytes)
    assert NEEDED not in dict(table_plan_memory(plan).rows)


def test_what_is_held_against_the_capacity_is_in_its_unit():
    """A capacity of 1,033 GiB is no 1.0 TiB beside needs in GiB; what is far below one keeps its digits."""
    rows = dict(table_plan_memory(make_plan("flash", hardware=detect_hardware("h200x8"))).rows)
    assert {"GiB"} == {rows[name].split()[1] for name in ("weights", NEEDED, "capacity")}
    tiny = table_plan_memory(make_plan("tiny-v4", hardware=detect_hardware("cpu", host_memory_gib=24)))
    assert "MiB" == dict(tiny.rows)["needed"].split()[1]


def test_a_single_gpu_is_not_the_fullest_of_one():
    """One GPU is the GPU."""
    plan = make_plan("flash", hardware=detect_hardware("m3-ultra-512gb"))
    assert "on the GPU" in dict(table_plan_memory(plan).rows)


def test_a_footprint_tells_the_sum_over_the_ranks_like_the_plan():
    """Both tables of one machine name the same need, and rows of nothing are left out."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"))
    rows = {row[0]: row[1] for row in footprint_table(plan.footprint, plan.checkpoint, plan.need_bytes).rows}
    assert f"{plan.need_bytes:,}" == rows[NEEDED]
    assert "host memory" not in rows
    table = footprint_table(plan.footprint, "it")
    assert NEEDED not in {row[0] for row in table.rows}
    assert "for 1 request of 32,768 tokens on sglang" in table.title


def test_one_plan_needs_one_number_wherever_it_is_shown():
    """Tables, picture and title of four GPUs that copy caches name the same need, and say what is copied."""
    plan, other = (make_plan(model, hardware=detect_hardware("h200x4")) for model in ("flash", "pro"))
    need = f"{plan.need_bytes / GIB:,.1f} GiB"
    summary, memory = table_plans([plan]), table_plan_memory(plan)
    footprint = footprint_table(plan.footprint, "it", plan.need_bytes)
    drawn = memory_chart([plan, other])
    assert "together" in drawn.x_label  # the other needs host memory too
    assert need == summary.rows[0][2] == dict(memory.rows)[NEEDED]
    assert need == f"{sum(series.y[0] for series in drawn.series):,.1f} GiB"
    assert footprint.title.startswith(f"it needs {need} ")
    assert all(COPIES in table.note for table in (summary, memory, footprint))


def test_both_parsers_say_whose_they_are():
    """Two names that are the same tell nothing."""
    plan = make_plan("flash", hardware=detect_hardware("h200x8"), engine="vllm")
    assert "reasoning parser deepseek_v4; tool-call parser deepseek_v4" in chat_line(plan.chat)


def test_a_machine_with_one_memory_reads_nothing_from_host_memory():
    """0.00 GB with 8 threads is no help to anybody."""
    note = table_plan_speed(make_plan("flash", hardware=detect_hardware("m3-ultra-512gb"))).note
    assert "host memory" not in note
    split = table_plan_speed(make_plan("flash", hardware=detect_hardware("rtx4090x2", host_memory_gib=128))).note
    assert "GB from host memory with" in split
