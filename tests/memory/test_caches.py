"""KV caches: the worked figures of each engine's source, and what must hold for any load."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.catalog import find_checkpoint, find_model
from seatrial.errors import UnknownNameError, UsageError
from seatrial.memory import Parallelism, compute_footprint, config_footprint
from seatrial.memory.kv import CacheLoad, sglang_caches
from seatrial.memory.options import ENGINES
from seatrial.memory.shape import read_shape

GIB = 2**30


def footprint(engine, **settings_):
    """Return Flash's footprint on ``engine``."""
    return config_footprint(find_model("flash").config, engine=engine, **settings_)


@pytest.mark.parametrize(
    ("engine", "context", "options", "expected"),
    [
        ("vllm", 8192, {}, 0.0472),
        ("vllm", 131_072, {}, 0.4952),
        ("vllm", 8192, {"indexer_type": "fp4"}, 0.0447),
        ("vllm", 131_072, {"indexer_type": "fp4"}, 0.4549),
        ("llamacpp", 8192, {}, 0.0990),
        ("llamacpp", 131_072, {}, 0.8827),
        ("llamacpp", 8192, {"cache_type": "q8_0"}, 0.0579),
        ("llamacpp", 131_072, {"cache_type": "q8_0"}, 0.4743),
        ("mlx", 8192, {}, 0.1470),
        ("mlx", 131_072, {}, 0.9343),
    ],
)
def test_caches_and_state_have_the_worked_sizes(engine, context, options, expected):
    """GiB of one request of Flash, as worked out from the engines' sources."""
    result = footprint(engine, context_tokens=context, options=options)
    assert expected == round((result.kv_bytes + result.state_bytes) / GIB, 4)


@pytest.mark.parametrize(
    ("context", "speculative", "expected"),
    [(8192, "none", 0.0541), (131_072, "none", 0.8651), (8192, "mtp", 0.0606), (131_072, "mtp", 0.9691)],
)
def test_sglang_pool_has_the_worked_size(context, speculative, expected):
    """7,086.75 bytes a token, 7,939.19 with a draft head."""
    result = footprint("sglang", context_tokens=context, options={"speculative": speculative})
    assert expected == round(result.kv_bytes / GIB, 4)


@pytest.mark.parametrize(
    ("running", "speculative", "expected"), [(32, "none", 0.342), (256, "none", 2.529), (256, "mtp", 5.049)]
)
def test_sglang_compressor_state_has_the_worked_size(running, speculative, expected):
    """Made for --max-running-requests, whatever the context."""
    options = {"max_running_requests": running, "speculative": speculative}
    assert expected == round(footprint("sglang", options=options).state_bytes / GIB, 3)


