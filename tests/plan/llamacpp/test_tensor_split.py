"""llama.cpp over several GPUs: layers are divided so that the fullest GPU has enough memory."""

from dataclasses import replace

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.engines import build_command
from seatrial.hardware import detect_hardware
from seatrial.memory import compute_footprint
from seatrial.plan import make_plan
from seatrial.plan.capacity import usable_gpu_bytes
from seatrial.plan.llamacpp.tensor_split import Layers, fill_evenly, fill_gpus
from seatrial.plan.vendor.limits import limits
from seatrial.units import format_gib

MACHINES = [
    ("rtx3090x2", 192, "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"),
    ("rtx3090x4", 128, "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL"),
    ("rtx3090x8", 16, "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL"),
    ("h100x2+rtx4090x2", 256, "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"),
    ("rtx4060ti-16gbx2", 1024, "unsloth/DeepSeek-V4-Pro-0813-GGUF:UD-Q8_K_XL"),
    ("a100-80gbx8", 256, "6block/DeepSeek-V4-Pro-0813-GGUF:IQ1_M"),
]


def on_each_gpu(plan):
    """Bytes of each GPU, as llama.cpp places whole layers: the experts of the first ones lie in host memory."""
    checkpoint = find_checkpoint(plan.checkpoint)
    count = {"flash": 43, "pro": 61}[plan.model]
    sizes = plan.footprint.by_class
    cache = plan.footprint.kv_bytes + plan.footprint.state_bytes
    rest = (checkpoint.weights_bytes - sizes["experts"] - sizes.get("embeddings", 0) + cache) / count
    layer = count - sum(plan.gpu_shares)
    found = []
    for share in plan.gpu_shares:
        mine = range(layer, layer + share)
        found.append(sum(rest + (sizes["experts"] / count if one >= plan.cpu_expert_layers else 0) for one in mine))
        layer += share
    return [size + plan.footprint.per_gpu_by_part["reserve"] for size in found]


@pytest.mark.parametrize(("machine", "host_gib", "checkpoint"), MACHINES)
def test_no_gpu_gets_more_than_it_holds(machine, host_gib, checkpoint):
    """Placed layer by layer, each GPU stays within what may be used of it, and the fullest is what the plan says."""
    hardware = detect_hardware(machine, host_memory_gib=host_gib)
    plan = make_plan(checkpoint=checkpoint, hardware=hardware, engine="llamacpp")
    placed = on_each_gpu(plan)
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in hardware.gpus]
    assert plan.runs
    assert all(size <= free for size, free in zip(placed, usable, strict=True))
    assert plan.footprint.per_gpu_bytes == pytest.approx(max(placed), abs=64)


@pytest.mark.parametrize(("machine", "host_gib", "checkpoint"), MACHINES)
def test_the_command_says_how_layers_are_divided(machine, host_gib, checkpoint):
    """One share a GPU; with all layers on GPUs the output counts as one more."""
    hardware = detect_hardware(machine, host_memory_gib=host_gib)
    plan = make_plan(checkpoint=checkpoint, hardware=hardware, engine="llamacpp")
    shares = [int(share) for share in build_command(plan).flags["--tensor-split"].split(",")]
    layers = {"flash": 43, "pro": 61}[plan.model]
    assert len(hardware.gpus) == len(shares)
    assert min(plan.gpu_layers, layers + 1) == sum(shares)


def test_layers_left_in_host_memory_keep_their_experts_there():
    """llama.cpp offloads the last layers and counts experts from the first, so all layers must be counted."""
    hardware = detect_hardware("rtx4060ti-16gbx1", host_memory_gib=1024)
    plan = make_plan(checkpoint="unsloth/DeepSeek-V4-Pro-0813-GGUF:UD-Q8_K_XL", hardware=hardware)
    assert plan.gpu_layers < 61
    assert 61 == plan.cpu_expert_layers
    host = format_gib(plan.footprint.host_bytes)
    told = f"the routed experts of {plan.gpu_layers} of them in host memory; host memory holds {host} in all."
    assert any(told in reason.text for reason in plan.reasons)


def test_experts_are_counted_from_the_first_layer_on():
    """With the last 20 of 43 layers on the GPU, the experts of the first 23 lie in host memory whatever is said."""
    checkpoint = find_checkpoint("unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL")
    sizes = [
        compute_footprint(checkpoint, options={"gpu_layers": 20, "cpu_expert_layers": count}).host_bytes
        for count in (0, 23, 24, 43)
    ]
    assert sizes[0] == sizes[1] < sizes[2] < sizes[3]


def test_light_layers_come_first():
    """Ten light layers and four heavy ones: the first GPU takes more of them, as many bytes."""
    layers = Layers(light=10, heavy=4, light_bytes=1, heavy_bytes=5)
    assert (11, 3) == fill_evenly(layers, (20, 20))
    assert [15, 15] == layers.bytes_per_gpu((11, 3))
    assert fill_gpus(layers, (14, 15)) is None


def test_whole_layers_are_named_where_all_bytes_together_would_fit():
    """Room is left on each GPU that no layer fills, while the host has too little for the rest: the reason says so."""
    hardware = detect_hardware("rtx3090x8", host_memory_gib=8)
    plan = make_plan(checkpoint="unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL", hardware=hardware)
    assert ("does_not_fit", True) == (plan.verdict, plan.footprint.total_bytes < plan.capacity_bytes)
    assert "too little host memory, since layers go to the GPUs whole" in plan.reasons[0].text


def test_a_gpu_that_others_have_filled_takes_no_room_of_its_neighbours():
    """What it lacks for its own buffers was once lent to another, which then got more layers than it holds."""
    hardware = detect_hardware("mi300xx7", host_memory_gib=16)
    gpus = tuple(
        replace(gpu, memory_free_bytes=gpu.memory_bytes if place in {1, 4} else 0)
        for place, gpu in enumerate(hardware.gpus)
    )
    checkpoint = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"
    plan = make_plan(checkpoint=checkpoint, hardware=replace(hardware, gpus=gpus), context_tokens=1 << 20)
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in gpus]
    assert plan.runs
    assert [place in {1, 4} for place in range(7)] == [bool(share) for share in plan.gpu_shares]
    assert all(
        size <= free for size, free, share in zip(on_each_gpu(plan), usable, plan.gpu_shares, strict=True) if share
    )
    assert plan.footprint.per_gpu_bytes <= max(usable)


@pytest.mark.parametrize(("unknown", "shares"), [({1}, "some,0,some"), ({0, 2}, "0,some,0"), ({0}, "0,some,some")])
def test_a_gpu_of_unknown_memory_gets_no_layers(unknown, shares):
    """llama.cpp counts every GPU it sees, so the command leaves out by place those that were not planned with."""
    hardware = detect_hardware("h200x3", host_memory_gib=64)
    gpus = tuple(
        replace(gpu, memory_bytes=None if place in unknown else gpu.memory_bytes)
        for place, gpu in enumerate(hardware.gpus)
    )
    checkpoint = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ1_M"
    plan = make_plan(checkpoint=checkpoint, hardware=replace(hardware, gpus=gpus), engine="llamacpp")
    split = build_command(plan).flags["--tensor-split"].split(",")
    assert plan.runs
    assert shares == ",".join("0" if share == "0" else "some" for share in split)
