"""What was asked of the planner, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field

from seatrial.catalog.types import Model
from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware.types import Gpu, Hardware
from seatrial.plan.types import Objective
from seatrial.plan.vendor.limits import limit_reason, limits
from seatrial.records import Reason

OBJECTIVES: tuple[Objective, ...] = ("latency", "balanced", "throughput")
MAX_NODES = 1024
_MAX_CONCURRENCY = 1 << 16
_MAX_TOKENS = 1 << 24
_MAX_RANKS = 1 << 12

_TOO_MANY = {
    "nodes": "Plan one of several equal groups of machines.",
    "concurrency": "One server runs far fewer at once: divide the load among several, and plan one of them.",
    "context_tokens": "No model of the catalog takes as many; `seatrial models` names the context of each.",
    "prompt_tokens": "No model of the catalog takes as many; `seatrial models` names the context of each.",
    "answer_tokens": "No model of the catalog takes as many; `seatrial models` names the context of each.",
    "tensor_parallel": "Give as many as the machines have GPUs, or fewer.",
}
"""What to do where more is asked for than the bounds above: they are wider than what any engine serves."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the planner.

    Attributes:
        hardware: One machine.
        nodes: How many of them.
        context_tokens: Context of each request, None where the planner chooses.
        concurrency: Requests at once.
        objective: What to optimize for.
        tensor_parallel: Ranks asked for, None where the planner chooses.
        recipes: Whether vendor recipes are looked at.
        prompt_tokens: Prompt length a prediction is for, None for a usual one.
        answer_tokens: Answer length, likewise.
        gpus: The largest group of equal GPUs of the machine: engines that split tensors need equals. Of MIG slices it
            is one: they do not work together.

    """

    hardware: Hardware
    nodes: int = 1
    context_tokens: int | None = None
    concurrency: int = 1
    objective: Objective = "balanced"
    tensor_parallel: int | None = None
    recipes: bool = True
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    gpus: tuple[Gpu, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Find the equal GPUs once; every layout asks for them."""
        object.__setattr__(self, "gpus", _largest_group(self.hardware))

    def check(self) -> None:
        """Refuse what no machine has.

        Raises:
            UsageError: A count below 1 or absurdly high, or more ranks than GPUs.
            UnknownNameError: No such objective.

        """
        _check_count("nodes", self.nodes, MAX_NODES)
        _check_count("concurrency", self.concurrency, _MAX_CONCURRENCY)
        if self.context_tokens is not None:
            _check_count("context_tokens", self.context_tokens, _MAX_TOKENS)
        for name in ("prompt_tokens", "answer_tokens"):
            _check_count(name, getattr(self, name) or 1, _MAX_TOKENS)
        if self.objective not in OBJECTIVES:
            raise UnknownNameError("objective", self.objective, OBJECTIVES)
        if self.tensor_parallel is not None:
            self._check_ranks(self.tensor_parallel)

    def spread(self, ranks: int) -> tuple[int, int] | None:
        """Machines, and GPUs of each, that share ``ranks`` evenly, as engines ask for; None where none do.

        All machines where that goes, else as few as possible.
        """
        held = max(1, len(self.gpus))
        counts = (self.nodes, *range(1, self.nodes))
        return next(((count, ranks // count) for count in counts if not ranks % count and ranks <= held * count), None)

    def _check_ranks(self, ranks: int) -> None:
        _check_count("tensor_parallel", ranks, _MAX_RANKS)
        held = max(1, len(self.gpus))
        total, machines = held * self.nodes, f"{self.nodes} x {self.hardware.name}"
        if ranks > total:
            equal = " equal ones" if held < len(self.hardware.gpus) else ""
            raise UsageError(
                f"tensor_parallel = {ranks} asks for more GPUs than the {total}{equal} of {machines}.",
                remedy=f"Give at most {total}, or a larger machine.",
            )
        if self.spread(ranks) is None:
            raise UsageError(
                f"tensor_parallel = {ranks} cannot be shared out evenly among {machines}, {held} GPUs in each.",
                remedy=f"Give a multiple of {self.nodes}, or at most {held}.",
            )


def _largest_group(hardware: Hardware) -> tuple[Gpu, ...]:
    """The largest group of equal GPUs, the one with the least free memory first: it decides for all."""
    groups: dict[tuple[str, int | None], list[Gpu]] = {}
    for gpu in hardware.gpus:
        groups.setdefault((gpu.name, gpu.memory_bytes), []).append(gpu)
    joined: list[list[Gpu]] = [
        sorted(group, key=_free_bytes)[: 1 if group[0].mig else None] for group in groups.values()
    ]
    largest: list[Gpu] = max(joined, key=_group_bytes, default=[])
    return tuple(largest)


def _group_bytes(group: list[Gpu]) -> int:
    return len(group) * (group[0].memory_bytes or 0)


def _free_bytes(gpu: Gpu) -> int:
    return (gpu.memory_bytes or 0) if gpu.memory_free_bytes is None else gpu.memory_free_bytes


def _check_count(name: str, value: int, most: int) -> None:
    if value < 1:
        raise UsageError(f"{name} = {value:,} asks for nothing.", remedy=f"Give a number from 1 to {most:,}.")
    if value > most:
        raise UsageError(f"{name} = {value:,} is more than the {most:,} a plan is made for.", remedy=_TOO_MANY[name])


def chosen_context(model: Model, request: Request, most: int | None = None) -> int:
    """Context the plan gives each request."""
    if request.context_tokens is not None:
        return request.context_tokens
    wished = limits().context_stand_in_tokens if model.role == "stand-in" else limits().context_tokens
    return min(wished, model.context_tokens, most or wished)


def context_reason(model: Model, request: Request, context: int) -> Reason:
    """Where the context comes from."""
    if request.context_tokens is not None:
        return Reason(f"Context: {context:,} tokens a request, as asked.", "derived", "the request")
    text = f"Context: {context:,} tokens a request by default; {model.name} takes up to {model.context_tokens:,}."
    return limit_reason("context_tokens", text)
