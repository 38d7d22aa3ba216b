"""llama.cpp's tensor split: the bytes on every GPU, when it is offered, and where it is refused."""

import re

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.catalog.gguf import read_header
from seatrial.engines import build_command
from seatrial.errors import RefusedError
from seatrial.fetch.tiny import write_tiny
from seatrial.hardware import detect_hardware
from seatrial.memory import compute_footprint
from seatrial.plan import make_plan

FLASH = "unsloth/DeepSeek-V4-Flash-0731-GGUF:"


def plan_of(machine, quantization="UD-Q8_K_XL", host_gib=64, **choices):
    """Make a plan for Flash-0731 with llama.cpp."""
    hardware = detect_hardware(machine, host_memory_gib=host_gib)
    return make_plan(checkpoint=FLASH + quantization, hardware=hardware, engine="llamacpp", **choices)


def offers(plan):
    """Return the options that the reasons offer."""
    return [reason.text.split(" splits")[0] for reason in plan.reasons if "splits each tensor" in reason.text]


def test_a_published_run_fits():
    """8x RTX 3090 served UD-Q8_K_XL with prompts of 40,000 tokens (ggml-org/llama.cpp#25860)."""
    plan = plan_of("rtx3090x8", tensor_parallel=8, context_tokens=40_960)
    assert ("fits", 8, 1, ()) == (plan.verdict, plan.parallelism.tensor, plan.parallelism.pipeline, plan.gpu_shares)


def test_each_gpu_holds_its_part_and_all_that_cannot_be_split():
    """Experts and attention's heads are divided; caches, compressors, indexers and output are on every GPU."""
    plan = plan_of("rtx3090x8", tensor_parallel=8)
    footprint, parts = plan.footprint, plan.footprint.per_gpu_by_part
    assert footprint.kv_bytes == parts["kv"]
    assert footprint.state_bytes == parts["state"]
    held = 8 * parts["weights_sharded"] + parts["weights_replicated"] + footprint.host_bytes
    assert footprint.weights_bytes == pytest.approx(held, abs=8)
    assert footprint.by_class["experts"] < 8 * parts["weights_sharded"] < footprint.weights_bytes
    assert plan.need_bytes == 8 * footprint.per_gpu_bytes
    assert "what cannot be split, caches included, is on every one" in "\n".join(each.text for each in plan.reasons)


def test_the_tensors_of_a_file_are_divided_as_llama_cpp_divides_them(tmp_path):
    """tiny-v4, tensor by tensor, by the names in llama_meta_device_get_split_state (src/llama-model.cpp)."""
    path = write_tiny(tmp_path / "tiny.gguf")
    names = r"blk\.\d+\.(attn_(sinks|q_b|output_a|output_b)|ffn_(up|gate|down)_(exps|shexp))\.weight"
    tensors = read_header(path).tensors
    divided = sum(each.size_bytes for each in tensors if re.fullmatch(names, each.name))
    row = find_checkpoint(str(path))
    parts = compute_footprint(row, options={"tensor_parallel": 2}).per_gpu_by_part
    assert divided == pytest.approx(2 * parts["weights_sharded"], rel=0.005)
    held = 2 * parts["weights_sharded"] + parts["weights_replicated"]
    assert row.weights_bytes - row.weights_by_class["embeddings"] == pytest.approx(held, abs=8)


def test_the_command_asks_for_what_the_split_needs():
    """Flash attention on, no fitting, the micro-batch of the published run, and no layers a GPU."""
    flags = build_command(plan_of("rtx3090x8", tensor_parallel=8)).flags
    names = ("--split-mode", "--flash-attn", "--fit", "--ubatch-size", "--gpu-layers")
    assert ["tensor", "on", "off", "256", "999"] == [flags[name] for name in names]
    assert "--tensor-split" not in flags
    assert "--split-mode" not in build_command(plan_of("rtx3090x8", host_gib=256)).flags


def test_it_is_offered_where_it_fits():
    """Over equal GPUs that hold the whole model, with the exact option; it is no default: nothing ran here."""
    assert ["Faster by published runs: --tensor-parallel 8"] == offers(plan_of("rtx3090x8", "UD-IQ3_XXS"))
    assert [] == offers(plan_of("rtx3090x8", "UD-IQ3_XXS", tensor_parallel=8))


