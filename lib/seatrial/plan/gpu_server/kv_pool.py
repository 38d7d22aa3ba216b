"""Tokens that the KV cache of SGLang or vLLM holds, and how many requests these are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from seatrial.memory.options import Options
from seatrial.memory.types import Footprint
from seatrial.plan.candidate import Candidate
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.vendor.default_fraction import RUNNING_FLAG, prefill_tokens
from seatrial.plan.vendor.limits import limits

WINDOW_FLAG = "--swa-full-tokens-ratio"
DELAYER_FLAG = "--enable-prefill-delayer"
A2A_FLAG = "--moe-a2a-backend"
_OWN_WINDOW_SHARE = Options().swa_ratio


@dataclass(frozen=True, slots=True)
class KvPool:
    """KV cache of one attention replica."""

    tokens: float
    window_tokens: float | None = None  # tokens whose windows SGLang's second pool holds; None without such a pool
    prompt_tokens: int = 1  # most tokens of one prompt in the window pool at once: prompts are read in pieces

    def requests(self, tokens: float) -> int:
        """Return how many requests of so many tokens the pool holds at once, at least one; never more of longer ones.

        SGLang keeps a window pool of a tenth of the other pool's tokens (``--swa-full-tokens-ratio``). The last piece
        of a prompt stays in that pool until its window has moved on. In every published run with a limit that pool was
        the limit, not the bytes of compressed KV. vLLM frees what lies before the window.
        """
        count = self.tokens / tokens
        if self.window_tokens is not None:
            count = min(count, self.window_tokens / min(tokens, self.prompt_tokens))
        return max(1, int(count))

    def lacks_windows(self, tokens: float) -> bool:
        """Return True if windows, not the KV cache, limit requests of so many tokens."""
        windows = self.window_tokens
        return windows is not None and windows / min(tokens, self.prompt_tokens) < self.tokens / tokens


def pool_of(candidate: Candidate, layout: Layout, footprint: Footprint, usable_bytes: int) -> KvPool:
    """Return the KV cache that fits beside weights, state and reserve.

    Args:
        candidate: What is served with SGLang or vLLM.
        layout: GPUs used, and the recipe.
        footprint: Bytes with all requests that run at once.
        usable_bytes: Bytes of one GPU that a plan may count on.

    """
    cache, replicas, flags = footprint.per_gpu_by_part["kv"], layout.parallelism.data, layout.flags
    token_bytes = max(cache / ceil(footprint.concurrency / replicas) / footprint.context_tokens, 1.0)
    free = max(0, usable_bytes - footprint.per_gpu_bytes + cache)
    if candidate.engine != "sglang":
        told = layout.cell.run.kv_tokens if layout.cell and layout.cell.run else None
        return KvPool(min(free / token_bytes, told or free))
    drafting = layout.cell is not None and layout.cell.draft_tokens > 0
    # Without speculative decoding SGLang loads no draft weights, which the footprint counts as the checkpoint has them.
    idle = footprint.by_class.get("draft", 0) / layout.parallelism.tensor
    tokens = max(0, free + (-limits().draft_model_bytes if drafting else idle)) / token_bytes
    if WINDOW_FLAG not in flags and (RUNNING_FLAG in flags or candidate.architecture.windows_by_requests):
        # Then SGLang sizes the window pool for so many requests, not for a share of the tokens.
        return KvPool(tokens)
    pieces = prefill_tokens(candidate.request.gpus[0], layout.parallelism, flags)
    return KvPool(
        tokens, tokens * window_share(flags) * limits().window_oversubscription, pieces or footprint.context_tokens
    )


def window_share(flags: Mapping[str, str | None]) -> float:
    """Return the tokens of SGLang's window pool as a share of those of the other pool."""
    return float(flags.get(WINDOW_FLAG) or _OWN_WINDOW_SHARE)


def decoding_requests(places: int, flags: Mapping[str, str | None]) -> int:
    """Return how many of so many running requests decode: fewer if replicas wait for one another's prompts."""
    return max(1, round(places * limits().delayed_running)) if DELAYER_FLAG in flags else places
