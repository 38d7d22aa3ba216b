"""Writes a tiny DeepSeek V4 with random weights as the official checkpoints store them: FP4 experts, FP8 layers, BF16 rest.

Tensor names, types and block scales are those of deepseek-ai/DeepSeek-V4-Flash-0731 with its DSpark draft head, or of
DeepSeek-V4-Flash with its MTP head. Its answers are noise; the engine that gives them is real. Needs only numpy, and
less than a second.
"""

import json
from dataclasses import dataclass

import numpy as np
from tests.engines.tiny_llama import tokenizer

from seatrial.catalog import find_model

LAYERS, STAGES, HEADS, HEAD, GROUPS, EXPERTS, TAPS = 5, 2, 4, 128, 4, 8, 2
CONFIG = {
    **find_model("tiny-v4").config,
    "num_hidden_layers": LAYERS,
    "head_dim": HEAD,
    "q_lora_rank": 128,
    "o_lora_rank": 128,
    "o_groups": GROUPS,
    "num_attention_heads": HEADS,
    "moe_intermediate_size": 128,
    "n_routed_experts": EXPERTS,
    "vocab_size": 512,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "compress_ratios": [0, 0, 4, 128, 4],
}
DRAFTS = {"dspark": STAGES, "mtp": 1, None: 0}  # layers of each kind of draft head
DSPARK = {
    "dspark_block_size": 5,
    "dspark_noise_token_id": 258,
    "dspark_target_layer_ids": [LAYERS - 2, LAYERS - 1],
    "dspark_markov_rank": 32,
}
_BLOCK, _GROUP = 128, 32
_ONE = 127  # exponent byte of 2**0; random FP8 and FP4 values are scaled to keep products small


@dataclass
class Stored:
    """Bytes of a tensor, with its type and shape."""

    kind: str
    shape: tuple
    data: bytes


def write_tiny_v4(folder, draft="dspark"):
    """Write the model with a draft head of this kind, or None, into ``folder``, which is made; return the folder."""
    folder.mkdir(parents=True)
    layers = DRAFTS[draft]
    config = {
        **CONFIG,
        "num_nextn_predict_layers": layers,
        "compress_ratios": [*CONFIG["compress_ratios"], *[0] * layers],
    }
    config |= DSPARK if draft == "dspark" else {}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    (folder / "model.safetensors").write_bytes(safetensors(dict(tensors(config, draft))))
    return folder


