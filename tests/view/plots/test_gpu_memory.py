"""One bar a GPU and one for the host: the parts add up to the planner's own bytes."""

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.view.chart.svg import to_svg
from seatrial.view.plots.gpu_memory import gpu_memory_chart, memory_bars

MACHINES = (
    ("h200x4", "flash", None),
    ("h200x8", "pro", None),
    ("h100x2", "flash", None),
    ("h100x2", "pro", None),
    ("rtx4090x2", "flash", 128),
    ("m3-ultra-512gb", "flash", None),
    ("cpu", "pro", 256),
)


def plan(machine, model, host, **wishes):
    """Make a plan with a long context for a few requests."""
    hardware = detect_hardware(machine, host_memory_gib=host)
    return make_plan(model, hardware=hardware, context_tokens=131072, concurrency=8, **wishes)


@pytest.mark.parametrize(("machine", "model", "host"), MACHINES)
def test_parts_add_up_to_what_the_plan_says(machine, model, host):
    """No byte of the fullest GPU or of the host is lost, and none is below zero."""
    made = plan(machine, model, host)
    bars = memory_bars(made)
    footprint = made.footprint
    assert 0 <= min(part for bar in bars for part in bar.parts)
    if bars[0].name == "GPU 0":
        assert footprint.per_gpu_bytes == pytest.approx(
            max(bar.total_bytes for bar in bars if bar.name != "Host"), abs=64
        )
        hosted = sum(bar.total_bytes for bar in bars if bar.name == "Host")
        assert footprint.host_bytes == pytest.approx(hosted, abs=8)
    else:
        assert [footprint.total_bytes] == [bar.total_bytes for bar in bars]


def test_there_is_a_bar_for_each_gpu_and_one_for_the_host():
    """Two cards and what lies beside them, each against its own limit."""
    bars = memory_bars(plan("rtx4090x2", "flash", 128))
    assert ["GPU 0", "GPU 1", "Host"] == [bar.name for bar in bars]
    assert [True] * 3 == [bar.total_bytes <= bar.usable_bytes for bar in bars]


@pytest.mark.parametrize("machine", ["h100x2+rtx4090x2", "rtx3090x4"])
def test_each_gpu_of_llamacpp_has_its_own_layers(machine):
    """GPUs of two kinds, or with experts left in host memory: every bar stays below its own limit, no weight is lost."""
    made = plan(machine, "flash", 256, engine="llamacpp")
    bars = memory_bars(made)
    assert [True] * len(bars) == [bar.total_bytes <= bar.usable_bytes for bar in bars]
    weights = made.footprint.host_bytes if bars[-1].name != "Host" else 0
    assert made.footprint.weights_bytes == pytest.approx(weights + sum(bar.parts[0] for bar in bars), abs=64)


DRAFTED = (
    ("gb10x1", "UD-Q2_K_XL", {}),
    ("cpu", "UD-Q2_K_XL", {}),
    ("rtx4090x1", "UD-Q2_K_XL", {}),
    ("rtx4090x4", "UD-IQ3_XXS", {}),
    ("a100-80gbx4", "UD-Q8_K_XL", {}),
    ("a100-80gbx4", "UD-Q8_K_XL", {"tensor_parallel": 4}),
)


@pytest.mark.parametrize(("machine", "quantization", "choices"), DRAFTED)
def test_a_drafter_is_a_part_of_its_own(machine, quantization, choices):
    """The parts still add up to what the plan says, and no bar is above its limit."""
    checkpoint = f"unsloth/DeepSeek-V4-Flash-0731-GGUF:{quantization}"
    hardware = detect_hardware(machine, host_memory_gib=None if machine == "gb10x1" else 192)
    made = make_plan(checkpoint=checkpoint, hardware=hardware, drafter="auto", **choices)
    bars, footprint = memory_bars(made), made.footprint
    assert [True] * len(bars) == [bar.total_bytes <= bar.usable_bytes for bar in bars]
    assert 0 <= min(part for bar in bars for part in bar.parts)
    assert footprint.by_class["draft"] <= sum(bar.parts[-1] for bar in bars)
    fullest = max(bar.total_bytes for bar in bars if bar.name != "Host" or len(bars) == 1)
    assert fullest == pytest.approx(footprint.per_gpu_bytes or footprint.host_bytes, abs=64)
    hosted = sum(bar.total_bytes for bar in bars if bar.name == "Host")
    assert footprint.host_bytes == pytest.approx(hosted, abs=8)


def test_unknown_host_memory_is_no_limit():
    """What nobody named is not drawn as if it were there."""
    assert memory_bars(plan("rtx4090x2", "flash", None))[-1].usable_bytes is None
    assert "needed</text>" in to_svg(gpu_memory_chart(plan("rtx4090x2", "flash", None)))


def test_many_gpus_are_one_bar():
    """Sixteen equal bars say nothing that one does not."""
    bars = memory_bars(plan("h100x16", "flash", None, tensor_parallel=16))
    assert ["each of 16 GPUs"] == [bar.name for bar in bars]


def test_the_title_states_the_room_left():
    """A figure, not only a yes."""
    chart = gpu_memory_chart(plan("h200x4", "flash", None))
    assert "usable on each GPU stay free" in chart.title
    assert "GiB usable stay free" in gpu_memory_chart(plan("m3-ultra-512gb", "flash", None)).title
    assert "more" in gpu_memory_chart(plan("h100x2", "pro", None, engine="sglang")).title


def test_the_picture_has_a_line_of_figures_for_each_bar():
    """Need and limit stand in words beside each bar."""
    text = to_svg(gpu_memory_chart(plan("h200x4", "flash", None)))
    assert 4 == text.count(" of 123.6</text>")  # the recipe names a fraction of 0.88


def test_machines_with_unified_memory_share_a_model_rank_by_rank():
    """Two of them with tensor parallelism are two ranks, not one memory."""
    made = make_plan("flash", hardware=detect_hardware("gb10x1"), nodes=2, engine="vllm")
    (bar,) = memory_bars(made)
    assert ("GPU 0 of each of 2 machines", made.capacity_bytes / 2) == (bar.name, bar.usable_bytes)
    assert made.footprint.per_gpu_bytes == pytest.approx(bar.total_bytes, abs=8)
