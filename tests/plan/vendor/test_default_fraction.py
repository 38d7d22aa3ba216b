"""Where a recipe leaves the share of GPU memory to the engine, the plan counts on the engine's own."""

from dataclasses import replace

import pytest
from tests.plan.cell_plans import plan_of_cell

from seatrial.hardware import detect_hardware
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan
from seatrial.plan.gpu_server.reasons import fraction_text
from seatrial.plan.vendor.default_fraction import default_fraction, prefill_tokens
from seatrial.plan.vendor.recipes import cells

RESOLVED = {
    ("b200", "flash fp4"): {"low-latency": 0.855, "balanced": 0.793, "high-throughput": 0.805},
    ("b200", "flash-official fp4"): {"balanced": 0.74, "high-throughput": 0.751},
    ("b300", "flash-official fp4"): {"low-latency": 0.903, "balanced": 0.862, "high-throughput": 0.87},
    ("b300", "flash fp4"): {"low-latency": 0.903, "balanced": 0.862, "high-throughput": 0.87},
    ("b200", "pro nvfp4"): {"low-latency": 0.919},
    ("b200", "flash nvfp4"): {"low-latency": 0.855},
    ("b300", "flash nvfp4"): {"low-latency": 0.903},
    ("gb200", "flash-official fp4"): {"low-latency": 0.859, "balanced": 0.8, "high-throughput": 0.811},
    ("gb200", "flash fp4"): {"low-latency": 0.859, "balanced": 0.8, "high-throughput": 0.811},
    ("gb200", "flash nvfp4"): {"low-latency": 0.859},
    ("gb300", "flash fp4"): {"low-latency": 0.906, "balanced": 0.867, "high-throughput": 0.874},
    ("gb300", "flash-official fp4"): {"balanced": 0.867, "high-throughput": 0.874},
    ("gb300", "pro-official fp4"): {"balanced": 0.867},
    ("gb300", "flash nvfp4"): {"low-latency": 0.906},
    ("b200", "flash-official nvfp4"): {"low-latency": 0.855},
    ("b200", "pro-official nvfp4"): {"low-latency": 0.919},
    ("b300", "flash-official nvfp4"): {"low-latency": 0.903},
    ("gb200", "flash-official nvfp4"): {"low-latency": 0.859},
    ("gb300", "flash-official nvfp4"): {"low-latency": 0.906},
    ("b200", "v41-flash fp4"): {"high-throughput": 0.858},
    ("b300", "v41-flash fp4"): {"high-throughput": 0.905},
    ("gb300", "v41-flash fp4"): {"high-throughput": 0.908},
    ("mi350x", "v41-flash fp4"): {"high-throughput": 0.902},
    ("h200", "flash fp8"): {"low-latency": 0.9, "balanced": 0.881, "high-throughput": 0.881},
    ("h200", "flash-official fp4"): {"low-latency": 0.9, "high-throughput": 0.9},
    ("h200", "flash fp4"): {"low-latency": 0.9, "balanced": 0.9, "high-throughput": 0.9},
    ("h100", "flash-official fp4"): {"low-latency": 0.818, "balanced": 0.818, "high-throughput": 0.818},
    ("h100", "flash fp4"): {"low-latency": 0.818, "balanced": 0.818, "high-throughput": 0.818},
}
"""What SGLang 0.5.23 itself resolved for the cells without --mem-fraction-static, by strategy."""
LEFT = [cell for cell in cells() if cell.engine == "sglang" and cell.memory_fraction is None]


def _places():
    """Return the cells at each place that SGLang itself was asked about; a new edition may have others beside them."""
    places = {}
    for cell in LEFT:
        name = (cell.accelerator, f"{cell.variant or cell.model} {cell.precision}")
        if cell.strategy in RESOLVED.get(name, {}):
            places.setdefault((*name, cell.strategy, cell.checkpoint), []).append(cell)
    return places


