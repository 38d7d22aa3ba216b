"""A plan's tables say what is needed once, and what lies on every rank as often."""

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.view.plan_tables import table_plan_memory

COPIES = "total with copies on every rank"


def test_ranks_hold_copies():
    """Tensor parallelism needs more over all GPUs than every byte counted once."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"))
    assert plan.need_bytes == plan.footprint.per_gpu_bytes * 4 > plan.footprint.total_bytes
    assert COPIES in dict(table_plan_memory(plan).rows)


def test_layers_on_several_gpus_are_no_copies():
    """llama.cpp puts each layer on one GPU: rounding to whole bytes and layers copies nothing."""
    plan = make_plan("flash", hardware=detect_hardware("rtx4090x2", host_memory_gib=256))
    assert ("llamacpp", plan.footprint.total_bytes) == (plan.engine, plan.need_bytes)
    assert COPIES not in dict(table_plan_memory(plan).rows)
