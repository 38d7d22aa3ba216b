"""DeepSeek V4.1's bytes from its config, held against every figure that others published, and against bad input."""

import json
from pathlib import Path

import pytest
from tests.memory.configs import v41

from seatrial.catalog import find_checkpoint, find_model
from seatrial.errors import ModelFileError, RefusedError, SeatrialError, UnknownNameError, UsageError
from seatrial.hardware.accelerators import accelerators
from seatrial.memory import Parallelism, compute_footprint, config_footprint
from seatrial.memory.kv import CacheLoad
from seatrial.memory.shape import read_shape
from seatrial.memory.storage import format_name, stored
from seatrial.memory.v41_caches import kv_layout_on, v41_pool_slack, v41_sglang_caches, v41_vllm_caches
from seatrial.memory.weights import tensors_of
from seatrial.units import GIB

PUBLISHED = json.loads((Path(__file__).parent / "published_v41.json").read_text(encoding="utf-8"))
TOLERANCE = 0.01
"""Within which the sums of weights must agree with published figures before arithmetic may give a verdict."""


def served(**choices):
    """Return the footprint of the catalog's checkpoint."""
    return compute_footprint(find_checkpoint("v4.1-flash"), **choices)


def test_the_total_is_the_published_one():
    """Within a thousandth of 510 GB and of 475 GiB; a recipe's 511 GB and 476 GiB are what the files take on disk."""
    total = config_footprint(v41()).weights_bytes
    assert pytest.approx(PUBLISHED["total"]["gb"][0], rel=TOLERANCE / 10) == total / 1e9
    assert pytest.approx(PUBLISHED["total"]["gib"][0], rel=TOLERANCE / 10) == total / GIB
    assert total == find_checkpoint("v4.1-flash").weights_bytes


def components():
    """Return GiB by the recipe's own components."""
    shape, sums = read_shape(v41()), dict.fromkeys(list(PUBLISHED["components_gib"])[:5], 0.0)
    experts, tables, dense, plain, scales = sums
    for tensor in tensors_of(shape):
        size, form = stored(tensor, shape.layout), format_name(tensor, shape.layout)
        of = {"mxfp4": experts, "mxfp8_rows": tables, "mxfp8": dense}.get(form, plain)
        sums[of] += size.payload_bytes / GIB
        sums[scales] += size.scale_bytes / GIB
    return sums


@pytest.mark.parametrize("name", list(PUBLISHED["components_gib"])[:5])
def test_every_component_is_the_published_one(name):
    """Within 0.05 GiB, the last digit published; within 0.07 in BF16, where the rank of the drafter's head is assumed."""
    last = 0.07 if "BF16" in name else 0.05
    assert pytest.approx(PUBLISHED["components_gib"][name], abs=last) == components()[name]


def test_the_parameters_are_the_published_ones():
    """The backbone without Engram's tables; a token of text uses 16 billion, and the drafter has 14 in its stages."""
    model, published = find_model("v4.1-flash"), PUBLISHED["parameters"]
    assert published["billion"] == round(model.parameters_total / 1e9)
    assert published["active_billion"][1] == round(model.parameters_active / 1e9)
    stages = sum(each.parameters for each in tensors_of(read_shape(v41())) if each.draft and each.group == "experts")
    assert published["draft_billion"] == round(stages / 1e9)
    assert (model.parameters_total, model.parameters_active) == (
        config_footprint(v41()).parameters_total,
        config_footprint(v41()).parameters_active,
    )


def test_the_engram_tables_are_the_published_ones():
    """Two tables, rows of 264 bytes with their scales, 189 GiB together."""
    published = PUBLISHED["engram"]
    tables = [tensor for tensor in tensors_of(read_shape(v41())) if tensor.kind == "table"]
    sizes = [stored(tensor, "mxfp8") for tensor in tables]
    assert published["tables"] == len(tables)
    for tensor, size in zip(tables, sizes, strict=True):
        assert published["row_bytes"] * tensor.rows == size.payload_bytes + size.scale_bytes
    assert published["gib"] == round(sum(size.payload_bytes + size.scale_bytes for size in sizes) / GIB)


