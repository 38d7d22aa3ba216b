"""vLLM's shared block pool: the groups an instrumented vLLM showed, and what must hold for any load."""

from itertools import pairwise

import pytest

from seatrial.catalog import find_model
from seatrial.memory import config_footprint
from seatrial.memory.kv import CacheLoad
from seatrial.memory.shape import read_shape
from seatrial.memory.vllm_pool import pool_slack, vllm_caches, vllm_groups


def shape(name="flash", **changes):
    """Return the shape of a model of the catalog with fields changed."""
    return read_shape({**find_model(name).config, **changes})


def test_flash_s_groups_are_those_vllm_showed():
    """1,002,240 bytes a block; windows in two tables, states of 4 and 8 tokens (vllm-project/vllm#54703)."""
    block, (window, csa, hca) = vllm_groups(shape())
    assert 1_002_240 == block
    assert (2, 823_680, 823_680 + 786_240) == (window.tables, window.page_bytes, window.layer_bytes)
    assert (1, 870_912) == (csa.tables, csa.page_bytes)
    assert (1, 656_640) == (hca.tables, hca.page_bytes)


def test_one_request_of_flash_needs_what_vllm_asks_for_at_start():
    """Twice 8,192 tokens in flight and 131,072 of context: 512 + 2 x 259 + 4,099 + 2,065 blocks, as vLLM counts."""
    load = CacheLoad(131_072, 1)
    caches = vllm_caches(shape(), load, fp4_indexer=False)
    pool = sum(caches.kv.values()) + sum(caches.state.values()) + pool_slack(shape(), load, 16_384)
    assert pytest.approx((512 + 2 * 259 + 4099 + 2065) * 1_002_240, rel=0.001) == pool


def test_short_prompts_have_few_tokens_in_flight():
    """No more than all requests hold."""
    assert pool_slack(shape(), CacheLoad(4096, 1), 4096) == pool_slack(shape(), CacheLoad(4096, 1), 32_768)
    assert pool_slack(shape(), CacheLoad(4096, 8), 4096) < pool_slack(shape(), CacheLoad(4096, 8), 32_768)


@pytest.mark.parametrize(
    "ratios", [[0] * 43, [4] * 43, [128] * 43, [0, 4] * 22, [4, 128] * 22, [0, 128] * 22, [0, 0, 4, 128]]
)
def test_a_block_holds_its_largest_group_whatever_the_ratios(ratios):
    """And the slack is never negative, nor less for more context or requests."""
    made = shape(num_hidden_layers=min(len(ratios), 43), compress_ratios=[*ratios, 0, 0])
    block, groups = vllm_groups(made)
    assert all(group.page_bytes <= block for group in groups)
    assert all(group.layer_bytes <= group.tables * block for group in groups)
    slacks = [pool_slack(made, CacheLoad(context, 3), 8192) for context in (1, 64, 65, 128, 129, 5000, 200_000)]
    assert all(0 <= less <= more for less, more in pairwise(slacks))


def test_the_pool_is_part_of_the_reserve():
    """Least with small batches, most with the batches of the largest GPUs; other engines have none."""
    footprint = config_footprint(find_model("pro").config, engine="vllm", context_tokens=100_000)
    pool = footprint.reserve_by_part["block_pool"]
    assert 0 < pool.low < pool.expected < pool.high
    assert footprint.total_bytes > footprint.weights_bytes + footprint.kv_bytes + footprint.state_bytes + pool.expected
    assert "block_pool" not in config_footprint(find_model("pro").config, engine="sglang").reserve_by_part


@pytest.mark.parametrize(("tokens", "end"), [(2048, "low"), (8192, "expected"), (16_384, "high")])
def test_the_pool_follows_the_batch_of_the_command(tokens, end):
    """Where --max-num-batched-tokens is given nothing is left to guess: the interval is that one value."""
    wish = {"engine": "vllm", "context_tokens": 100_000}
    guessed = config_footprint(find_model("pro").config, **wish)
    given = config_footprint(find_model("pro").config, options={"batched_tokens": str(tokens)}, **wish)
    expected = getattr(guessed.reserve_by_part["block_pool"], end)
    assert {expected} == {getattr(given.reserve_by_part["block_pool"], name) for name in ("low", "expected", "high")}
    assert given.per_gpu_bytes - guessed.per_gpu_bytes == expected - guessed.reserve_by_part["block_pool"].expected