POOLS = json.loads((Path(__file__).parent / "reference_sglang_pool.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.parametrize("row", POOLS)
def test_sglang_pool_is_what_its_own_code_budgets(row):
    """Made-up models, shares, loads: the pool to the byte of each cache's rounding, the state exactly."""
    changes = {name: row[name] for name in ("compress_ratios", "index_head_dim")}
    layers = len(row["compress_ratios"])
    config = {**find_model("flash").config, **changes, "num_hidden_layers": layers, "num_hash_layers": 0}
    pool = sglang_caches(
        read_shape(config),
        CacheLoad(row["context_tokens"], row["requests"]),
        swa_ratio=row["swa_ratio"],
        speculative=row["speculative"],
        max_running=row["max_running_requests"],
    )
    assert pytest.approx(row["pool_bytes"], abs=len(pool.kv), rel=1e-12) == sum(pool.kv.values())
    assert row["state_bytes"] == sum(pool.state.values())


def test_llamacpp_names_its_caches_as_its_log_does():
    """SWA, CSA, HCA, LID and state; four slots take four times one."""
    one = footprint("llamacpp", context_tokens=16_384)
    four = footprint("llamacpp", context_tokens=16_384, concurrency=4)
    assert ["SWA", "CSA", "HCA", "LID", "state"] == list(one.kv_by_class)
    assert {name: 4 * size for name, size in one.kv_by_class.items()} == four.kv_by_class


def test_a_million_tokens_are_little_beside_the_weights():
    """1M tokens of FP8 cache come to about 2.6 % of Flash's weights, not 30 %."""
    result = footprint("vllm", context_tokens=1_048_576)
    assert pytest.approx(0.026, abs=0.001) == result.kv_bytes / result.weights_bytes


def test_a_plain_transformer_keeps_keys_and_values():
    """SmolLM2: 30 layers x 3 heads x 64 values, twice, 2 bytes each; cells padded to 256."""
    result = compute_footprint(find_checkpoint("smollm2"), context_tokens=1000, concurrency=3)
    assert {"KV": 3 * 1024 * 30 * 2 * 192 * 2} == result.kv_by_class


loads = {"context": st.integers(1, 400_000), "requests": st.integers(1, 300), "engine": st.sampled_from(ENGINES)}


@settings(max_examples=150, deadline=None)
@given(**loads, more_context=st.integers(0, 300_000), more_requests=st.integers(0, 100))
def test_more_context_or_requests_never_need_less(context, requests, engine, more_context, more_requests):
    """On no engine, in no part of the footprint."""
    small = footprint(engine, context_tokens=context, concurrency=requests)
    big = footprint(engine, context_tokens=context + more_context, concurrency=requests + more_requests)
    for part in ("kv_bytes", "state_bytes", "reserve_bytes", "total_bytes", "per_gpu_bytes"):
        assert getattr(small, part) <= getattr(big, part)


@settings(max_examples=100, deadline=None)
@given(**loads)
def test_the_parts_add_up(context, requests, engine):
    """Total is the sum of its parts; caches and state are all there by name."""
    result = footprint(engine, context_tokens=context, concurrency=requests)
    parts = result.weights_bytes + result.kv_bytes + result.state_bytes + result.reserve_bytes
    assert parts == result.total_bytes
    assert result.kv_bytes + result.state_bytes == sum(result.kv_by_class.values())
    assert result.reserve_interval.low <= result.reserve_interval.expected <= result.reserve_interval.high


def per_gpu(engine="sglang", **axes):
    """Return the bytes of Pro on the fullest GPU, for 8 requests of 100,000 tokens."""
    return config_footprint(
        find_model("pro").config,
        engine=engine,
        context_tokens=100_000,
        concurrency=8,
        parallelism=Parallelism(**axes),
    )


def test_tensor_parallelism_does_not_split_the_cache():
    """Eight ranks hold the same cache bytes as one, in all; each of them holds every byte of it."""
    one, eight = per_gpu(), per_gpu(tensor=8)
    assert one.kv_bytes == eight.kv_bytes
    assert eight.per_gpu_bytes > one.weights_bytes / 8 + one.kv_bytes


def test_data_parallel_attention_splits_the_cache_and_copies_attention():
    """Each rank keeps one request's cache, and all attention and dense weights."""
    tensor, data = per_gpu(tensor=8), per_gpu(tensor=8, data=8)
    assert tensor.kv_bytes == data.kv_bytes
    copied = 20e9  # attention, shared experts and vocabulary of Pro, less an eighth
    assert tensor.per_gpu_bytes - tensor.kv_bytes * 7 / 8 + copied < data.per_gpu_bytes


def test_pro_on_eight_ranks_with_data_attention_is_near_the_reported_size():
    """125.65 GiB a GPU were reported at tensor parallel 8 (SemiAnalysisAI/InferenceX#2128)."""
    result = config_footprint(find_model("pro").config, parallelism=Parallelism(tensor=8, data=8, expert=8))
    bare = result.per_gpu_bytes - result.reserve_bytes / 8
    assert pytest.approx(125.65, rel=0.03) == bare / GIB


@settings(max_examples=100, deadline=None)
@given(
    tensor=st.sampled_from([1, 2, 4, 8, 16]),
    stages=st.sampled_from([1, 2, 4]),
    engine=st.sampled_from(["sglang", "vllm"]),
)
def test_more_ranks_or_stages_never_need_more_per_gpu(tensor, stages, engine):
    """Sharding helps, or at worst changes nothing."""
    here = per_gpu(engine, tensor=tensor, pipeline=stages).per_gpu_bytes
    assert here >= per_gpu(engine, tensor=2 * tensor, pipeline=stages).per_gpu_bytes
    assert here >= per_gpu(engine, tensor=tensor, pipeline=2 * stages).per_gpu_bytes


def test_llamacpp_divides_between_gpu_and_host():
    """Experts of n layers in host memory leave the GPU what the rest needs; nothing is lost."""
    checkpoint = find_checkpoint("unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL")
    placed = {layers: compute_footprint(checkpoint, options={"cpu_expert_layers": layers}) for layers in (0, 20, 43)}
    assert placed[0].per_gpu_bytes > placed[20].per_gpu_bytes > placed[43].per_gpu_bytes
    assert placed[0].host_bytes < placed[20].host_bytes < placed[43].host_bytes
    for each in placed.values():
        assert pytest.approx(each.total_bytes, abs=100) == each.per_gpu_bytes + each.host_bytes
    assert 12e9 > placed[43].per_gpu_bytes


@pytest.mark.parametrize("gpus", [1, 16])
def test_llamacpp_without_a_layer_on_a_gpu_needs_host_memory_alone(gpus):
    """Everything, the reserve too, is in host memory once, however many GPUs there are."""
    options = {"gpu_layers": 0, "pipeline_parallel": gpus}
    result = compute_footprint(find_checkpoint("smollm2"), options=options)
    assert 0 == result.per_gpu_bytes
    assert result.total_bytes == result.host_bytes


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"colour": "red"}, UsageError),
        ({"cache_type": "q9"}, UnknownNameError),
        ({"ubatch_tokens": "many"}, UsageError),
        ({"ubatch_tokens": 0}, UsageError),
        ({"swa_ratio": "0"}, UsageError),
        ({"swa_ratio": "nan"}, UsageError),
        ({"swa_ratio": None}, UsageError),
        ({"tensor_parallel": "8.5"}, UsageError),
        ({"tensor_parallel": 8, "data_parallel": 3}, UsageError),
        ({"tensor_parallel": 8, "expert_parallel": 3}, UsageError),
        ({"tensor_parallel": 8, "expert_parallel": 16}, UsageError),
        ({"pipeline_parallel": 44}, UsageError),
        ({"speculative": "dspark"}, UsageError),
        ({"speculative": "eagle9"}, UnknownNameError),
    ],
)
def test_wrong_options_are_bad_usage(options, error):
    """Unknown names list the known ones, wrong values say what is expected."""
    with pytest.raises(error) as caught:
        footprint("sglang", options=options)
    assert caught.value.remedy