def test_engram_in_host_memory_frees_the_published_bytes():
    """On two GPUs 94 GiB each, of which 143 remain within a hundredth; the host holds both tables once."""
    published, ranks = PUBLISHED["engram"], Parallelism(tensor=2, expert=2)
    on_gpu, on_host = (
        served(engine="sglang", parallelism=ranks, options={"engram": place}) for place in ("gpu", "host")
    )
    assert published["freed_gib_a_gpu"] == round((on_gpu.per_gpu_bytes - on_host.per_gpu_bytes) / GIB)
    left = sum(on_host.per_gpu_by_part[name] for name in ("weights_sharded", "weights_replicated"))
    assert pytest.approx(published["left_gib_a_gpu"], rel=TOLERANCE) == left / GIB
    assert (0, published["gib"]) == (on_gpu.host_bytes, round(on_host.host_bytes / GIB))
    assert on_gpu.weights_bytes == on_host.weights_bytes


def test_vllm_keeps_the_tables_in_host_memory_by_itself():
    """Its EngramConfig offloads by default; asked for, they are on the GPUs."""
    assert PUBLISHED["engram"]["gib"] == round(served(engine="vllm").host_bytes / GIB)
    assert 0 == served(engine="vllm", options={"engram": "gpu"}).host_bytes


def test_weights_that_vllm_offloads_are_host_bytes():
    """48 GiB of each GPU, as in NVIDIA's recipe; never more than there are."""
    plain, offloaded = (served(engine="vllm", options={"cpu_offload_gib": size}) for size in (0, 48))
    assert 48 * GIB == plain.per_gpu_bytes - offloaded.per_gpu_bytes == offloaded.host_bytes - plain.host_bytes
    assert 0 == served(engine="vllm", options={"cpu_offload_gib": 900}).per_gpu_by_part["weights_sharded"]


def test_a_token_of_context_takes_the_published_bytes():
    """Four layers keep compressed vectors in FP4 and index keys; pages of 256 tokens add nothing in these layouts."""
    shape = read_shape(v41())
    first, second = (
        sum(v41_sglang_caches(shape, CacheLoad(size, 1), kv_layout="v41", speculative=False, max_running=1).kv.values())
        for size in (65_536, 131_072)
    )
    assert PUBLISHED["cache"]["bytes_per_token"] == (second - first) / 65_536


def test_hopper_keeps_the_wider_vectors_of_v4():
    """FlashMLA reads V4.1's layouts on SM100 and gfx950 only."""
    assert ["v41", "v41", "v41", "v4", "v4", "v4"] == [
        kv_layout_on(name) for name in ("10.0", "10.3", "gfx950", "9.0", "12.0", None)
    ]
    narrow, wide = (served(engine="sglang", options={"kv_layout": name}).kv_bytes for name in ("v41", "v4"))
    assert narrow < wide


@pytest.mark.parametrize("run", PUBLISHED["sglang_runs"], ids=lambda run: f"{run['accelerator']}x{run['ranks']}")
def test_every_published_run_of_sglang_fits_by_arithmetic(run):
    """The weights, the windows of 256 requests and a full context, inside the fraction the cell gives."""
    gpu, ranks = accelerators()[run["accelerator"]], run["ranks"]
    footprint = served(
        engine="sglang",
        context_tokens=1_048_576,
        parallelism=Parallelism(tensor=ranks, expert=ranks),
        options={
            "max_running_requests": run["running"],
            "speculative": "dspark" if run["draft"] else "none",
            "kv_layout": kv_layout_on(gpu.architecture),
        },
    )
    assert footprint.per_gpu_bytes <= gpu.memory_bytes * run["fraction"]


def test_vllm_s_published_pool_lies_between_the_formula_s_bounds():
    """18,047 bytes a token; the pool depends on tokens in flight, which the run does not tell: no check, no verdict."""
    run, shape = PUBLISHED["vllm_pool"], read_shape(v41())
    load = CacheLoad(run["context_tokens"], 1)
    caches = v41_vllm_caches(shape, load)
    held = sum(caches.kv.values()) + sum(caches.state.values())
    low, high = ((held + v41_pool_slack(shape, load, tokens)) / load.context_tokens for tokens in (16_384, 32_768))
    assert low < run["gib"] * GIB / run["tokens"] < high
    assert (11_100, 20_700) == (round(low, -2), round(high, -2))


def test_engines_without_a_layout_of_their_own_get_plain_vectors():
    """BF16, nothing padded: the least any engine could use."""
    footprint = served(engine="mlx", context_tokens=1024)
    assert 40 * 128 * 512 * 2 == footprint.kv_by_class["SWA"]
    assert (3 * 512 * 512 * 2, 1024 * 512 * 2) == (footprint.kv_by_class["C2"], footprint.kv_by_class["C1"])


