"""What a model asks of a machine at every step, and what the machine has to give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What serving a model reads and computes.

    Attributes:
        dense_bytes: Weight bytes every token reads: attention, shared experts, routers, output head.
        expert_bytes: Bytes of all routed experts; 0 for a dense model.
        experts: Routed experts in a layer; 0 for a dense model.
        experts_per_token: Routed experts one token uses.
        layers: Transformer layers.
        active_parameters: Parameters used for one token, input embedding not counted.
        kv_bytes_per_request: KV cache a request reads at every step at most.

    """

    dense_bytes: int
    expert_bytes: int
    experts: int
    experts_per_token: int
    layers: int
    active_parameters: int
    kv_bytes_per_request: int = 0

    def expert_share(self, tokens: float) -> float:
        """Expected share of the experts that ``tokens`` tokens of one step touch: 1 - (1 - k/E)^B."""
        if not self.experts:
            return 1.0
        untouched: float = (1.0 - self.experts_per_token / self.experts) ** tokens
        return 1.0 - untouched

    def step_bytes(self, tokens: float) -> float:
        """Weight bytes one step over ``tokens`` tokens reads, all ranks together."""
        return self.dense_bytes + self.expert_bytes * self.expert_share(tokens)


@dataclass(frozen=True, slots=True)
class Ranks:
    """GPUs that serve one model together.

    Attributes:
        count: GPUs over all nodes.
        nodes: Machines they stand in.
        data: Attention replicas; above 1 the dense weights lie on every rank.
        accelerator: Key of the GPU ("h200"), None where it is not listed.
        bandwidth_bytes_per_s: Memory bandwidth of one; None where not known.
        flops: Dense peak of one in the format the model computes in; None where not known.

    """

    count: int
    nodes: int
    data: int
    accelerator: str | None
    bandwidth_bytes_per_s: float | None
    flops: float | None


@dataclass(frozen=True, slots=True)
class Load:
    """The requests a prediction is for.

    Attributes:
        concurrency: Requests sent at once.
        running_limit: Requests that run at once; the others wait. The KV cache or a flag sets it.
        prompt_tokens: Prompt length.
        answer_tokens: Answer length.
        draft_tokens: Tokens drafted each step by speculative decoding, 0 without.

    """

    concurrency: int
    running_limit: int
    prompt_tokens: int
    answer_tokens: int
    draft_tokens: int = 0
