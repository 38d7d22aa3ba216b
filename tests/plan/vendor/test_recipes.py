"""Recipes: found for a machine, spelled as the current engine takes them, with every difference named."""

import json
import struct
from dataclasses import replace

import pytest
from tests.plan.cell_plans import plan_of_cell

from seatrial.catalog import find_checkpoint, find_model
from seatrial.engines import build_command
from seatrial.engines.snapshot import rejected
from seatrial.hardware import detect_hardware
from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.types import Gpu
from seatrial.memory import compute_footprint
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan
from seatrial.plan.gpu_server.nearest_recipe import Setup, nearest_cell
from seatrial.plan.vendor.recipes import cells, find_cells


def plan_of(hardware, **wishes):
    """Return a plan for a named machine."""
    return make_plan(hardware=detect_hardware(hardware), **wishes)


def gpu_of(accelerator):
    """Return one GPU of that kind."""
    return accelerators()[accelerator].to_gpu(accelerators()[accelerator].memory_bytes)


def reasons_of(plan):
    """Return all reasons in one text."""
    return "\n".join(reason.text for reason in plan.reasons)


def test_every_difference_names_the_rule_it_breaks():
    """Another number of GPUs and another checkpoint: each says what here, what there and why that counts."""
    plan = plan_of("h100x4", engine="sglang", checkpoint="deepseek-ai/DeepSeek-V4-Flash-0731")
    assert "h100" == plan.recipe.cell.split()[0]
    assert any("tensor parallel: 4 instead of 8 (weights are split" in text for text in plan.recipe.differences)
    assert all(text.endswith(").") for text in plan.recipe.differences)


def test_a_recipe_the_engine_would_refuse_here_says_so():
    """The nearest recipe of vLLM for 8x H100 splits over eight GPUs, which fails there."""
    plan = plan_of("h100x8", engine="vllm", checkpoint="deepseek-ai/DeepSeek-V4-Flash-0731")
    assert any(
        "would refuse it on this GPU" in text and "tensor parallel 8" in text for text in plan.recipe.differences
    )


@pytest.mark.parametrize(
    ("accelerator", "nearest"),
    [("gb10", "gb10"), ("mi350x", "mi355x"), ("rtx4090", "rtxpro6000")],
)
def test_the_nearest_recipe_is_of_the_nearest_gpu(accelerator, nearest):
    """Same architecture first, then its generation, then the memory that differs least."""
    checkpoint = find_checkpoint("deepseek-ai/DeepSeek-V4-Flash-0731")
    gpu, one = gpu_of(accelerator), Parallelism()
    setup = Setup("sglang", "flash", checkpoint.id, checkpoint.precision, gpu, 1, one, "balanced")
    assert nearest == nearest_cell(setup).accelerator


@pytest.mark.parametrize(("objective", "strategy"), [("balanced", "balanced"), ("throughput", "high-throughput")])
def test_the_nearest_recipe_suits_the_objective(objective, strategy):
    """Of recipes that differ alike, the one for what was asked."""
    checkpoint = find_checkpoint("deepseek-ai/DeepSeek-V4-Flash-0731")
    gpu, replicas = gpu_of("b300"), Parallelism(tensor=4, data=4)
    setup = Setup("sglang", "flash", checkpoint.id, checkpoint.precision, gpu, 1, replicas, objective)
    assert strategy == nearest_cell(setup).strategy


def test_the_nearest_recipe_splits_as_the_plan_does():
    """Without replicas of the attention the recipe without them is nearer, and its kernels are kept."""
    plan = plan_of("mi350xx8", engine="sglang")
    assert "mi355x flash-official fp4 low-latency" == plan.recipe.cell
    assert "--attention-backend=dsv4" in build_command(plan).argv


def test_a_plan_names_what_it_keeps_of_the_nearest_recipe():
    """The kernels of FP4 experts on Hopper belong to GPU and format: they stay, and the plan says from where."""
    plan = plan_of("h100x4", engine="sglang", checkpoint="deepseek-ai/DeepSeek-V4-Flash-0731")
    assert "Kept from the nearest recipe (h100 flash-official fp4 balanced)" in reasons_of(plan)
    assert "--moe-runner-backend marlin" in reasons_of(plan)
    assert "--moe-runner-backend=marlin" in build_command(plan).argv


def test_an_unlisted_gpu_gets_the_kernels_of_its_architecture():
    """An H20 is in no list, but Hopper: the nearest recipe is of Hopper, and its kernels for FP4 experts are kept."""
    gpu = Gpu(name="NVIDIA H20-3e", vendor="nvidia", memory_bytes=143_771 << 20, compute_capability="9.0")
    machine = replace(detect_hardware("h200x8"), gpus=(gpu,) * 8, name="8 x H20")
    plan = make_plan("pro", hardware=machine, engine="sglang")
    assert "h200 pro" in plan.recipe.cell
    assert "GPU: NVIDIA H20-3e instead of h200" in plan.recipe.differences[0]
    assert any(word.startswith("--moe-runner-backend=") for word in build_command(plan).argv)


