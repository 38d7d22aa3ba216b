"""A recipe holds only for a machine that has what it was run with."""

from dataclasses import replace

import pytest
from tests.plan.conftest import texts

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan

RELEASE = "deepseek-ai/DeepSeek-V4-Flash-0731"
PRO = "deepseek-ai/DeepSeek-V4-Pro-0813"


def busy(name, free):
    """Return a machine whose GPUs have only this share of their memory free."""
    hardware = detect_hardware(name)
    gpus = tuple(replace(gpu, memory_free_bytes=int(gpu.memory_bytes * free)) for gpu in hardware.gpus)
    return replace(hardware, gpus=gpus)


@pytest.mark.parametrize(("free", "verdict"), [(0.62, "fits"), (0.91, "fits"), (0.93, "verified"), (1.0, "verified")])
def test_vllm_does_not_start_with_a_share_that_is_not_free(free, verdict):
    """Its recipe takes 92 % of each GPU: on busier ones the plan is another one, with a share that is free."""
    plan = make_plan(checkpoint=RELEASE, hardware=busy("h200x8", free), engine="vllm")
    assert verdict == plan.verdict
    assert plan.gpu_memory_fraction_used <= free
    told = any(text.startswith("memory: it takes 92% of each GPU, and only ") for text in plan.recipe.differences)
    assert told == (verdict == "fits")


@pytest.mark.parametrize(("gib", "verdict"), [(1024, "fits"), (2048, "verified"), (None, "verified")])
def test_a_recipe_that_needs_host_memory_holds_only_with_it(gib, verdict):
    """Dynamo's recipe for a million tokens continues the KV cache in 1,500 GiB of host memory."""
    hardware = detect_hardware("h200x8", host_memory_gib=gib)
    plan = make_plan(checkpoint=PRO, hardware=hardware, engine="vllm", context_tokens=1_048_576)
    assert verdict == plan.verdict
    assert (verdict == "verified") == ("Each machine needs 1,500 GiB of host memory for it." in texts(plan))


def test_a_run_that_tells_its_cache_limits_the_requests():
    """V4-Pro in FP8 leaves 71,000 tokens on 8x MI300X: two requests of 32,768, and none of 100,000."""
    wishes = {"checkpoint": "deepseek-ai/DeepSeek-V4-Pro", "hardware": detect_hardware("mi300xx8"), "engine": "vllm"}
    plan = make_plan(concurrency=64, **wishes)
    assert ("fits", "not verified", 2) == (plan.verdict, plan.recipe.status, plan.running_requests_full)
    assert "71,000 tokens of KV cache in all" in texts(plan)
    longer = make_plan(context_tokens=100_000, **wishes)
    assert "refused" == longer.verdict
    assert any("100,000 tokens instead of 71,000" in text for text in longer.recipe.differences)


def test_a_vendor_s_run_is_told_with_its_driver_and_day():
    """NVIDIA names both, and the load it was measured with."""
    plan = make_plan(checkpoint=RELEASE, hardware=detect_hardware("gb10"), nodes=2, engine="vllm")
    assert ("verified", "verified") == (plan.verdict, plan.recipe.status)
    assert "on 2026-08-31, with vllm 0.1.dev20482+g83cb22a0e.d20260903, driver 580.159.03, 8 requests at once" in texts(
        plan
    )
