"""What a model asks of a machine at every step, and what the machine has to give."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.speed.attention import NO_ATTENTION, Attention


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
        routed_parameters: Those of the active parameters that are in routed experts.
        precision: Format of the experts (``fp4``, ``nvfp4``, ``fp8``, ``bf16``), None where it does not matter.
        attention: What attention reads and computes on top; nothing where not given.

    """

    dense_bytes: int
    expert_bytes: int
    experts: int
    experts_per_token: int
    layers: int
    active_parameters: int
    routed_parameters: int = 0
    precision: str | None = None
    attention: Attention = NO_ATTENTION

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
        flops_note: Which rate that is, or what is missing; empty where there is nothing to say.
        architecture: Compute capability ("9.0") or "gfx942"; None where not known.
        prefill_together: Whether the attention replicas wait for one another's prompts (SGLang's prefill delayer).

    """

    count: int
    nodes: int
    data: int
    accelerator: str | None
    bandwidth_bytes_per_s: float | None
    flops: float | None
    flops_note: str = ""
    architecture: str | None = None
    prefill_together: bool = False


@dataclass(frozen=True, slots=True)
class ServingLoad:
    """The requests a prediction is for.

    Attributes:
        concurrency: Requests sent at once; each that ends is replaced.
        running_limit: Requests that run at once; the others wait. The KV cache or a flag sets it.
        prompt_tokens: Prompt length, the largest where lengths are random.
        answer_tokens: Answer length, likewise.
        draft_tokens: Tokens drafted each step by speculative decoding, 0 without.
        requests: Requests of the whole run; None for one that goes on for ever.
        random_lengths: Whether lengths are drawn evenly from 1 to the given ones, as SGLang's benchmark does.
        prompts_seen: Whether the prompts lie in the server's prefix cache already.

    """

    concurrency: int
    running_limit: int
    prompt_tokens: int
    answer_tokens: int
    draft_tokens: int = 0
    requests: int | None = None
    random_lengths: bool = False
    prompts_seen: bool = False

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
    def prompt_pairs(self) -> float:
        """Mean number of pairs of prompt tokens, of which the later sees the earlier."""
        return self.prompt_tokens**2 / (6 if self.random_lengths else 2)

    @property
    def cached_tokens(self) -> float:
        """Tokens of a running request in the cache: its prompt and half of its answer."""
        return self.mean_prompt + self.mean_answer / 2


def benchmark_requests(concurrency: int) -> int:
    """Requests SGLang's published runs sent: 32, or twice the concurrency, 4,096 at the most."""
    return max(32, concurrency, min(2 * concurrency, 4096))