@pytest.mark.parametrize("drafts", [False, True])
def test_a_draft_needs_more_of_every_part(drafts):
    """More requests need larger windows; drafting adds a layer's share of the cache."""
    few, many = (
        served(engine="sglang", options={"max_running_requests": count, "speculative": "dspark" if drafts else "none"})
        for count in (1, 256)
    )
    assert few.state_bytes < many.state_bytes
    assert drafts == ("draft" in few.kv_by_class)


ODD = ["5120", None, 0, -1, 10**30, 4.5, float("nan"), True, []]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("field", ["hidden_size", "num_hidden_layers", "n_routed_experts", "hc_mult", "vocab_size"])
def test_an_odd_number_is_one_clear_error(field, value):
    """Missing, text, zero, negative, huge, broken: the message names the field."""
    with pytest.raises(ModelFileError, match=field) as caught:
        config_footprint({**v41(), field: value})
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize(
    "changes",
    [
        {"compress_ratios": None},
        {"compress_ratios": [2] * 3},
        {"compress_ratios": [4] * 40},
        {"compress_ratios": [float("nan")] * 40},
        {"compress_ratios": "0,2"},
        {"kv_source_layer_ids": [40]},
        {"kv_source_layer_ids": [8, 2]},
        {"kv_source_layer_ids": [2, 2]},
        {"kv_source_layer_ids": [-1]},
        {"index_source_layer_ids": "2"},
        {"engram_layer_ids": [1]},
        {"engram_layer_ids": [1, 10**9]},
        {"engram_num_embeddings": [384006168]},
        {"engram_num_embeddings": [-1, 5]},
        {"engram_num_embeddings": [1e99, 5]},
        {"engram_num_embeddings": None},
        {"engram_head_dim": 0},
        {"engram_max_ngram_size": 1},
        {"engram_n_heads": "8"},
        {"o_groups": 7},
        {"num_experts_per_tok": 400},
        {"qk_rope_head_dim": 1024},
        {"num_key_value_heads": 8},
        {"tie_word_embeddings": "no"},
        {"vision_dim": -1},
        {"vision_patch_size": None},
        {"vision_n_layers": "32"},
        {"dspark_markov_rank": -1},
        {"dspark_n_routed_experts": 10**9},
        {"num_nextn_predict_layers": None},
        {"dspark_target_layer_ids": []},
        {"quantization_config": "fp8"},
        {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
        {"expert_dtype": "fp8"},
        {"architectures": 4},
    ],
)
def test_an_odd_config_is_one_clear_error(changes):
    """Each is a typed error with exit code 2, a remedy and a short message."""
    with pytest.raises(ModelFileError) as caught:
        config_footprint({**v41(), **changes})
    assert caught.value.remedy
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("changes", [{"architectures": ["DeepseekV4ForCausalLM"]}, {"model_type": "deepseek_v42"}])
def test_another_class_or_type_is_refused(changes):
    """A later model under V4.1's name is not sized by V4.1's formulas."""
    with pytest.raises(RefusedError) as caught:
        config_footprint({**v41(), **changes})
    assert 3 == caught.value.exit_code


@pytest.mark.parametrize("text", ["x", 4, [], None])
def test_a_text_config_of_another_type_is_ignored_or_refused(text):
    """Nothing of it is read, and the fields outside still count."""
    assert config_footprint(v41()).weights_bytes == config_footprint({**v41(), "text_config": text}).weights_bytes
    with pytest.raises(SeatrialError):
        config_footprint({"model_type": "deepseek_v41", "text_config": text})


def test_mlx_vlm_s_names_of_the_tower_are_read():
    """Its flat config says vision_num_layers where SGLang's says vision_n_layers."""
    names = {
        "vision_n_layers": "vision_num_layers",
        "vision_dim": "vision_hidden_size",
        "vision_inter_dim": "vision_intermediate_size",
        "vision_n_heads": "vision_num_heads",
    }
    renamed = {names.get(name, name): value for name, value in v41().items()}
    assert config_footprint(v41()).weights_bytes == config_footprint(renamed).weights_bytes


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"engram": "disk"}, UnknownNameError),
        ({"kv_layout": "v5"}, UnknownNameError),
        ({"cpu_offload_gib": -1}, UsageError),
        ({"cpu_offload_gib": "nan"}, UsageError),
    ],
)
def test_a_wrong_option_is_one_clear_error(options, kind):
    """With the values or the range that are known."""
    with pytest.raises(kind):
        served(engine="sglang", options=options)
