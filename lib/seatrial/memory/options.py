"""Settings that ``seatrial footprint --option name=value`` takes, each checked and described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from seatrial.catalog.engine_facts import engine_ids
from seatrial.errors import UnknownNameError, UsageError
from seatrial.memory import kv
from seatrial.memory.types import Parallelism
from seatrial.memory.v41_caches import KV_LAYOUTS

_SPECULATIVE = ("none", "mtp", "dspark")
_ENGRAM = ("gpu", "host")
ENGINES = engine_ids()
"""Engines seatrial knows, in order of preference."""

HELP = {
    "tensor_parallel": "ranks that split each matrix (sglang, vllm: all ranks of a stage)",
    "data_parallel": "attention replicas among those ranks; the KV cache is split among them",
    "expert_parallel": "ranks the routed experts are spread over",
    "pipeline_parallel": "stages that split the layers",
    "context_parallel": "ranks among those of tensor_parallel that split the tokens of one request's cache",
    "cache_type": f"llamacpp: type of the caches ({', '.join(kv.cache_types())})",
    "ubatch_tokens": "llamacpp: tokens of one micro-batch",
    "gpu_layers": "llamacpp: layers on GPUs",
    "cpu_expert_layers": "llamacpp: layers, from the first on, whose routed experts stay in host memory",
    "draft_tokens": "llamacpp: tokens that a drafter drafts each step, for each of which the compressor state is kept",
    "swa_ratio": "sglang: window slots per token of the pool",
    "max_running_requests": "sglang: requests the compressor state is made for",
    "speculative": f"sglang: draft head in use ({', '.join(_SPECULATIVE)})",
    "kv_layout": f"sglang, V4.1: layout of cached vectors ({', '.join(KV_LAYOUTS)}); v41 needs SM100, SM103 or gfx950",
    "engram": f"V4.1: memory of the Engram tables, by default the GPUs' with sglang and the host's with vllm ({', '.join(_ENGRAM)})",
    "batched_tokens": "vllm: most tokens of one step (--max-num-batched-tokens); an interval over its defaults if not given",
    "cpu_offload_gib": "vllm: GiB of each GPU's weights that stay in host memory (--cpu-offload-gb)",
    "indexer_type": "vllm: type of the indexer's cache (fp8, fp4)",
}
"""Meaning of every option, as the command line prints it."""

MOST_DRAFT_TOKENS = 64
_ALL_LAYERS = 1 << 20
"""More layers than any model has."""


@dataclass(frozen=True, slots=True)
class Options:
    """Engine settings that change bytes; the defaults are the engines' own."""

    cache_type: str = "f16"
    ubatch_tokens: int = int(kv.default("llamacpp", "ubatch_tokens"))
    gpu_layers: int = _ALL_LAYERS
    cpu_expert_layers: int = 0
    draft_tokens: int = 0
    swa_ratio: float = float(kv.default("sglang", "swa_ratio"))
    max_running_requests: int | None = None
    speculative: str = "none"
    batched_tokens: int | None = None
    indexer_type: str = "fp8"
    context_parallel: int = 1
    kv_layout: str = "v41"
    cpu_offload_gib: int = 0
    engram: str | None = None  # None: where the engine puts the tables by itself


_AXES = {f"{field.name}_parallel": field.name for field in fields(Parallelism)}
_BOUNDS = {
    "ubatch_tokens": (1, 1 << 20),
    "gpu_layers": (0, _ALL_LAYERS),
    "cpu_expert_layers": (0, _ALL_LAYERS),
    "draft_tokens": (0, MOST_DRAFT_TOKENS),
    "max_running_requests": (1, 1 << 20),
    "batched_tokens": (1, 1 << 22),
    "context_parallel": (1, 1 << 16),
    "cpu_offload_gib": (0, 1 << 20),
    **dict.fromkeys(_AXES, (1, 1 << 16)),
}
_CHOICES = {
    "cache_type": kv.cache_types(),
    "speculative": _SPECULATIVE,
    "indexer_type": ("fp8", "fp4"),
    "kv_layout": KV_LAYOUTS,
    "engram": _ENGRAM,
}


def read_options(given: Mapping[str, Any] | Options | None, parallelism: Parallelism) -> tuple[Options, Parallelism]:
    """Return checked options, and ``parallelism`` with the axes given among them; text becomes values.

    Raises:
        UnknownNameError: If there is no such value; the message names the known ones.
        UsageError: If there is no such option, a number is out of bounds, or ranks cannot be divided that way.

    """
    if not isinstance(given, Options):
        values = {name: _value(name, value) for name, value in (given or {}).items()}
        parallelism = replace(parallelism, **{_AXES[name]: values.pop(name) for name in _AXES if name in values})
        given = Options(**values)
    _check_ranks(parallelism, given.context_parallel)
    return given, parallelism


def _value(name: str, value: Any) -> Any:
    if name in _BOUNDS:
        return _integer(name, value)
    if name == "swa_ratio":
        return _ratio(name, value)
    if name not in _CHOICES:
        raise UsageError(f"Unknown option {str(name)[:80]!r}.", remedy=f"Known: {', '.join(HELP)}.")
    if str(value) not in _CHOICES[name]:
        raise UnknownNameError(f"value of {name}", str(value), _CHOICES[name])
    return str(value)


@lru_cache(maxsize=1024)
def _check_ranks(parallelism: Parallelism, context: int) -> None:
    for name, axis in _AXES.items():
        _integer(name, getattr(parallelism, axis))
    if parallelism.tensor % (parallelism.data * context):
        shared = f" of {context} ranks that share one cache" if context > 1 else ""
        raise UsageError(
            f"{parallelism.tensor} ranks cannot be divided into {parallelism.data} attention replicas{shared}.",
            remedy="Choose data_parallel x context_parallel as a divisor of tensor_parallel.",
        )
    if parallelism.tensor % parallelism.expert:
        raise UsageError(
            f"Experts cannot be distributed to {parallelism.expert} of {parallelism.tensor} ranks.",
            remedy="Choose expert_parallel as a divisor of tensor_parallel.",
        )


def _integer(name: str, value: Any) -> int:
    low, high = _BOUNDS[name]
    try:
        number = int(str(value)[:20])
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(
            f"{name} = {str(value)[:40]!r} is not a whole number from {low} to {high:,}.", remedy=HELP[name] + "."
        )
    return number


def _ratio(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number <= 1:
        raise UsageError(
            f"{name} = {str(value)[:40]!r} is not a number above 0 and at most 1.", remedy=HELP[name] + "."
        )
    return number
