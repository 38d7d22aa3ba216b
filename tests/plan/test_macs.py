"""What the GPU of a Mac may take: as macOS sets it, as its owner raised it, and how a plan that fails asks for more."""

import re
from dataclasses import replace

import pytest

from seatrial.hardware import accelerators
from seatrial.hardware.named import named_machine
from seatrial.plan import make_plan
from seatrial.units import GIB, to_gib

MACS = [
    f"{row.key}-{size}gb"
    for row in accelerators().values()
    if row.vendor == "apple"
    for size in row.memory_options_gb or ()
]


def with_limit(name, gib):
    """Return a Mac whose owner has set the limit."""
    mac = named_machine(name)
    gpus = tuple(replace(gpu, memory_limit_bytes=int(gib * GIB)) for gpu in mac.gpus)
    return replace(mac, gpus=gpus)


@pytest.mark.parametrize("engine", ["llamacpp", "mlx"])
@pytest.mark.parametrize(
    ("mac", "gib"),
    [
        (named_machine("m5-max-128gb"), 96),
        (named_machine("m3-ultra-96gb"), 72),
        (named_machine("m2-max-32gb"), 21.3),
        (named_machine("m4-pro-48gb"), 36),
        (with_limit("m5-max-128gb", 112), 112),
        (with_limit("m3-ultra-96gb", 89.84), 89.84),
        (with_limit("m3-ultra-96gb", 40), 40),
    ],
)
def test_the_gpu_gets_what_was_measured_or_set(mac, gib, engine):
    """Three quarters of the memory, two thirds of a small one; a limit that is set counts as it is, also a lower one."""
    plan = make_plan("flash", hardware=mac, engine=engine)
    assert gib == pytest.approx(to_gib(plan.capacity_bytes), abs=0.05)


def test_a_raised_limit_makes_a_plan_fit():
    """People serve an 87 GB file on a Mac of 96 GB."""
    plan = make_plan(
        checkpoint="unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ1_S", hardware=with_limit("m3-ultra-96gb", 89.84)
    )
    assert "fits" == plan.verdict


@pytest.mark.parametrize("engine", ["llamacpp", "mlx", "sglang", "vllm"])
def test_a_limit_is_raised_before_another_computer_is_named(engine):
    """The remedy is a command; whoever follows it has a plan that fits, and the system keeps some memory."""
    plan = make_plan("flash", hardware=named_machine("m3-ultra-96gb"), engine=engine)
    assert not plan.runs
    assert "another machine" not in plan.smallest_change
    limit = re.search(r"sudo sysctl iogpu\.wired_limit_mb=([0-9]+)", plan.smallest_change)
    assert 72 * 1024 < int(limit[1]) <= 88 * 1024
    named = re.search(r"(llamacpp|mlx) with (\S+)", plan.smallest_change)
    wishes = (
        {"engine": named[1], "checkpoint": named[2]} if named else {"engine": engine, "checkpoint": plan.checkpoint}
    )
    assert make_plan(**wishes, hardware=with_limit("m3-ultra-96gb", int(limit[1]) / 1024)).runs


def test_a_longer_context_is_had_by_a_limit_too():
    """What was asked for counts more than a setting that costs nothing."""
    wishes = {"checkpoint": "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q2_K_XL", "context_tokens": 400_000}
    plan = make_plan(**wishes, hardware=named_machine("m5-max-128gb"))
    assert "wired_limit_mb=" in plan.smallest_change


def test_a_limit_that_cannot_help_is_not_named():
    """64 GB hold no checkpoint of V4, whatever the limit; memory that programs hold is not freed by it."""
    assert "wired_limit_mb" not in make_plan("flash", hardware=named_machine("m4-max-64gb")).smallest_change
    mac = named_machine("m3-ultra-96gb")
    busy = replace(mac, gpus=tuple(replace(gpu, memory_free_bytes=40 * GIB) for gpu in mac.gpus))
    assert "wired_limit_mb" not in make_plan("flash", hardware=busy).smallest_change


@pytest.mark.parametrize("name", MACS)
def test_every_mac_has_a_plan_or_a_way_to_one(name):
    """The verdict of auto is never left without what to do."""
    plan = make_plan("flash", hardware=named_machine(name))
    assert plan.runs or plan.smallest_change
