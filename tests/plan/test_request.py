"""What is asked of the planner: bounds are named, and what to do beyond them."""

from dataclasses import replace

import pytest

from seatrial.engines import build_command
from seatrial.errors import UsageError
from seatrial.hardware import detect_hardware
from seatrial.hardware.named import named_machine
from seatrial.plan import make_plan
from seatrial.plan.request import Request
from seatrial.units import GIB


@pytest.mark.parametrize(
    ("choice", "limit", "advice"),
    [
        ({"concurrency": 100_000}, "more than the 65,536", "divide the load among several"),
        ({"nodes": 17}, "more than 16 machines", "equal groups"),
        ({"context_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"prompt_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"answer_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"tensor_parallel": 5000}, "more than the 4,096", "GPUs"),
        ({"concurrency": 0}, "asks for nothing", "1 to 65,536"),
        ({"nodes": -1}, "asks for nothing", "1 to 16"),
    ],
)
def test_a_number_beyond_the_bounds_names_them_and_says_what_next(choice, limit, advice):
    """Never a bare no."""
    with pytest.raises(UsageError, match=limit) as caught:
        Request(named_machine("h200x8"), **choice).check()
    assert advice in caught.value.remedy


def sliced(count, memory_gib):
    """Return a machine with one H200 in so many MIG slices."""
    hardware = detect_hardware("h200x8", host_memory_gib=512)
    changed = {"name": "MIG", "mig": True, "accelerator": None, "memory_bytes": memory_gib * GIB}
    return replace(hardware, gpus=tuple(replace(gpu, **changed) for gpu in hardware.gpus[:count]))


@pytest.mark.parametrize(("engine", "runs"), [("sglang", False), ("vllm", False), ("llamacpp", True)])
def test_slices_of_a_gpu_do_not_work_together(engine, runs):
    """CUDA shows a process one MIG slice, so one is all a plan counts on, and it says so."""
    plan = make_plan("flash", hardware=sliced(7, 71), engine=engine)
    alone = make_plan("flash", hardware=sliced(1, 71), engine=engine)
    assert runs == plan.runs == alone.runs
    assert (plan.capacity_bytes, plan.gpus_per_node, ()) == (alone.capacity_bytes, 1, plan.gpu_shares)
    assert runs == any("MIG slices do not work together" in reason.text for reason in plan.reasons)
    if runs:
        assert build_command(plan).argv == build_command(alone).argv
    else:
        with pytest.raises(UsageError, match="asks for more GPUs"):
            make_plan("flash", hardware=sliced(7, 71), engine=engine, tensor_parallel=4)
