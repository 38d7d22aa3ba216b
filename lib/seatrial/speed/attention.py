"""What attention reads at every step and computes for a prompt: little in V4, until contexts are long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.catalog.cached_vectors import CSA, HCA, index_bytes, latent_bytes

_BF16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention of one model over all layers.

    Attributes:
        window_bytes: Bytes a step reads of one cached token inside the window.
        window_tokens: Length of the window.
        chosen_bytes: Bytes a step reads of one vector the indexer has chosen.
        chosen_most: Vectors it chooses at most.
        token_bytes: Bytes a step reads of every cached token, near or far.
        pair_flops: Operations for each pair of prompt tokens that see each other.

    """

    window_bytes: float = 0.0
    window_tokens: int = 0
    chosen_bytes: float = 0.0
    chosen_most: int = 0
    token_bytes: float = 0.0
    pair_flops: float = 0.0

    def read_bytes(self, tokens: float) -> float:
        """Bytes one step reads of the cache of a request with ``tokens`` tokens."""
        chosen = min(self.chosen_most, tokens / CSA)
        return (
            self.window_bytes * min(self.window_tokens, tokens) + self.chosen_bytes * chosen + self.token_bytes * tokens
        )


NO_ATTENTION = Attention()


def attention_of(config: Mapping[str, Any]) -> Attention:
    """Attention by a model's ``config.json``.

    V4: every layer reads its window; a layer of ratio 4 reads all indexer keys and the vectors they choose, one of
    ratio 128 all its vectors. Cached vectors and indexer keys are those of SGLang and vLLM.
    Any other model: all keys and values in BF16. A model whose heads are not known: nothing.
    """
    if "num_attention_heads" not in config:
        return NO_ATTENTION
    layers, heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
    ratios = config.get("compress_ratios")
    if ratios is None:
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        kept = int(config.get("num_key_value_heads") or heads)
        return Attention(token_bytes=2.0 * layers * kept * width * _BF16_BYTES, pair_flops=4.0 * layers * heads * width)
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
