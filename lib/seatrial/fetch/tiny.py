"""Makes tiny-v4: random weights in DeepSeek V4's real shape, so that the real code path runs on any machine.

The file has a few MiB and takes under a second. Its answers are noise. Keys and tensor names follow llama.cpp's
``src/models/deepseek4.cpp`` and ``gguf-py/gguf/constants.py`` (b11434); the gguf package does not know them yet.
Needs ``gguf`` and ``numpy``.

llama.cpp requires of so small a model that the head size differs from the indexer's (equal ones divide by zero), that
``hc_mult`` is 4, and that ratios are 0, 4 or 128.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seatrial.catalog.cached_vectors import CSA
from seatrial.catalog.find import find_model
from seatrial.catalog.local import DEEPSEEK4
from seatrial.errors import EngineMissingError, UsageError

_SPECIAL_TOKENS = tuple(
    token.replace("|", "\uff5c")  # V4's chat format has full-width bars
    for token in (
        *("<|begin▁of▁sentence|>", "<|end▁of▁sentence|>", "<|▁pad▁|>", "<|User|>", "<|Assistant|>"),
        *("<think>", "</think>", "|DSML|"),
    )
)
"""The first five are control tokens, the rest user-defined."""

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
_BYTES = 256
_MXFP4_BLOCK = 32
_MXFP4_SCALE = 127 - 6
"""Exponent byte of each block: 2**-6 keeps products of random weights small."""


def write_tiny(path: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """Write the tiny random DeepSeek V4 to ``path``, complete or not at all.

    Args:
        path: A ``.gguf`` file; an existing one is replaced.
        seed: Seed of the random weights; the same seed gives the same file.
        sizes: Fields of config.json that differ from tiny-v4's (``compress_ratios``, ``head_dim``).

    Returns:
        ``path``.

    Raises:
        EngineMissingError: If the package ``gguf`` or ``numpy`` is not installed.
        UsageError: If ``path`` cannot be written.

    """
    gguf, np = _packages()
    config = {**find_model("tiny-v4").config, **sizes}
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = gguf.GGUFWriter(part, "deepseek4")
        _add_metadata(writer, config)
        _add_tokenizer(writer, config["vocab_size"])
        fill = _Filler(gguf, np, seed, config["n_routed_experts"])
        for name, shape, kind in _tensors(config):
            data, stored_as = fill(shape, kind)
            writer.add_tensor(name, data, raw_dtype=stored_as)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", remedy="Free some space or choose another folder."
        ) from error
    return path


def _packages() -> tuple[Any, Any]:
    """Import the packages gguf and numpy."""
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise EngineMissingError(
            f"tiny-v4 is made with the packages gguf and numpy, and {error.name} is not installed.",
            remedy="Run: pip install 'seatrial[llamacpp]'",
            cause="package missing",
        ) from error
    return gguf, np


def _add_metadata(writer: Any, config: dict[str, Any]) -> None:
    layers = config["num_hidden_layers"]
    writer.add_name("tiny-v4")
    writer.add_description("Random weights in the shape of DeepSeek V4: answers are noise.")
    writer.add_license("cc0-1.0")
    for field, key in DEEPSEEK4.items():
        writer.add_uint32(f"deepseek4.{key}", config[field])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_feed_forward_length(config["moe_intermediate_size"])
    writer.add_head_count_kv(1)
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    writer.add_expert_weights_norm(config["norm_topk_prob"])
    writer.add_uint32("deepseek4.expert_gating_func", 4)  # sqrtsoftplus
    writer.add_array("deepseek4.swiglu_clamp_exp", [config["swiglu_limit"]] * layers)
    writer.add_array("deepseek4.swiglu_clamp_shexp", [config["swiglu_limit"]] * layers)
    writer.add_array("deepseek4.attention.compress_ratios", config["compress_ratios"])
    writer.add_float32("deepseek4.attention.compress_rope_freq_base", float(config["compress_rope_theta"]))
    writer.add_uint32("deepseek4.hyper_connection.sinkhorn_iterations", config["hc_sinkhorn_iters"])
    writer.add_float32("deepseek4.hyper_connection.epsilon", config["hc_eps"])
    writer.add_uint32("deepseek4.embedding_length_out", config["hidden_size"] * config["hc_mult"])


def _add_tokenizer(writer: Any, size: int) -> None:
    """Add a byte-level vocabulary: every byte, V4's special tokens, one merge, and unused tokens up to ``size``."""
    letters = _byte_letters()
    pair = letters[ord(" ")] * 2
    tokens = [*letters, *_SPECIAL_TOKENS, pair]
    types = [_NORMAL] * _BYTES + [_CONTROL] * 5 + [_USER_DEFINED] * 3 + [_NORMAL] + [_UNUSED] * (size - len(tokens))
    tokens += [f"<unused{number}>" for number in range(len(tokens), size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-v3")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair)])
    writer.add_bos_token_id(_BYTES)
    writer.add_eos_token_id(_BYTES + 1)
    writer.add_pad_token_id(_BYTES + 2)
    writer.add_add_bos_token(False)


def _byte_letters() -> list[str]:
    """Return GPT-2's letter for each byte: the byte itself if it prints, else a letter above 255."""
    printable = {*range(33, 127), *range(161, 173), *range(174, _BYTES)}
    hidden = [byte for byte in range(_BYTES) if byte not in printable]
    return [chr(byte if byte in printable else _BYTES + hidden.index(byte)) for byte in range(_BYTES)]


_Tensor = tuple[str, tuple[int, ...], str]
"""Name, numpy shape and storage."""


def _tensors(config: dict[str, Any]) -> Iterator[_Tensor]:
    """Yield every tensor of the model."""
    hidden, vocabulary, mult = config["hidden_size"], config["vocab_size"], config["hc_mult"]
    yield "token_embd.weight", (vocabulary, hidden), "f16"
    yield "output_norm.weight", (hidden,), "ones"
    yield "output.weight", (vocabulary, hidden), "f16"
    yield "output_hc_fn.weight", (mult, mult * hidden), "f32"
    yield "output_hc_base.weight", (mult,), "f32"
    yield "output_hc_scale.weight", (1,), "ones"
    for layer, ratio in enumerate(config["compress_ratios"]):
        for name, shape, kind in _layer(config, ratio, hashed=layer < config["num_hash_layers"]):
            yield f"blk.{layer}.{name}", shape, kind


def _layer(config: dict[str, Any], ratio: int, *, hashed: bool) -> Iterator[_Tensor]:
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


def _compressor(name: str, ratio: int, head: int, hidden: int) -> Iterator[_Tensor]:
    width = 2 * head if ratio == CSA else head  # windows of CSA overlap
    yield f"{name}_kv.weight", (width, hidden), "f16"
    yield f"{name}_gate.weight", (width, hidden), "f16"
    yield f"{name}_ape.weight", (ratio, width), "f32"
    yield f"{name}_norm.weight", (head,), "ones"


def _experts(config: dict[str, Any], *, hashed: bool) -> Iterator[_Tensor]:
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


class _Filler:
    """Makes random data of a shape, stored as llama.cpp's converter stores that tensor."""

    def __init__(self, gguf: Any, np: Any, seed: int, experts: int) -> None:
        self.gguf = gguf
        self.np = np
        self.random = np.random.default_rng(seed)
        self.experts = experts

    def __call__(self, shape: tuple[int, ...], kind: str) -> tuple[Any, Any]:
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