@pytest.mark.parametrize("context", [0, -1, 1_048_577])
def test_a_context_beyond_the_model_is_bad_usage(context):
    """The message gives both numbers."""
    with pytest.raises(UsageError, match="1,048,576"):
        footprint("sglang", context_tokens=context)


def test_an_unknown_engine_lists_the_known_ones():
    """A near miss is answered with the name."""
    with pytest.raises(UnknownNameError, match="sglang"):
        footprint("sglag")


def test_a_size_nobody_published_is_not_guessed():
    """It is an error that says so."""
    with pytest.raises(UsageError, match="not guessed"):
        compute_footprint(find_checkpoint("RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"))


def test_every_sized_checkpoint_has_a_footprint_with_its_origin():
    """On the engine that loads it, or whose layout it would have; a note names the assumed parts."""
    from seatrial.catalog import checkpoints

    for row in checkpoints():
        if row.weights_bytes is None:
            continue
        result = compute_footprint(row)
        assert row.weights_bytes == result.weights_bytes
        assert row.origin == result.origin
        assert any("assumed" in note for note in result.notes)


def test_an_engine_that_cannot_load_the_checkpoint_is_said_to():
    """The arithmetic is shown, with the warning first."""
    mlx = compute_footprint(find_checkpoint("mlx-community/deepseek-ai-DeepSeek-V4-Flash-8bit"), engine="mlx")
    assert mlx.notes[0].startswith("mlx does not load this checkpoint")
    gguf = compute_footprint(find_checkpoint("smollm2"), engine="vllm")
    assert "vllm does not load this checkpoint: llamacpp can." == gguf.notes[0]
