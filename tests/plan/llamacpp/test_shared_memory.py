"""Plans for GPUs inside AMD processors: what the kernel lets the GPU take, and the rest for the processor."""

from dataclasses import replace

import pytest

from seatrial.engines import build_command
from seatrial.hardware import Gpu, Hardware, Host, detect_hardware
from seatrial.plan import make_plan
from seatrial.units import GIB, to_gib
from seatrial.view.plots.gpu_memory import memory_bars

IQ3_S = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ3_S"
UNITED = "The system lets the GPU take"


def strix(limit_gib, *, own_gib=0.5, memory_gib=125.0, available_gib=120.0, key="strix-halo"):
    """Return a machine of one memory, of which the firmware has set ``own_gib`` aside."""
    own = round(own_gib * GIB)
    limit, available = round(limit_gib * GIB), round(available_gib * GIB)
    gpu = Gpu(
        name="Radeon 8060S",
        vendor="amd",
        accelerator=key,
        memory_bytes=own + round(memory_gib * GIB),
        memory_free_bytes=limit if limit <= own else min(limit, available),
        compute_capability="gfx1151",
        unified=True,
        memory_limit_bytes=limit,
        limit_setting="ttm.pages_limit",
    )
    host = Host(cores=16, memory_bytes=round(memory_gib * GIB), memory_available_bytes=available)
    return Hardware("strix-halo-128gb", (gpu,), host, None, None, "measured", "amdgpu sysfs")


def plan(machine, **request):
    """Plan Flash with llama.cpp."""
    return make_plan(hardware=machine, engine="llamacpp", **{"model": "flash", **request})


def said(plan):
    """Return the reasons about the limit."""
    return [reason.text for reason in plan.reasons if reason.text.startswith(UNITED)]


def test_as_the_kernel_sets_it():
    """The GPU takes half, the experts of other layers stay with the processor, and the parameter is named."""
    found = plan(strix(62.5))
    assert ("fits", None) == (found.verdict, found.smallest_change)
    assert found.cpu_expert_layers > 0
    assert found.footprint.per_gpu_bytes <= 62.5 * GIB
    assert 117 == pytest.approx(to_gib(found.capacity_bytes), abs=0.1)
    assert any(word.startswith("--n-cpu-moe") for word in build_command(found).argv)
    assert [True] == [
        "62.5 GiB of the 125.5 GiB" in text and "ttm.pages_limit=30720000" in text for text in said(found)
    ]


def test_a_raised_limit():
    """All layers are on the GPU, and nothing is said of a limit that does not bind."""
    found = plan(strix(120))
    assert ("fits", 0, []) == (found.verdict, found.cpu_expert_layers, said(found))
    assert plan(strix(62.5)).checkpoint == found.checkpoint


@pytest.mark.parametrize("limit_gib", [15, 31, 47, 62.5, 80, 96, 108, 117, 120, 125])
def test_never_less_than_the_processor_alone(limit_gib):
    """With the GPU a larger or equal checkpoint runs, whatever the limit."""
    machine = strix(limit_gib)
    without = plan(replace(machine, gpus=()))
    found = plan(machine)
    assert ("fits", without.checkpoint) == (found.verdict, found.checkpoint)


@pytest.mark.parametrize(
    ("own_gib", "memory_gib", "available_gib", "capacity_gib"),
    [(96, 31, 29, 96 + 27.1), (64, 62, 60, 64 + 54.25), (48, 46, 44, 48 + 40.25)],
)
def test_memory_set_aside_by_the_firmware(own_gib, memory_gib, available_gib, capacity_gib):
    """The GPU has its own part, and the experts that do not fit lie in the rest."""
    found = plan(strix(own_gib, own_gib=own_gib, memory_gib=memory_gib, available_gib=available_gib))
    assert "fits" == found.verdict
    assert capacity_gib == pytest.approx(to_gib(found.capacity_bytes), abs=0.1)
    assert found.footprint.per_gpu_bytes <= own_gib * GIB


def test_memory_filled_by_others():
    """What other programs hold is no memory for a model, though the limit is high."""
    found = plan(strix(120, available_gib=50))
    assert ("does_not_fit", True) == (found.verdict, to_gib(found.capacity_bytes) <= 50)


def test_the_parameter_is_the_smallest_change():
    """16 GiB set aside are lost to a model while the kernel's limit is larger; given back and mapped, they suffice."""
    machine = strix(54, own_gib=16, memory_gib=109, available_gib=106)
    found = plan(machine, model=None, checkpoint=IQ3_S)
    assert "does_not_fit" == found.verdict
    assert (
        "Smallest change that fits: the kernel parameter ttm.pages_limit=30464000 (pages of 4 KiB: 116.2 GiB), then a "
        "reboot, with the GPU's own memory set to the smallest in the firmware."
    ) == found.smallest_change
    assert 1 == len(said(found))


def test_too_little_memory_whatever_the_limit():
    """64 GB hold no checkpoint of Flash: no parameter is offered as the remedy."""
    found = plan(strix(31, memory_gib=62, available_gib=60))
    assert "does_not_fit" == found.verdict
    assert "ttm.pages_limit" not in found.smallest_change


def test_an_unlisted_chip():
    """Strix Point is planned alike."""
    found = plan(strix(45, own_gib=4, memory_gib=90, available_gib=86, key=None))
    assert ("fits", 1) == (found.verdict, len(said(found)))


def test_one_bar_for_one_memory():
    """The chart shows the memory once, and all of the need in it."""
    (bar,) = memory_bars(plan(strix(62.5)))
    assert ("CPU and GPU", 117) == (bar.name, round(to_gib(bar.usable_bytes)))


def test_an_engine_sees_what_the_machine_says():
    """Variables that hide GPUs go into the command; nothing else that a description holds does."""
    machine = replace(
        strix(120),
        engine_env=(
            "HIP_VISIBLE_DEVICES=0",
            "GGML_VK_VISIBLE_DEVICES=",
            "LD_PRELOAD=/tmp/x.so",
            "HIP_VISIBLE",
            "",
            "=1",
        ),
    )
    env = build_command(plan(machine)).env
    assert ("0", "") == (env["HIP_VISIBLE_DEVICES"], env["GGML_VK_VISIBLE_DEVICES"])
    assert {"LD_PRELOAD", "HIP_VISIBLE", ""}.isdisjoint(env)


def test_a_named_machine_counts_on_a_raised_limit():
    """Nobody has read its limit, and as installed it is half."""
    found = plan(detect_hardware("strix-halo-128gb"))
    assert "fits" == found.verdict
    texts = [reason.text for reason in found.reasons if reason.text.startswith("As installed")]
    assert ["ttm.pages_limit=28928000 (" in text for text in texts] == [True]


def test_a_small_model_needs_no_raised_limit():
    """Half of the memory holds it."""
    found = plan(detect_hardware("strix-halo-128gb"), model="smollm2")
    assert [] == [reason.text for reason in found.reasons if "pages_limit" in reason.text]
