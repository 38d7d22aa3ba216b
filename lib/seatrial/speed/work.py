"""Work of a model at every step, the GPUs that share it, and the requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from seatrial.speed.attention import NO_ATTENTION, Attention


@dataclass(frozen=True, slots=True)
class Work:
    """Bytes and operations of serving a model."""

    dense_bytes: int  # weights every token reads: attention, shared experts, routers, output head
    expert_bytes: int  # of all routed experts; 0 for a dense model
    experts: int  # routed experts in a layer; 0 for a dense model
    experts_per_token: int
    layers: int
    active_parameters: int  # used for one token, input embedding not counted
    routed_parameters: int = 0  # those of the active parameters that are in routed experts
    precision: str | None = None  # format of the experts ("fp4", "nvfp4", "fp8", "bf16"); None if it does not matter
    attention: Attention = NO_ATTENTION

    def expert_share(self, tokens: float) -> float:
        """Return the expected share of the experts that ``tokens`` tokens of one step use: 1 - (1 - k/E)^B."""
        if not self.experts:
            return 1.0
        unused: float = (1.0 - self.experts_per_token / self.experts) ** tokens
        return 1.0 - unused

    def step_bytes(self, tokens: float) -> float:
        """Return the weight bytes one step over ``tokens`` tokens reads, all ranks together."""
        return self.dense_bytes + self.expert_bytes * self.expert_share(tokens)


@dataclass(frozen=True, slots=True)
class Ranks:
    """GPUs that serve one model together."""

    count: int  # over all nodes
    nodes: int
    data: int  # attention replicas; above 1 every rank has all dense weights
    accelerator: str | None  # key of the GPU ("h200"), None if it is not listed
    bandwidth_bytes_per_s: float | None  # of the memory of one GPU; None if unknown
    flops: float | None  # dense peak of one GPU in the format the model computes in; None if unknown
    flops_note: str = ""  # see Rate.note
    architecture: str | None = None  # compute capability ("9.0") or "gfx942"; None if unknown
    measured_at: str | None = None  # when the bandwidth was measured; None if it is the data sheet's
    prefill_together: bool = False  # attention replicas wait for one another's prompts (SGLang's prefill delayer)
    deepep: bool = False  # tokens reach the experts of other ranks through DeepEP


class Prompt(NamedTuple):
    """What the work for a prompt depends on."""

    tokens: float
    pairs: float  # of its tokens, of which the later sees the earlier


@dataclass(frozen=True, slots=True)
class ServingLoad:
    """Requests a prediction is for."""

    concurrency: int  # requests sent at once; each that ends is replaced
    running_limit: int  # requests that run at once, by the KV cache or a flag; the others wait
    prompt_tokens: int  # length of a prompt, the largest if lengths are random
    answer_tokens: int  # length of an answer, the largest if lengths are random
    draft_tokens: int = 0  # drafted each step by speculative decoding
    draft_method: str = "mtp"  # what drafts, as acceptance.json calls it
    draft_model: str | None = None  # whose drafts ("flash", "pro"); None if unknown
    accepted: float | None = None  # tokens a step yields; None for those of random text, by acceptance.json
    requests: int | None = None  # of the entire run; None for one that goes on for ever
    random_lengths: bool = False  # drawn evenly from 1 to the given lengths, as in SGLang's published runs

    @property
    def running(self) -> int:
        """Requests that run at once."""
        return max(1, min(self.concurrency, self.running_limit))

    @property
    def mean_prompt(self) -> float:
        """Mean prompt length."""
        return (self.prompt_tokens + 1) / 2 if self.random_lengths else self.prompt_tokens

    @property
    def mean_answer(self) -> float:
        """Mean answer length."""
        return (self.answer_tokens + 1) / 2 if self.random_lengths else max(1, self.answer_tokens)

    @property
    def own_prompt(self) -> Prompt:
        """Prompt of the full length."""
        return Prompt(self.prompt_tokens, self.prompt_tokens**2 / 2)

    @property
    def others_prompt(self) -> Prompt:
        """Mean prompt."""
        return Prompt(self.mean_prompt, self.prompt_tokens**2 / (6 if self.random_lengths else 2))

    @property
    def cached_tokens(self) -> float:
        """Tokens of a running request in the cache: its prompt and half of its answer."""
        return self.mean_prompt + self.mean_answer / 2


def benchmark_requests(concurrency: int) -> int:
    """Return the requests SGLang's published runs sent: twice the concurrency, within 32 and 4,096."""
    return max(32, concurrency, min(2 * concurrency, 4096))