def test_a_longer_context_than_the_recipe_ran_with_is_not_verified():
    """The vLLM recipe for Pro on 8x H200 stops at 200,000 tokens; beyond, only arithmetic speaks."""
    wishes = {"engine": "vllm", "checkpoint": "deepseek-ai/DeepSeek-V4-Pro"}
    assert "verified" == plan_of("h200x8", context_tokens=200_000, **wishes).verdict
    plan = plan_of("h200x8", context_tokens=200_001, **wishes)
    assert "fits" == plan.verdict
    assert any("200,001 tokens instead of 200,000" in text for text in plan.recipe.differences)


def test_what_was_rewritten_is_said():
    """Data-parallel attention has a flag of its own since 0.5.23: the reason names old, new and since when."""
    plan = plan_of("b300x8", model="pro", engine="sglang", objective="throughput")
    assert "--dp -> --attn-dp-size (since sglang 0.5.23" in reasons_of(plan)
    assert "--tp -> --tensor-parallel-size" in reasons_of(plan)
    values = build_command(plan).flags
    assert "8" == values["--attn-dp-size"]
    assert not {"--enable-dp-attention", "--dp", "--tp", "--data-parallel-size"} & set(values)


def test_vllm_recipes_are_rewritten_and_say_so():
    """The indexer's old switch became a data type before 0.33."""
    plan = plan_of("b200x8", engine="vllm", checkpoint="deepseek-ai/DeepSeek-V4-Flash-0731")
    assert "use_fp4_indexer_cache -> --attention-config.indexer_kv_dtype" in reasons_of(plan)


@pytest.mark.parametrize("cell", [c for c in cells() if c.env], ids=lambda c: f"{c.engine} {c.name} {c.checkpoint}")
def test_the_environment_of_a_recipe_reaches_the_command(cell):
    """Every variable the vendor set is set."""
    plan = plan_of_cell(cell)
    assert cell.env.items() <= build_command(plan).env.items()


@pytest.mark.parametrize("cell", cells(), ids=lambda c: f"{c.engine} {c.name} {c.checkpoint}")
def test_nothing_a_current_parser_would_not_take_is_left(cell):
    """The recipes are spelled as the engine's own parser takes them, but for what only the vendor's container takes.

    The plan then says so: it needs that container, and names the flags.
    """
    problems = rejected(cell.engine, cell.flags)
    assert len(cell.image_flags) == len(problems)
    assert all(text.startswith(name) for name, text in zip(cell.image_flags, problems, strict=True))
    if problems:
        reason = plan_of_cell(cell).reasons[0].text
        assert f"It needs the container {cell.image}: " in reason
        assert all(f"{name}={cell.flags[name]}" in reason for name in cell.image_flags)