def safetensors(rows):
    """Return the tensors as one file: the length of a JSON header, the header, the bytes."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, row in rows.items():
        header[name] = {"dtype": row.kind, "shape": row.shape, "data_offsets": [offset, offset + len(row.data)]}
        offset += len(row.data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(row.data for row in rows.values())


def tensors(config, draft):
    """Yield every tensor of the checkpoint with its name."""
    fill = _Fill()
    hidden, words, mix = config["hidden_size"], config["vocab_size"], config["hc_mult"]
    yield "embed.weight", fill.bf16(words, hidden)
    yield "head.weight", fill.bf16(words, hidden)
    yield "norm.weight", fill.ones(hidden)
    yield from _output_mix(fill, "", hidden, mix)
    for layer in range(config["num_hidden_layers"]):
        ratio, hashed = config["compress_ratios"][layer], layer < config["num_hash_layers"]
        yield from _block(fill, config, f"layers.{layer}", ratio=ratio, hashed=hashed)
    if draft == "dspark":
        for stage in range(STAGES):
            yield from _stage(fill, config, f"mtp.{stage}", first=stage == 0, last=stage == STAGES - 1)
    if draft == "mtp":
        yield from _mtp_head(fill, config, "mtp.0")


def _block(fill, config, name, *, ratio, hashed):
    hidden, rank, mix = config["hidden_size"], config["q_lora_rank"], config["hc_mult"]
    width, out = HEADS * HEAD, GROUPS * config["o_lora_rank"]
    yield from fill.fp8(f"{name}.attn.wq_a", rank, hidden)
    yield from fill.fp8(f"{name}.attn.wq_b", width, rank)
    yield from fill.fp8(f"{name}.attn.wkv", HEAD, hidden)
    yield from fill.fp8(f"{name}.attn.wo_a", out, width // GROUPS)
    yield from fill.fp8(f"{name}.attn.wo_b", hidden, out)
    yield f"{name}.attn.attn_sink", fill.f32(HEADS)
    yield f"{name}.attn.q_norm.weight", fill.ones(rank)
    yield f"{name}.attn.kv_norm.weight", fill.ones(HEAD)
    yield f"{name}.attn_norm.weight", fill.ones(hidden)
    yield f"{name}.ffn_norm.weight", fill.ones(hidden)
    for side in ("attn", "ffn"):
        yield f"{name}.hc_{side}_fn", fill.f32((2 + mix) * mix, mix * hidden)
        yield f"{name}.hc_{side}_base", fill.f32((2 + mix) * mix)
        yield f"{name}.hc_{side}_scale", fill.f32(3)
    yield from _experts(fill, config, f"{name}.ffn", hashed=hashed)
    if ratio:
        yield from _compressor(fill, f"{name}.attn.compressor", ratio, HEAD, hidden)
    if ratio == 4:
        index_heads, index_head = config["index_n_heads"], config["index_head_dim"]
        yield from fill.fp8(f"{name}.attn.indexer.wq_b", index_heads * index_head, rank)
        yield f"{name}.attn.indexer.weights_proj.weight", fill.bf16(index_heads, hidden)
        yield from _compressor(fill, f"{name}.attn.indexer.compressor", ratio, index_head, hidden)


def _experts(fill, config, name, *, hashed):
    hidden, inner = config["hidden_size"], config["moe_intermediate_size"]
    yield f"{name}.gate.weight", fill.bf16(EXPERTS, hidden)
    if hashed:
        yield f"{name}.gate.tid2eid", fill.experts_of_tokens(config["vocab_size"], config["num_experts_per_tok"])
    else:
        yield f"{name}.gate.bias", fill.f32(EXPERTS)
    for place in range(EXPERTS):
        for part, rows, columns in (("w1", inner, hidden), ("w2", hidden, inner), ("w3", inner, hidden)):
            yield from fill.fp4(f"{name}.experts.{place}.{part}", rows, columns)
    for part, rows, columns in (("w1", inner, hidden), ("w2", hidden, inner), ("w3", inner, hidden)):
        yield from fill.fp8(f"{name}.shared_experts.{part}", rows, columns)


def _compressor(fill, name, ratio, head, hidden):
    width = 2 * head if ratio == 4 else head
    yield f"{name}.ape", fill.f32(ratio, width)
    yield f"{name}.wkv.weight", fill.bf16(width, hidden)
    yield f"{name}.wgate.weight", fill.bf16(width, hidden)
    yield f"{name}.norm.weight", fill.ones(head)


def _output_mix(fill, name, hidden, mix):
    yield f"{name}hc_head_fn", fill.f32(mix, mix * hidden)
    yield f"{name}hc_head_base", fill.f32(mix)
    yield f"{name}hc_head_scale", fill.f32(1)


def _stage(fill, config, name, *, first, last):
    hidden, words, rank = config["hidden_size"], config["vocab_size"], config["dspark_markov_rank"]
    yield from _block(fill, config, name, ratio=0, hashed=False)
    if first:
        yield from fill.fp8(f"{name}.main_proj", hidden, TAPS * hidden)
        yield f"{name}.main_norm.weight", fill.ones(hidden)
    if last:
        yield f"{name}.norm.weight", fill.ones(hidden)
        yield from _output_mix(fill, f"{name}.", hidden, config["hc_mult"])
        yield f"{name}.markov_head.markov_w1.weight", fill.bf16(words, rank)
        yield f"{name}.markov_head.markov_w2.weight", fill.bf16(words, rank)
        yield f"{name}.confidence_head.proj.weight", fill.bf16(1, hidden + rank)


def _mtp_head(fill, config, name):
    hidden = config["hidden_size"]
    yield from _block(fill, config, name, ratio=0, hashed=False)
    yield from fill.fp8(f"{name}.e_proj", hidden, hidden)
    yield from fill.fp8(f"{name}.h_proj", hidden, hidden)
    for part in ("enorm", "hnorm", "norm"):
        yield f"{name}.{part}.weight", fill.ones(hidden)
    yield from _output_mix(fill, f"{name}.", hidden, config["hc_mult"])


class _Fill:
    """Small random values in each type of the checkpoint, the same every time."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def ones(self, count):
        return Stored("BF16", (count,), _bf16(np.ones(count, "<f4")))

    def bf16(self, *shape):
        return Stored("BF16", shape, _bf16(self._normal(shape)))

    def f32(self, *shape):
        return Stored("F32", shape, self._normal(shape).tobytes())

    def experts_of_tokens(self, words, chosen):
        rows = np.argsort(self.random.random((words, EXPERTS)), axis=1)[:, :chosen]
        return Stored("I64", rows.shape, rows.astype("<i8").tobytes())

    def fp8(self, name, rows, columns):
        """Yield a matrix in E4M3 with an exponent for each block of 128 by 128."""
        # Bytes 0x20 to 0x38 are 0.03 to 1.0 in E4M3; the upper bit is the sign.
        data = self.random.integers(0x20, 0x39, (rows, columns)) | self.random.choice([0, 0x80], (rows, columns))
        scales = (-(-rows // _BLOCK), -(-columns // _BLOCK))
        yield f"{name}.weight", Stored("F8_E4M3", (rows, columns), data.astype("u1").tobytes())
        yield f"{name}.scale", Stored("F8_E8M0", scales, self._exponents(scales))

    def fp4(self, name, rows, columns):
        """Yield a matrix in E2M1, two values in a byte, with an exponent for each 32 values of a row."""
        data = self.random.integers(0, 256, (rows, columns // 2)).astype("u1")
        scales = (rows, columns // _GROUP)
        yield f"{name}.weight", Stored("I8", data.shape, data.tobytes())
        yield f"{name}.scale", Stored("F8_E8M0", scales, self._exponents(scales))

    def _normal(self, shape):
        return (self.random.standard_normal(shape) * 0.05).astype("<f4")

    def _exponents(self, shape):
        return self.random.integers(_ONE - 6, _ONE - 4, shape).astype("u1").tobytes()


def _bf16(values):
    return (values.view("<u4") >> 16).astype("<u2").tobytes()
