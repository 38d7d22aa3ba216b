"""Bytes attention reads at every step, and operations for a prompt: few in V4, until contexts are long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.catalog.cached_vectors import CSA, HCA, bf16_bytes, index_bytes, latent_bytes


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention of one model over all layers."""

    window_bytes: float = 0.0  # a step reads of one cached token inside the window
    window_tokens: int = 0
    chosen_bytes: float = 0.0  # a step reads of one vector the indexer has chosen
    chosen_most: int = 0  # vectors the indexer chooses at most
    token_bytes: float = 0.0  # a step reads of every cached token, inside the window or not
    pair_flops: float = 0.0  # operations for each pair of prompt tokens that see each other

    def read_bytes(self, tokens: float) -> float:
        """Return the bytes one step reads from the cache of a request with ``tokens`` tokens."""
        chosen = min(self.chosen_most, tokens / CSA)
        windowed = min(self.window_tokens, tokens)
        return self.window_bytes * windowed + self.chosen_bytes * chosen + self.token_bytes * tokens


NO_ATTENTION = Attention()


def attention_of(config: Mapping[str, Any]) -> Attention:
    """Return the attention a model's ``config.json`` describes.

    In V4 every layer reads its window. A layer of ratio 4 also reads all indexer keys and the vectors they choose, one
    of ratio 128 all its vectors; sizes are those of SGLang and vLLM. Any other model reads all keys and values in BF16.
    If the number of heads is not known, attention counts as nothing.
    """
    if "num_attention_heads" not in config:
        return NO_ATTENTION
    layers, heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
    ratios = config.get("compress_ratios")
    if ratios is None:
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        kv_heads = int(config.get("num_key_value_heads") or heads)
        return Attention(
            token_bytes=2.0 * layers * bf16_bytes(kv_heads * width), pair_flops=4.0 * layers * heads * width
        )
    width, keys = int(config["head_dim"]), int(config["index_head_dim"])
    vector = latent_bytes(width, int(config["qk_rope_head_dim"]))
    chosen, compressed = ratios[:layers].count(CSA), ratios[:layers].count(HCA)
    scoring = 2 * int(config["index_n_heads"]) * keys
    return Attention(
        window_bytes=float(layers * vector),
        window_tokens=int(config["sliding_window"]),
        chosen_bytes=float(chosen * vector),
        chosen_most=int(config["index_topk"]),
        token_bytes=chosen * index_bytes(keys) / CSA + compressed * vector / HCA,
        pair_flops=chosen * scoring / CSA + compressed * 4 * heads * width / HCA,
    )
