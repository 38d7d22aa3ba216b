"""What the planner decides: which checkpoint, engine and parallelism, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from seatrial.catalog.engine_facts import engine_facts, engine_ids, planned_as
from seatrial.flags import Flags
from seatrial.hardware.types import Hardware
from seatrial.memory.types import Footprint, Parallelism
from seatrial.records import Origin, Reason
from seatrial.speed.types import Prediction

Verdict = Literal["verified", "fits", "does_not_fit", "refused"]
Objective = Literal["latency", "balanced", "throughput"]

TENSOR_PARALLEL = frozenset(
    name for name in engine_ids() if engine_facts(planned_as(name)).planning.splits == "tensors"
)
"""Engines that split a model over equal GPUs; each other one takes one machine's memory as it is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration a vendor ran.

    Attributes:
        source: Where it stands, with the commit.
        cell: Its name there ("h200 flash fp4 low-latency").
        differences: How this plan differs from it, one sentence each; empty when it is exactly this.
        flags: The vendor's flags as the current engine spells them, without model, host and port.
        env: The vendor's environment variables.
        respelled: Which of the flags the vendor spelled otherwise, None if none.

    """

    source: str
    cell: str
    differences: tuple[str, ...] = ()
    flags: Flags = field(default_factory=Flags)
    env: dict[str, str] = field(default_factory=dict)
    respelled: Reason | None = None


@dataclass(frozen=True, slots=True)
class ThinkingMode:
    """One way to answer.

    Attributes:
        name: What its authors call it.
        default: Whether the engine answers so where a request says nothing.
        chat_template_kwargs: What a request sends to have it; empty where nothing need be sent.
        context_tokens_min: Context it needs, None where any will do.
        fits_context: Whether the plan's context is enough.
        origin: Origin of these facts.
        source: Where they stand.

    """

    name: str
    default: bool
    chat_template_kwargs: dict[str, bool | str]
    context_tokens_min: int | None
    fits_context: bool
    origin: Origin
    source: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Recommended sampling for one purpose, with its origin and source."""

    purpose: str
    temperature: float
    top_p: float
    origin: Origin
    source: str


@dataclass(frozen=True, slots=True)
class Chat:
    """What a client of a plan must know.

    Attributes:
        reasoning_parser: By the engine's spelling, None where it needs none named.
        tool_call_parser: Likewise.
        tokenizer_mode: Likewise.
        flags: The flags that set these; part of the plan's command.
        template: Where the conversation's form comes from.
        thinking_modes: Ways to answer, the least thinking first.
        sampling: Recommendations, the general one first.
        answer_tokens_max: Longest answer in the thinking modes.
        origin: Origin of parsers and flags.
        source: Where they stand.

    """

    reasoning_parser: str | None
    tool_call_parser: str | None
    tokenizer_mode: str | None
    flags: tuple[str, ...]
    template: str
    thinking_modes: tuple[ThinkingMode, ...]
    sampling: tuple[Sampling, ...]
    answer_tokens_max: int
    origin: Origin
    source: str

    @property
    def default_mode(self) -> ThinkingMode:
        """How it answers where a request says nothing."""
        return next(mode for mode in self.thinking_modes if mode.default)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run on a machine, and why.

    Attributes:
        verdict: ``verified`` (a vendor ran exactly this), ``fits``, ``does_not_fit`` or ``refused``.
        model: Model id.
        checkpoint: Checkpoint id.
        engine: ``sglang``, ``vllm``, ``llamacpp``, ``mlx`` or ``simulated``.
        engine_version_min: Oldest engine version that runs this safely.
        hardware: The machine it was made for (one node).
        nodes: Machines of that kind.
        gpus_per_node: GPUs used in each.
        parallelism: Ranks along each axis.
        context_tokens: Context each request may use.
        concurrency: Requests served at once.
        objective: What the plan was optimized for.
        gpu_memory_fraction: Share of GPU memory the engine is told to take, None where it has no such setting or is
            left to its own rule.
        gpu_memory_fraction_used: The share it takes: what it is told, else what its own rule makes of this GPU.
        gpu_memory_fraction_min: The smallest share that holds the requests, in hundredths; None where it is not known.
        running_requests: Requests of the predicted lengths that run at once, the others wait; None where it does not
            run, or the engine makes room for all when it starts.
        running_requests_full: Those that run at once where each fills its context; never more.
        gpu_layers: llama.cpp: layers on GPUs, None elsewhere.
        cpu_expert_layers: llama.cpp: layers whose experts stay in host memory, None elsewhere.
        gpu_shares: llama.cpp: layers of each GPU, dealt out so that the bytes are even; empty where there are not
            several.
        settings: Settings of the engine that were measured to be faster here than the kit's defaults (``seatrial
            tune``), by name; empty for the defaults.
        footprint: Bytes needed.
        capacity_bytes: Bytes there are for it (GPU memory the engine may use, host memory for llama.cpp).
        shortfall_bytes: Bytes too few; 0 where it fits or is refused. SGLang, vLLM: ``need_bytes`` less
            ``capacity_bytes``, both over all ranks. llama.cpp: bytes of host memory too few once the GPUs hold as many
            whole layers as they can, so ``need_bytes`` may be below ``capacity_bytes`` all the same; in unified memory
            bytes of the GPU's share.
        prediction: Expected speed, None where it does not run.
        recipe: Vendor recipe used or nearest, None where there is none.
        smallest_change: What would make it fit, None where it does.
        reasons: Why, each with origin and source.
        alternatives: Other plans, best first; filled only when asked.
        chat: Parsers, thinking modes and sampling; None for other models and for checkpoints without chat.

    """

    verdict: Verdict
    model: str
    checkpoint: str
    engine: str
    engine_version_min: str | None
    hardware: Hardware
    nodes: int
    gpus_per_node: int
    parallelism: Parallelism
    context_tokens: int
    concurrency: int
    objective: Objective
    gpu_memory_fraction: float | None
    gpu_layers: int | None
    cpu_expert_layers: int | None
    footprint: Footprint
    capacity_bytes: int
    shortfall_bytes: int
    prediction: Prediction | None
    recipe: Recipe | None
    smallest_change: str | None
    reasons: tuple[Reason, ...]
    alternatives: tuple[Plan, ...] = ()
    chat: Chat | None = None
    gpu_memory_fraction_min: float | None = None
    gpu_memory_fraction_used: float | None = None
    running_requests: int | None = None
    running_requests_full: int | None = None
    gpu_shares: tuple[int, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether the verdict says it runs."""
        return self.verdict in {"verified", "fits"}

    @property
    def ranks(self) -> int:
        """GPUs used over all machines."""
        return self.nodes * self.gpus_per_node

    @property
    def need_bytes(self) -> int:
        """Bytes over all GPUs and the host; what lies on every rank is counted as often."""
        footprint = self.footprint
        if self.engine not in TENSOR_PARALLEL:  # layers lie on one GPU each, and not all hold as much as the fullest
            return footprint.total_bytes
        return max(footprint.total_bytes, footprint.per_gpu_bytes * self.ranks)

    @property
    def simulated(self) -> bool:
        """Whether no model is behind it."""
        return self.engine == "simulated"
