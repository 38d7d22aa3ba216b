"""What attention adds: hardly anything at usual lengths, most of the prompt's work at a million tokens."""

import pytest
from tests.memory.test_local import v4_gguf

from seatrial import find_model
from seatrial.memory.shape import read_shape
from seatrial.memory.vllm_pool import vllm_pages
from seatrial.speed import Ranks, ServingLoad, Work, predict_speed
from seatrial.speed.attention import NO_ATTENTION, Attention, attention_of

FLASH = attention_of(find_model("flash").config)
ONE = Ranks(1, 1, 1, "b300", 7.75e12, 4.5e15, architecture="10.3")


def test_v4_reads_its_window_the_chosen_and_the_compressed():
    """43 windows of 128, 21 layers that choose 512, and for each token 21 keys of 132 bytes in 4 and 20 vectors in 128."""
    tokens = 10_000
    expected = 43 * 128 * 584 + 21 * 512 * 584 + tokens * (21 * 132 / 4 + 20 * 584 / 128)
    assert pytest.approx(expected) == FLASH.read_bytes(tokens)


@pytest.mark.parametrize(("head", "rope", "index"), [(512, 64, 128), (256, 64, 64), (576, 64, 192)])
def test_what_is_read_is_what_is_stored(head, rope, index):
    """A vector of any width has as many bytes in a step as in the pool: both ask one place."""
    config = {**find_model("flash").config, "head_dim": head, "qk_rope_head_dim": rope, "index_head_dim": index}
    found = attention_of(config)
    pages = vllm_pages(read_shape(config), fp4_indexer=False)
    vector = found.window_bytes / 43
    assert head + rope + (head - rope) // 64 + 1 == vector
    assert 0 <= pages.window - pages.window_tokens * vector < 576
    keys = (found.token_bytes - 20 * vector / 128) * 4 / 21
    assert 0 <= pages.index - pages.tokens // 4 * keys < 576


def test_a_short_request_has_no_more_than_it_wrote():
    """Of 64 tokens a layer reads 64 of its window and chooses from 16 vectors."""
    assert pytest.approx(64 * 43 * 584 + 16 * 21 * 584 + 64 * FLASH.token_bytes) == FLASH.read_bytes(64)


def test_other_models_read_all_keys_and_values():
    """Two BF16 vectors of every key-value head and layer for each token; nothing if the heads are not known."""
    config = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}
    assert Attention(token_bytes=30 * 3 * 64 * 2 * 2, pair_flops=4 * 30 * 9 * 64) == attention_of(config)
    assert attention_of({"num_hidden_layers": 30}) == NO_ATTENTION


def test_a_long_prompt_costs_more_than_its_length():
    """At a million tokens the indexer's pairs are most of the work; decoding hardly slows down."""
    work = Work(11_371_199_488, 147_169_738_752, 256, 6, 43, 13_270_101_591, 6_492_782_592, "fp4", FLASH)
    short, long = (predict_speed(work, ServingLoad(1, 1, prompt, 256), ranks=ONE) for prompt in (10_000, 1_000_000))
    assert long.ttft_s.expected > 200 * short.ttft_s.expected
    assert long.tpot_s.expected < 1.1 * short.tpot_s.expected


def test_a_local_gguf_of_another_shape_reads_as_its_header_says(tmp_path):
    """One with half of the experts pruned is in no catalog; its attention is V4-Flash's all the same."""
    pruned = v4_gguf(tmp_path / "pruned.gguf", n_routed_experts=128)
    assert "local" == pruned.model
    assert FLASH == attention_of(pruned.config)
