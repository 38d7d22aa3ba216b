"""The plan: which checkpoint, engine and parallelism, the memory and the speed, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from seatrial.catalog.architecture import architecture_of
from seatrial.catalog.engine_facts import engine_facts, engine_ids, planned_as
from seatrial.flags import Flags
from seatrial.hardware.types import Hardware
from seatrial.memory.types import Footprint, Parallelism
from seatrial.records import Origin, Reason
from seatrial.speed.types import Prediction

Verdict = Literal["verified", "fits", "does_not_fit", "refused"]
Objective = Literal["latency", "balanced", "throughput"]
Strategy = Literal["low-latency", "balanced", "high-throughput"]
RecipeStatus = Literal["verified", "in-progress", "not verified"]

TENSOR_PARALLEL = frozenset(
    name for name in engine_ids() if engine_facts(planned_as(name)).planning.splits == "tensors"
)
"""Engines that split a model over equal GPUs; each other one takes one machine's memory as it is."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration a vendor published.

    Attributes:
        source: File that contains it, with the commit.
        cell: Its name in that file ("h200 flash fp4 low-latency").
        status: ``verified`` if the vendor ran exactly this, else ``in-progress`` or ``not verified``.
        differences: How this plan differs from it, one sentence each; empty if the plan is exactly this.
        flags: The vendor's flags as the current engine spells them, without model, host and port.
        env: The vendor's environment variables.
        respelled: Which of the flags the vendor spelled otherwise, None if none.

    """

    source: str
    cell: str
    status: RecipeStatus
    differences: tuple[str, ...] = ()
    flags: Flags = field(default_factory=Flags)
    env: dict[str, str] = field(default_factory=dict)
    respelled: Reason | None = None


@dataclass(frozen=True, slots=True)
class ThinkingMode:
    """One way to answer.

    Attributes:
        name: Its authors' name for it.
        default: The engine answers this way unless a request asks for another mode.
        chat_template_kwargs: What a request sends to get this mode; empty if it sends nothing.
        context_tokens_min: Context it needs; None if any is enough.
        fits_context: The plan's context is enough.
        origin: Origin of these facts.
        source: Their source.

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
    """Facts a client of a plan must know.

    Attributes:
        reasoning_parser: In the engine's spelling; None if it needs no name.
        tool_call_parser: Likewise.
        tokenizer_mode: Likewise.
        flags: The flags that set these; part of the plan's command.
        template: Source of the conversation's form.
        thinking_modes: Ways to answer, the least thinking first.
        sampling: Recommendations, the general one first.
        answer_tokens_max: Longest answer in the thinking modes; None if unknown.
        origin: Origin of parsers and flags.
        source: Their source.

    """

    reasoning_parser: str | None
    tool_call_parser: str | None
    tokenizer_mode: str | None
    flags: tuple[str, ...]
    template: str
    thinking_modes: tuple[ThinkingMode, ...]
    sampling: tuple[Sampling, ...]
    answer_tokens_max: int | None
    origin: Origin
    source: str

    @property
    def default_mode(self) -> ThinkingMode:
        """Mode of an answer if a request asks for none."""
        return next(mode for mode in self.thinking_modes if mode.default)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to run on a machine, and why.

    Attributes:
        verdict: ``verified`` (a vendor ran exactly this, and its recipe says so), ``fits``, ``does_not_fit`` or ``refused``.
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
        gpu_memory_fraction: Share of GPU memory in the engine's command; None if the engine has no such setting or
            follows its own rule.
        gpu_memory_fraction_used: The share it takes: the one in the command, else that of its own rule.
        gpu_memory_fraction_min: The smallest share that holds the requests, in hundredths; None if unknown.
        running_requests: Requests of the predicted lengths that run at once, the others wait; None if it does not
            run, or if the engine allocates memory for all when it starts.
        running_requests_full: Requests that run at once if each fills its context; never more.
        gpu_layers: llama.cpp: layers on GPUs; None for other engines.
        cpu_expert_layers: llama.cpp: layers whose experts stay in host memory; None for other engines.
        gpu_shares: llama.cpp: layers of each GPU, divided so that the bytes are even; empty unless there are several,
            and if ``parallelism.tensor`` says that each tensor is divided instead.
        drafter: Checkpoint id or path of a file that drafts tokens for the model; the checkpoint's own id if its
            draft head does (MLX); None without.
        draft_tokens: Tokens drafted each step; None without, or if the engine decides.
        architecture: Architecture of the model (``deepseek_v4``); empty in records of older versions.
        settings: Settings of the engine, by name, that were measured to be faster on this machine than the kit's
            defaults (``seatrial tune``); empty for the defaults.
        footprint: Bytes needed.
        capacity_bytes: Bytes available (GPU memory the engine may use; for llama.cpp also host memory).
        shortfall_bytes: Bytes too few; 0 if it fits or is refused. SGLang, vLLM: ``need_bytes`` less
            ``capacity_bytes``, both over all ranks. llama.cpp: bytes of host memory too few once the GPUs hold as many
            whole layers as they can, so ``need_bytes`` may be below ``capacity_bytes`` all the same; in unified memory
            bytes of the GPU's share.
        prediction: Expected speed; None if it does not run.
        recipe: Vendor recipe used or nearest; None if there is none.
        smallest_change: Change that would make it fit; None if it does.
        reasons: Explanation, each with origin and source; the first four decided.
        alternatives: Other plans, best first; empty unless asked for.
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
    drafter: str | None = None
    draft_tokens: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    architecture: str = ""

    @property
    def unchecked(self) -> str | None:
        """Why only a vendor's recipe decides: memory formulas that no published run has confirmed; None if they count."""
        return architecture_of(self.architecture).unchecked.get(self.engine)

    @property
    def runs(self) -> bool:
        """True if the verdict is that it runs."""
        return self.verdict in {"verified", "fits"}

    @property
    def ranks(self) -> int:
        """GPUs used over all machines."""
        return self.nodes * self.gpus_per_node

    @property
    def need_bytes(self) -> int:
        """Bytes over all GPUs, copies included; for engines that split layers also those in host memory."""
        footprint = self.footprint
        if self.engine not in TENSOR_PARALLEL and self.parallelism.tensor == 1:
            return footprint.total_bytes  # layers lie on one GPU each, and not all hold as much as the fullest
        return max(footprint.total_bytes - footprint.host_bytes, footprint.per_gpu_bytes * self.ranks)

    @property
    def drafter_asked(self) -> str | None:
        """Value of ``--drafter`` that asks for this plan's drafter."""
        return "auto" if self.drafter == self.checkpoint else self.drafter

    @property
    def simulated(self) -> bool:
        """True if there is no model behind it."""
        return self.engine == "simulated"
