"""Lists the tensors of tiny-v4 and of its drafter, and fills them with random weights.

Names and shapes follow llama.cpp's ``src/models/deepseek4.cpp`` and ``src/models/dflash.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seatrial.catalog.cached_vectors import CSA

_BYTES = 256
_MXFP4_BLOCK = 32
_MXFP4_SCALE = 127 - 6
"""Exponent byte of each block: 2**-6 keeps products of random weights small."""

Tensor = tuple[str, tuple[int, ...], str]
"""Name, numpy shape and storage."""


def model_tensors(config: dict[str, Any]) -> Iterator[Tensor]:
    """Yield every tensor of the model."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "token_embd.weight", (vocabulary, hidden), "f16"
    yield "output.weight", (vocabulary, hidden), "f16"
    yield from _output_mix(config)
    for layer, ratio in enumerate(config["compress_ratios"]):
        for name, shape, kind in _layer(config, ratio, hashed=layer < config["num_hash_layers"]):
            yield f"blk.{layer}.{name}", shape, kind


def drafter_tensors(config: dict[str, Any]) -> Iterator[Tensor]:
    """Yield every tensor of the drafter: three layers without compression, and DSpark's heads.

    Embeddings and output head are the model's own.
    """
    hidden, vocabulary, rank = config["hidden_size"], config["vocab_size"], config["dspark_markov_rank"]
    stages = len(config["dspark_target_layer_ids"])
    yield "fc.weight", (hidden, stages * hidden), "q8_0"
    yield "enc.output_norm.weight", (hidden,), "ones"
    yield from _output_mix(config)
    yield "markov_w1.weight", (vocabulary, rank), "q8_0"
    yield "markov_w2.weight", (vocabulary, rank), "q8_0"
    yield "conf_proj.weight", (1, hidden + rank), "f32"
    for stage in range(stages):
        for name, shape, kind in _layer(config, 0, hashed=False):
            yield f"blk.{stage}.{name}", shape, kind


def _output_mix(config: dict[str, Any]) -> Iterator[Tensor]:
    hidden, mult = config["hidden_size"], config["hc_mult"]
    yield "output_norm.weight", (hidden,), "ones"
    yield "output_hc_fn.weight", (mult, mult * hidden), "f32"
    yield "output_hc_base.weight", (mult,), "f32"
    yield "output_hc_scale.weight", (1,), "ones"


def _layer(config: dict[str, Any], ratio: int, *, hashed: bool) -> Iterator[Tensor]:
    hidden, head, rank = config["hidden_size"], config["head_dim"], config["q_lora_rank"]
    width, out = config["num_attention_heads"] * head, config["o_groups"] * config["o_lora_rank"]
    yield "attn_norm.weight", (hidden,), "ones"
    yield "attn_sinks.weight", (config["num_attention_heads"],), "f32"
    yield "attn_q_a.weight", (rank, hidden), "q8_0"
    yield "attn_q_a_norm.weight", (rank,), "ones"
    yield "attn_q_b.weight", (width, rank), "q8_0"
    yield "attn_kv.weight", (head, hidden), "q8_0"
    yield "attn_kv_a_norm.weight", (head,), "ones"
    yield "attn_output_a.weight", (out, width // config["o_groups"]), "q8_0"
    yield "attn_output_b.weight", (hidden, out), "q8_0"
    mixes = (2 + config["hc_mult"]) * config["hc_mult"]
    for place in ("attn", "ffn"):
        yield f"hc_{place}_fn.weight", (mixes, config["hc_mult"] * hidden), "f32"
        yield f"hc_{place}_base.weight", (mixes,), "f32"
        yield f"hc_{place}_scale.weight", (3,), "ones"
    if ratio:
        yield from _compressor("attn_compressor", ratio, head, hidden)
    if ratio == CSA:
        heads, size = config["index_n_heads"], config["index_head_dim"]
        yield "indexer.proj.weight", (heads, hidden), "f16"
        yield "indexer.attn_q_b.weight", (heads * size, rank), "q8_0"
        yield from _compressor("indexer_compressor", ratio, size, hidden)
    yield from _experts(config, hashed=hashed)


def _compressor(name: str, ratio: int, head: int, hidden: int) -> Iterator[Tensor]:
    width = 2 * head if ratio == CSA else head  # windows of CSA overlap
    yield f"{name}_kv.weight", (width, hidden), "f16"
    yield f"{name}_gate.weight", (width, hidden), "f16"
    yield f"{name}_ape.weight", (ratio, width), "f32"
    yield f"{name}_norm.weight", (head,), "ones"


def _experts(config: dict[str, Any], *, hashed: bool) -> Iterator[Tensor]:
    hidden, inner, experts = config["hidden_size"], config["moe_intermediate_size"], config["n_routed_experts"]
    yield "ffn_norm.weight", (hidden,), "ones"
    yield "ffn_gate_inp.weight", (experts, hidden), "f32"
    if hashed:
        yield "ffn_gate_tid2eid.weight", (config["vocab_size"], config["num_experts_per_tok"]), "table"
    else:
        yield "exp_probs_b.bias", (experts,), "f32"
    yield "ffn_gate_exps.weight", (experts, inner, hidden), "mxfp4"
    yield "ffn_up_exps.weight", (experts, inner, hidden), "mxfp4"
    yield "ffn_down_exps.weight", (experts, hidden, inner), "mxfp4"
    yield "ffn_gate_shexp.weight", (inner, hidden), "q8_0"
    yield "ffn_up_shexp.weight", (inner, hidden), "q8_0"
    yield "ffn_down_shexp.weight", (hidden, inner), "q8_0"


class Filler:
    """Makes random data of a shape, stored as llama.cpp's converter stores that tensor."""

    def __init__(self, gguf: Any, np: Any, seed: int, experts: int) -> None:
        self.gguf = gguf
        self.np = np
        self.random = np.random.default_rng(seed)
        self.experts = experts

    def __call__(self, shape: tuple[int, ...], kind: str) -> tuple[Any, Any]:
        """Return random data of a shape, and the type it is stored as; None for that of the array."""
        match kind:
            case "ones":
                return self.np.ones(shape, self.np.float32), None
            case "f32":
                return self._normal(shape), None
            case "f16":
                return self._normal(shape).astype(self.np.float16), None
            case "q8_0":
                stored_as = self.gguf.GGMLQuantizationType.Q8_0
                return self.gguf.quants.quantize(self._normal(shape), stored_as), stored_as
            case "table":  # different experts for each token
                rows = [self.random.permutation(self.experts)[: shape[1]] for _ in range(shape[0])]
                return self.np.stack(rows).astype(self.np.int32), None
            case _:
                return self._mxfp4(shape), self.gguf.GGMLQuantizationType.MXFP4

    def _normal(self, shape: tuple[int, ...]) -> Any:
        scale = shape[-1] ** -0.5
        return (self.random.standard_normal(shape, dtype=self.np.float32) * scale).astype(self.np.float32)

    def _mxfp4(self, shape: tuple[int, ...]) -> Any:
        """Make random blocks of a scale byte and 16 bytes of two values each: gguf cannot quantize to MXFP4."""
        count, width = shape[-1] // _MXFP4_BLOCK, _MXFP4_BLOCK // 2 + 1
        blocks = self.random.integers(0, _BYTES, (*shape[:-1], count, width), dtype=self.np.uint8)
        blocks[..., 0] = _MXFP4_SCALE
        return blocks.reshape(*shape[:-1], count * width)