@pytest.mark.parametrize(
    ("hardware", "wishes", "sentence"),
    [
        (
            "b200x4",
            {"objective": "latency", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash"},
            "EAGLE drafts 3 tokens a step with the checkpoint's draft (MTP head",
        ),
        (
            "gb300x4",
            {"objective": "latency"},
            "DSPARK drafts 5 tokens a step with the checkpoint's draft (DSpark stages",
        ),
        ("b200x8", {"engine": "vllm"}, "dspark drafts 7 tokens a step with the checkpoint's draft (DSpark stages"),
        ("h100x4", {"engine": "sglang"}, "--speculative-algorithm=DSPARK turns it on"),
    ],
)
def test_whether_tokens_are_drafted_is_said(hardware, wishes, sentence):
    """By what, how many, and what the draft weighs; or that it stays idle."""
    assert sentence in reasons_of(plan_of(hardware, **wishes))


def test_gpus_a_recipe_leaves_idle_are_said():
    """The recipe for Flash uses four of eight GPUs."""
    plan = plan_of("h200x8", engine="sglang", checkpoint="deepseek-ai/DeepSeek-V4-Flash")
    assert 4 == plan.gpus_per_node
    assert "It runs on 4 of the 8 GPUs" in reasons_of(plan)


@pytest.fixture
def copy_of_flash(tmp_path):
    """Return a folder with the config of V4-Flash and one small tensor: a local copy, as far as shapes go."""
    header = json.dumps(
        {"layers.0.attn.wq_a.weight": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}
    ).encode()
    (tmp_path / "config.json").write_text(json.dumps(find_model("flash").config))
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    return str(tmp_path)


def test_a_local_copy_is_near_to_the_recipes_of_its_model(copy_of_flash):
    """The recipe's kernels serve the copy too; only that it is another checkpoint differs."""
    plan = plan_of("h200x4", engine="sglang", checkpoint=copy_of_flash)
    assert "h200 flash-official fp4 balanced" == plan.recipe.cell
    assert ["checkpoint"] == [text.partition(":")[0] for text in plan.recipe.differences]


def test_rules_about_a_model_hold_for_a_local_copy_of_it(copy_of_flash):
    """SM120 runs V4-Flash only: a copy of Flash is Flash."""
    assert "fits" == plan_of("rtxpro6000x4", engine="sglang", checkpoint=copy_of_flash).verdict


def test_machines_a_recipe_leaves_idle_are_said():
    """The recipe for Pro uses one of four machines."""
    plan = make_plan("pro", hardware=detect_hardware("h200x8"), nodes=4, engine="sglang")
    assert 1 == plan.nodes
    assert "It runs on 1 of the 4 machines; the others stay idle." in reasons_of(plan)


def test_cells_are_found_by_exact_place():
    """Another GPU has none."""
    checkpoint = find_checkpoint("deepseek-ai/DeepSeek-V4-Flash")
    assert find_cells("sglang", checkpoint, "h200", "balanced")
    assert not find_cells("sglang", checkpoint, "l40s", "balanced")


@pytest.mark.parametrize(
    ("machine", "checkpoint", "expected"),
    [
        ("mi355xx8", "deepseek-ai/DeepSeek-V4-Pro-0813", (8, 1)),
        ("mi300xx8", "sgl-project/DeepSeek-V4-Flash-FP8", (8, 1)),
        ("b200x8", "deepseek-ai/DeepSeek-V4-Pro-0813", (8, 8)),
        ("h200x8", "sgl-project/DeepSeek-V4-Flash-FP8", (8, 8)),
        ("h200x8", "deepseek-ai/DeepSeek-V4-Flash-0731", (1, 1)),
        ("b200x8", "nvidia/DeepSeek-V4-Flash-NVFP4", (1, 1)),
    ],
)
def test_attention_replicas_share_out_experts_as_recipes_do(machine, checkpoint, expected):
    """AMD's recipes split every expert and know no DeepEP; Hopper's FP4 and Blackwell's NVFP4 have no replicas."""
    hardware = detect_hardware(machine)
    wishes = {"engine": "sglang", "objective": "throughput", "recipes": False}
    plan = make_plan(checkpoint=checkpoint, hardware=hardware, **wishes)
    assert plan.runs
    assert expected == (plan.parallelism.data, plan.parallelism.expert)
    assert ("--moe-a2a-backend=deepep" in build_command(plan).argv) == (expected[1] > 1)


OF_EVERY_COMMAND = {
    "vllm": {"--served-model-name", "--host", "--port", "--max-model-len", "--tokenizer-mode",
             "--reasoning-parser", "--tool-call-parser", "--enable-auto-tool-choice", "--nnodes", "--node-rank",
             "--master-addr", "--tensor-parallel-size"},
    "sglang": {"--model-path", "--served-model-name", "--host", "--port", "--config",
               "--context-length", "--reasoning-parser", "--tool-call-parser", "--enable-metrics", "--nnodes",
               "--node-rank", "--dist-init-addr", "--dist-timeout"},
}  # fmt: skip
"""What a command adds to a recipe: names, addresses, context, parsers, and the ranks that a recipe leaves at 1."""


@pytest.mark.parametrize("cell", cells(), ids=lambda c: f"{c.engine} {c.name} {c.checkpoint}")
def test_exactly_this_is_exactly_this(cell):
    """A plan for a recipe's own place holds each of its flags, values alike, or says what differs; it adds none."""
    plan = plan_of_cell(cell)
    assert (cell.name, ()) == (plan.recipe.cell, plan.recipe.differences)
    asked = cell.flags
    given = build_command(plan).flags
    changed = {name for name, value in asked.items() if name not in given or _plain(value) != _plain(given[name])}
    assert changed <= {"--max-model-len", "--context-length"}
    limit = cell.context_limit
    assert not changed or limit is None or f"It ran with a context of {limit:,}" in reasons_of(plan)
    ranks = {"--tensor-parallel-size"} if cell.ranks == 1 else set()  # said, even if it is the engine's own
    assert OF_EVERY_COMMAND[cell.engine] | ranks >= given.keys() - asked.keys()


def _plain(value):
    """Return the number in a text, so that 0.90 equals 0.9."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize("cell", [c for c in cells() if c.batched_tokens], ids=lambda c: f"{c.name} {c.checkpoint}")
def test_the_block_pool_is_that_of_the_recipe_s_own_batch(cell):
    """A recipe's --max-num-batched-tokens decides how much vLLM's pool keeps for tokens in flight."""
    plan = plan_of_cell(cell)
    given = build_command(plan).flags.get("--max-num-batched-tokens")
    assert str(cell.batched_tokens) == given
    again = compute_footprint(
        find_checkpoint(plan.checkpoint),
        engine="vllm",
        context_tokens=plan.context_tokens,
        concurrency=plan.footprint.concurrency,
        parallelism=plan.parallelism,
        options={"batched_tokens": given},
    )
    assert again.reserve_by_part["block_pool"] == plan.footprint.reserve_by_part["block_pool"]


def test_nvfp4_names_the_release_that_cannot_load_it():
    """SGLang 0.5.18 crashes on it: the plan asks for a newer one, and says why."""
    plan = plan_of("b200x8", engine="sglang", checkpoint="nvidia/DeepSeek-V4-Pro-NVFP4")
    assert ("verified", "0.5.23") == (plan.verdict, plan.engine_version_min)
    assert "NVFP4 checkpoints need an SGLang newer than 0.5.18" in reasons_of(plan)
    assert "It ran in the container lmsysorg/sglang:dev" in plan.reasons[0].text
