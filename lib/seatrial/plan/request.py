"""Everything a person asks of the planner, from the command line to the plan; checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint, Model
from seatrial.errors import UnknownNameError, UsageError
from seatrial.given import text, whole
from seatrial.hardware.types import Gpu, Hardware
from seatrial.memory.options import ENGINES, MOST_DRAFT_TOKENS
from seatrial.plan.types import Objective
from seatrial.plan.vendor.limits import limit_reason, limits
from seatrial.records import Reason

_DRAFTING = tuple(name for name in ENGINES if engine_facts(name).drafting is not None)
"""Engines that draft if a person asks for it."""
OBJECTIVES: tuple[Objective, ...] = ("latency", "balanced", "throughput")
_MAX_NODES = 16
_MAX_CONCURRENCY = 1 << 16
_MAX_TOKENS = 1 << 24
_MAX_RANKS = 1 << 12

_WHOLE = ("nodes", "concurrency", "context_tokens", "tensor_parallel", "prompt_tokens", "answer_tokens", "draft_tokens")
_CHOICES: dict[str, Callable[[str, object], object]] = {
    **dict.fromkeys(("model", "engine", "objective"), text),
    **dict.fromkeys(_WHOLE, whole),
}
_NEVER_NONE = {"engine", "objective", "nodes", "concurrency"}

_TOO_LONG = "No model of the catalog takes as many; `seatrial models` names the context of each."
_REMEDIES = {  # if a number is above its bound; the bounds are wider than what any engine serves
    "concurrency": "One server runs far fewer at once: divide the load among several servers, and plan one of them.",
    "context_tokens": _TOO_LONG,
    "prompt_tokens": _TOO_LONG,
    "answer_tokens": _TOO_LONG,
    "draft_tokens": "Drafters are trained for blocks of 5 to 7 tokens, and more are accepted less and less.",
    "tensor_parallel": "Give as many as the machines have GPUs, or fewer.",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A person's choices; what is None or ``auto`` is left to the planner."""

    hardware: Hardware  # one machine
    model: str | None = None  # Flash if no checkpoint is named either
    checkpoint: str | Checkpoint | None = None
    nodes: int = 1  # machines of that kind
    engine: str = "auto"
    context_tokens: int | None = None  # of each request
    concurrency: int = 1  # requests at once
    objective: Objective = "balanced"
    tensor_parallel: int | None = None  # ranks
    recipes: bool = True  # consider vendor recipes
    prompt_tokens: int | None = None  # the prediction is for prompts of this length, of several requests up to it
    answer_tokens: int | None = None
    drafter: str | Checkpoint | None = None  # ``auto``: the catalog's for the checkpoint
    draft_tokens: int | None = None  # drafted a step
    # The largest group of equal GPUs, since engines that split tensors need equal ones; one only if they are MIG
    # slices, which do not work together.
    gpus: tuple[Gpu, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Read the choices; find the equal GPUs once, since every layout asks for them.

        A drafter chooses the engine if nobody did.
        """
        for name, read in _CHOICES.items():
            if (value := getattr(self, name)) is not None or name in _NEVER_NONE:
                object.__setattr__(self, name, read(name, value))
        if self.drafter is not None and self.engine == "auto":
            object.__setattr__(self, "engine", _DRAFTING[0])
        object.__setattr__(self, "gpus", _largest_group(self.hardware))

    def check(self) -> None:
        """Refuse numbers that no machine has and names that do not exist.

        Raises:
            UsageError: If a count is below 1 or beyond its bound, or if there are fewer GPUs than ranks.
            UnknownNameError: If there is no such engine or objective.

        """
        if self.engine not in {"auto", *ENGINES}:
            raise UnknownNameError("engine", self.engine, ("auto", *ENGINES))
        if self.objective not in OBJECTIVES:
            raise UnknownNameError("objective", self.objective, OBJECTIVES)
        if self.nodes > _MAX_NODES:
            raise UsageError(
                f"nodes = {self.nodes:,}: no vendor has published a run over more than {_MAX_NODES} machines.",
                remedy=f"Plan one of several equal groups of at most {_MAX_NODES} machines.",
            )
        _check_count("nodes", self.nodes, _MAX_NODES)
        _check_count("concurrency", self.concurrency, _MAX_CONCURRENCY)
        for name in ("context_tokens", "prompt_tokens", "answer_tokens"):
            if (tokens := getattr(self, name)) is not None:
                _check_count(name, tokens, _MAX_TOKENS)
        if self.tensor_parallel is not None:
            self._check_ranks(self.tensor_parallel)
        self._check_drafter()

    @property
    def ranks(self) -> int:
        """GPUs asked for, else all equal ones of all machines."""
        return self.tensor_parallel or len(self.gpus) * self.nodes

    def nodes_for(self, ranks: int) -> tuple[int, int] | None:
        """Return the machines, and the GPUs of each, that share ``ranks`` evenly; None if no number of machines does.

        All machines if possible, else as few as possible.
        """
        each = max(1, len(self.gpus))
        counts = (self.nodes, *range(1, self.nodes))
        return next(((count, ranks // count) for count in counts if not ranks % count and ranks <= each * count), None)

    def context_for(self, model: Model, most: int | None = None) -> int:
        """Return the context of each request in tokens.

        It is the one asked for, else the default, at most ``most``, but long enough for the lengths asked for.
        """
        if self.context_tokens is not None:
            return self.context_tokens
        default = limits().context_stand_in_tokens if model.role == "stand-in" else limits().context_tokens
        return max(self.length_tokens, min(default, model.context_tokens, most or default))

    @property
    def length_tokens(self) -> int:
        """Tokens of a prompt and its answer, as far as they were asked for."""
        return (self.prompt_tokens or 0) + (self.answer_tokens or 0)

    def check_context(self, model: Model) -> None:
        """Refuse a context that the model does not take, and lengths that the context does not hold.

        Raises:
            UsageError: With both numbers.

        """
        if (self.context_tokens or 0) > model.context_tokens:
            raise UsageError(
                f"A context of {self.context_tokens:,} tokens is longer than {model.name} takes: "
                f"{model.context_tokens:,}.",
                remedy=f"Choose at most --context-tokens {model.context_tokens}.",
            )
        context = self.context_tokens or model.context_tokens
        if self.length_tokens > context:
            longer = f"Raise --context-tokens to {self.length_tokens}, or choose shorter"
            remedy = longer if self.length_tokens <= model.context_tokens else "Choose shorter"
            raise UsageError(
                f"Prompt and answer of {self.length_tokens:,} tokens are longer than the context of {context:,}.",
                remedy=f"{remedy} --prompt-tokens and --answer-tokens.",
            )

    def _check_drafter(self) -> None:
        if self.drafter is not None and self.engine not in _DRAFTING:
            raise UsageError(
                f"{self.engine} takes no drafter: it drafts as its recipe says, with the draft inside the checkpoint.",
                remedy=f"Leave --drafter out, or plan for {' or '.join(_DRAFTING)}.",
            )
        if self.draft_tokens is not None:
            _check_count("draft_tokens", self.draft_tokens, MOST_DRAFT_TOKENS)
            if self.drafter is None:
                raise UsageError(
                    f"draft_tokens = {self.draft_tokens}, but no drafter is named.", remedy="Add --drafter auto."
                )

    def _check_ranks(self, ranks: int) -> None:
        _check_count("tensor_parallel", ranks, _MAX_RANKS)
        each = max(1, len(self.gpus))
        total, machines = each * self.nodes, f"{self.nodes} x {self.hardware.name}"
        if ranks > total:
            equal = " equal ones" if each < len(self.hardware.gpus) else ""
            raise UsageError(
                f"tensor_parallel = {ranks} asks for more GPUs than the {total}{equal} of {machines}.",
                remedy=f"Give at most {total}, or a larger machine.",
            )
        if self.nodes_for(ranks) is None:
            raise UsageError(
                f"tensor_parallel = {ranks} cannot be divided evenly among {machines}, {each} GPUs in each.",
                remedy=f"Give a multiple of {self.nodes}, or at most {each}.",
            )


def _largest_group(hardware: Hardware) -> tuple[Gpu, ...]:
    """Return the largest group of equal GPUs, the one with the least free memory first: it decides for all."""

    def free_bytes(gpu: Gpu) -> int:
        return (gpu.memory_bytes or 0) if gpu.memory_free_bytes is None else gpu.memory_free_bytes

    groups: dict[tuple[str, int | None], list[Gpu]] = {}
    for gpu in hardware.gpus:
        groups.setdefault((gpu.name, gpu.memory_bytes), []).append(gpu)
    usable: list[list[Gpu]] = [
        sorted(group, key=free_bytes)[: 1 if group[0].mig else None] for group in groups.values()
    ]
    largest: list[Gpu] = max(usable, key=lambda group: len(group) * (group[0].memory_bytes or 0), default=[])
    return tuple(largest)


def _check_count(name: str, value: int, most: int) -> None:
    if value < 1:
        raise UsageError(f"{name} = {value:,} asks for nothing.", remedy=f"Give a number from 1 to {most:,}.")
    if value > most:
        raise UsageError(f"{name} = {value:,} is more than the {most:,} a plan is made for.", remedy=_REMEDIES[name])


def context_reason(model: Model, request: Request, context: int) -> Reason:
    """Explain the choice of the context."""
    if request.context_tokens is not None:
        return Reason(f"Context: {context:,} tokens a request, as asked.", "derived", "the request")
    text = f"Context: {context:,} tokens a request by default; {model.name} takes up to {model.context_tokens:,}."
    return limit_reason("context_tokens", text)