@pytest.mark.parametrize(("place", "found"), _places().items(), ids=map(" ".join, _places()))
def test_the_rule_gives_what_sglang_resolved(place, found):
    """For each recipe that sets no share, from the GPU, the ranks and the recipe's other flags."""
    accelerator, release, strategy, _ = place
    gpu = detect_hardware(f"{accelerator}x1").gpus[0]
    shares = [default_fraction("sglang", gpu, cell.parallelism, cell.flags) for cell in found]
    assert RESOLVED[accelerator, release][strategy] in shares


@pytest.mark.parametrize("cell", LEFT, ids=lambda cell: cell.name)
def test_a_plan_counts_on_it_and_says_so(cell):
    """The command leaves the share to SGLang; capacity and reasons are those of SGLang's own."""
    plan = plan_of_cell(cell)
    gpu, share = plan.hardware.gpus[0], plan.gpu_memory_fraction_used
    assert plan.runs
    assert plan.gpu_memory_fraction is None
    assert default_fraction("sglang", gpu, cell.parallelism, cell.flags) == share
    assert int(gpu.memory_bytes * share) * plan.ranks == plan.capacity_bytes
    assert any(f"whose own rule takes {fraction_text(share)}" in reason.text for reason in plan.reasons)


def test_a_share_that_is_given_is_the_one_taken():
    """By a recipe or by a plan of the kit's own."""
    wishes = {"hardware": detect_hardware("h200x8"), "engine": "sglang"}
    recipe, own = make_plan("pro", **wishes), make_plan("flash", recipes=False, **wishes)
    assert (0.88, 0.88) == (recipe.gpu_memory_fraction, recipe.gpu_memory_fraction_used)
    assert (0.9, 0.9) == (own.gpu_memory_fraction, own.gpu_memory_fraction_used)


@pytest.mark.parametrize("machine", ["h200x8", "b200x8", "gb300x4"])
def test_vllm_takes_its_default(machine):
    """Of the whole GPU, whatever the recipe's other flags are."""
    plan = make_plan("flash", hardware=detect_hardware(machine), engine="vllm", objective="throughput")
    assert "verified" == plan.verdict
    assert (None, 0.92) == (plan.gpu_memory_fraction, plan.gpu_memory_fraction_used)


def test_without_a_known_memory_there_is_no_share():
    """The rule takes megabytes off the GPU's memory."""
    gpu = replace(detect_hardware("h200x4").gpus[0], memory_bytes=None)
    assert default_fraction("sglang", gpu, Parallelism(tensor=4), {}) is None


@pytest.mark.parametrize(
    ("machine", "ranks", "flags", "expected"),
    [
        ("h100x4", Parallelism(tensor=4), {}, 8192),
        ("b200x4", Parallelism(tensor=4), {}, 16384),
        ("b200x4", Parallelism(tensor=4, data=4), {}, 4096),
        ("b200x4", Parallelism(tensor=4), {"--chunked-prefill-size": "4096"}, 4096),
        ("rtx4090x8", Parallelism(tensor=8), {}, 4096),
        ("b200x4", Parallelism(tensor=4, data=4), {"--chunked-prefill-size": "-1"}, None),
        ("b200x4", Parallelism(tensor=4), {"--chunked-prefill-size": "0"}, None),
    ],
)
def test_prompts_are_read_in_pieces(machine, ranks, flags, expected):
    """As long as SGLang's default for the GPU or the recipe says, shared out among the replicas; -1 reads them whole."""
    assert expected == prefill_tokens(detect_hardware(machine).gpus[0], ranks, flags)


@pytest.mark.parametrize("flags", [{}, {"--max-prefill-tokens": "4096"}, {"--max-prefill-tokens": "1"}])
def test_whole_prompts_are_reserved_for_as_for_pieces_of_a_batch(flags):
    """Without chunks SGLang reserves for --max-prefill-tokens, 16,384 by default, but 2,048 at the least."""
    gpu = detect_hardware("rtx4090x8").gpus[0]
    whole, pieces = (
        default_fraction("sglang", gpu, Parallelism(tensor=8), {"--chunked-prefill-size": size, **flags})
        for size in ("-1", flags.get("--max-prefill-tokens", "16384"))
    )
    assert pieces == whole < 1
