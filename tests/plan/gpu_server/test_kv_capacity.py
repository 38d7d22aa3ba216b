"""The share of GPU memory in the command is the one that works, and the smallest that works is said."""

from dataclasses import replace

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.hardware import detect_hardware
from seatrial.memory import compute_footprint
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan
from seatrial.plan.gpu_server.kv_capacity import fraction_needed

CASES = [
    ("h200x8", "flash", "sglang"),
    ("h200x8", "pro", "sglang"),
    ("h200x8", "flash", "vllm"),
    ("h100x4", "flash", "sglang"),
    ("h100x4", "flash", "vllm"),
    ("b200x8", "pro", "vllm"),
    ("mi355xx8", "pro", "sglang"),
    ("rtxpro6000x4", "flash", "sglang"),
]


CONTEXT_MOST = 2_952_790_016
"""The most SGLang's CUDA context and communication buffers are taken to be: 2.75 GiB."""


def fraction_holds(engine, footprint, gpu, fraction):
    """Return True if the engine starts with its share: vLLM counts all of the GPU, SGLang what is free before loading."""
    if engine == "vllm":
        return footprint.per_gpu_bytes <= gpu.memory_bytes * fraction
    parts = footprint.per_gpu_by_part
    pool = parts["weights_sharded"] + parts["weights_replicated"] + parts["kv"] + parts["state"]
    return pool <= (gpu.memory_bytes - CONTEXT_MOST) * fraction


@pytest.mark.parametrize(("machine", "model", "engine"), CASES)
@pytest.mark.parametrize("recipes", [True, False])
def test_the_smallest_fraction_works_and_a_hundredth_less_does_not(machine, model, engine, recipes):
    """For what the plan holds at once."""
    plan = make_plan(model, hardware=detect_hardware(machine), engine=engine, recipes=recipes, concurrency=16)
    gpu, least = plan.hardware.gpus[0], plan.gpu_memory_fraction_min
    assert plan.runs
    assert fraction_holds(engine, plan.footprint, gpu, least)
    assert not fraction_holds(engine, plan.footprint, gpu, least - 0.01)
    assert any(f"is {least:.2f}" in reason.text for reason in plan.reasons)
    if not recipes:
        assert least <= plan.gpu_memory_fraction


def test_the_smallest_fraction_that_was_reported():
    """SGLang itself asked for 0.9113 for Pro on 8x H200 (InferenceX#2128), after 0.88 had been given."""
    footprint = compute_footprint(
        find_checkpoint("deepseek-ai/DeepSeek-V4-Pro"),
        engine="sglang",
        context_tokens=1024,
        parallelism=Parallelism(tensor=8, data=8, expert=8),
    )
    gpu = detect_hardware("h200x8").gpus[0]
    assert 0.9113 == pytest.approx(fraction_needed("sglang", footprint, gpu), abs=0.01)
    assert not fraction_holds("sglang", footprint, gpu, 0.88)


def test_no_fraction_holds_what_is_larger_than_the_gpu():
    """There is none to name."""
    footprint = compute_footprint(find_checkpoint("deepseek-ai/DeepSeek-V4-Pro"), engine="vllm")
    assert fraction_needed("vllm", footprint, detect_hardware("h200x1").gpus[0]) is None


def test_vllm_is_not_given_more_than_is_free():
    """VLLM refuses a share of the GPU that is larger than what other programs left free; SGLang's is of the free part."""
    hardware = detect_hardware("h200x4")
    busy = tuple(replace(gpu, memory_free_bytes=int(gpu.memory_bytes * 0.617)) for gpu in hardware.gpus)
    choices = {"model": "flash", "hardware": replace(hardware, gpus=busy), "recipes": False}
    assert 0.61 == make_plan(engine="vllm", **choices).gpu_memory_fraction
    assert 0.9 == make_plan(engine="sglang", **choices).gpu_memory_fraction