def test_it_is_offered_where_only_it_holds_the_whole_model():
    """Divided by layers UD-Q8_K_XL leaves experts to the host of 8x RTX 3090; split by tensors, as published, none."""
    plan = plan_of("rtx3090x8", host_gib=64)
    assert plan.footprint.host_bytes > 0
    assert ["Faster by published runs: --tensor-parallel 8"] == offers(plan)


@pytest.mark.parametrize(
    ("machine", "quantization"),
    [
        ("rtx3090x4", "UD-Q8_K_XL"),
        ("h100x2+rtx4090x2", "UD-IQ3_XXS"),
        ("h200x1", "UD-IQ3_XXS"),
        ("gb10x1", "UD-Q2_K_XL"),
    ],
)
def test_it_is_not_offered_elsewhere(machine, quantization):
    """Experts in host memory, unequal GPUs, one GPU, unified memory."""
    assert [] == offers(plan_of(machine, quantization, None if machine == "gb10x1" else 256))


REFUSED = [
    ("rtx3090x8", {"tensor_parallel": 4}, "--tensor-parallel 8, not 4"),
    ("h100x2+rtx4090x2", {"tensor_parallel": 2}, "are not equal"),
]


@pytest.mark.parametrize(("machine", "choices", "why"), REFUSED)
def test_what_cannot_be_split_is_refused(machine, choices, why):
    """The reason says what would do instead."""
    plan = plan_of(machine, **choices)
    assert ("refused", True) == (plan.verdict, why in plan.reasons[0].text)


def test_other_models_are_refused():
    """The bytes of the stand-in's tensors are not planned this way."""
    hardware = detect_hardware("rtx3090x2", host_memory_gib=64)
    plan = make_plan("smollm2", hardware=hardware, engine="llamacpp", tensor_parallel=2)
    assert ("refused", True) == (plan.verdict, "for DeepSeek V4 only" in plan.reasons[0].text)


def test_too_little_memory_names_the_layers_as_the_change():
    """Four cards hold the layers with experts in host memory, and not a quarter of each tensor."""
    plan = plan_of("rtx3090x4", host_gib=256, tensor_parallel=4)
    assert ("does_not_fit", True) == (plan.verdict, "tensor parallel 1 instead of 4" in plan.smallest_change)


def test_a_drafter_is_split_with_the_model():
    """Its experts are divided, its other tensors are on every GPU."""
    alone, drafted = (plan_of("a100-80gbx4", tensor_parallel=4, drafter=drafter) for drafter in (None, "auto"))
    row = find_checkpoint(drafted.drafter)
    each = drafted.footprint.per_gpu_by_part["drafter"]
    assert "fits" == drafted.verdict
    assert row.weights_bytes / 4 < each < row.weights_bytes / 2
    grown = drafted.footprint.per_gpu_bytes - alone.footprint.per_gpu_bytes
    assert grown == each + 3 * alone.footprint.state_bytes


def test_llama_cpp_python_is_refused():
    """Its own name for the split was never tried with V4."""
    plan = plan_of("rtx3090x8", tensor_parallel=8)
    with pytest.raises(RefusedError, match="cannot split tensors"):
        build_command(plan, runner="llama_cpp.server")


@pytest.mark.engine
@pytest.mark.parametrize("architecture", ["deepseek4", "dflash"])
def test_the_pinned_build_splits_tensors_of_v4_and_of_its_drafters(require, architecture):
    """Its own function says so; a split itself needs GPUs, and nothing but CPUs runs these tests."""
    import ctypes

    require("xllamacpp")
    import xllamacpp.xllamacpp as module

    library = ctypes.CDLL(module.__file__)
    name, splits = library._Z13llm_arch_name8llm_arch, library._Z27llm_arch_supports_sm_tensorRK8llm_arch
    name.restype, splits.restype = ctypes.c_char_p, ctypes.c_bool
    known = {name(number).decode(): bool(splits(ctypes.byref(ctypes.c_int(number)))) for number in range(300)}
    assert known[architecture]
    assert not known["deepseek2"]
