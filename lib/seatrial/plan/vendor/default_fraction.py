"""Share of GPU memory that an engine takes by its own rule (``default_fraction.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.hardware.types import Gpu
from seatrial.json_text import parse_json
from seatrial.memory.types import Parallelism

_MIB = 1 << 20
RUNNING_FLAG = "--max-running-requests"


def default_fraction(engine: str, gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str | None]) -> float | None:
    """Return the share ``engine`` takes by itself, to three places; None if the GPU's memory is not known.

    SGLang leaves what it expects activations, decode graphs and the exchange of experts to need.

    Args:
        engine: ``sglang`` or ``vllm``.
        gpu: One of the equal GPUs.
        ranks: How the work is split.
        flags: Flags of the command, with their values.

    """
    if engine != "sglang":
        return float(_rules()[engine]["share"])
    if not gpu.memory_bytes:
        return None
    memory = gpu.memory_bytes / _MIB
    return round((memory - _reserved_mib(memory, gpu, ranks, flags)) / memory, 3)


def prefill_tokens(gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str | None]) -> int | None:
    """Return how many tokens of prompts one attention replica of SGLang reads at a time, None for a whole prompt."""
    tokens = _prefill_tokens(gpu, flags)
    return tokens // ranks.data if tokens > 0 else None


def default_fraction_source(engine: str) -> str:
    """Return the source of the engine's rule."""
    return str(_rules()[engine]["source"])


def _reserved_mib(memory: float, gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str | None]) -> float:
    """Return what SGLang leaves beside weights and caches."""
    rule = _rules()["sglang"]
    batch = _graph_batch(gpu, ranks, flags)
    reserved: float = rule["fixed_mib"] + rule["mib_per_rank"] * ranks.tensor
    tokens = _prefill_tokens(gpu, flags)
    if tokens <= 0:
        tokens = int(flags.get("--max-prefill-tokens") or rule["prefill_tokens_whole"])
    reserved += rule["mib_per_prefill_token"] * max(tokens, rule["prefill_tokens_least"])
    reserved += rule["mib_per_graph_request"] * batch
    reserved += rule["prefill_graphs_mib"] if "--cuda-graph-backend-prefill" in flags else 0
    if ranks.data > 1:
        reserved += rule["mib_per_graph_request_and_replica"] * batch * ranks.data
        if batch > rule["large_graph_batch"]:
            reserved += rule["mib_per_graph_request_and_replica_when_large"] * batch * ranks.data
    if memory > rule["least_from_mib"]:
        reserved = max(reserved, rule["least_mib"])
    return reserved + (rule["deepep_mib"] if flags.get("--moe-a2a-backend") == "deepep" else 0)


def _prefill_tokens(gpu: Gpu, flags: Mapping[str, str | None]) -> int:
    """Return the tokens of all attention replicas together, which is what SGLang counts with; 0 or less: no pieces."""
    return int(flags.get("--chunked-prefill-size") or _size(gpu)["prefill_tokens"])


def _graph_batch(gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str | None]) -> int:
    if given := flags.get("--cuda-graph-max-bs-decode"):
        return int(given)
    many = ranks.tensor >= _rules()["sglang"]["many_ranks"]
    own: int = _size(gpu)["graph_batch_many_ranks" if many else "graph_batch"]
    return min(own, int(flags.get(RUNNING_FLAG) or own))


def _size(gpu: Gpu) -> dict[str, int]:
    """Return SGLang's defaults for a GPU of this memory, those of the largest if it is not known."""
    memory = (gpu.memory_bytes or 0) / _MIB or float("inf")
    rows: list[dict[str, Any]] = _rules()["sglang"]["by_memory"]
    return next(row for row in rows if row["below_mib"] is None or memory < row["below_mib"])


@cache
def _rules() -> dict[str, Any]:
    document: dict[str, Any] = parse_json(Path(__file__).with_name("default_fraction.json").read_bytes())
    return document
