"""The share of GPU memory an engine takes where nobody tells it one (``own_fraction.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism

_MIB = 1 << 20
_PREFILL_FLAG = "--chunked-prefill-size"
_GRAPH_FLAG = "--cuda-graph-max-bs-decode"
RUNNING_FLAG = "--max-running-requests"
_DEAL_FLAG = "--moe-a2a-backend"


def default_fraction(engine: str, gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str]) -> float | None:
    """The share ``engine`` gives itself, to three places; None where the GPU's memory is not known.

    SGLang takes what it expects activations, decode graphs and the exchange of experts to need off the GPU's memory.

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
    return round((memory - _kept_mib(memory, gpu, ranks, flags)) / memory, 3)


def prefill_tokens(gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str]) -> int:
    """Tokens of prompts that one attention replica of SGLang reads at a time."""
    return _prefill_tokens(gpu, flags) // ranks.data


def default_fraction_source(engine: str) -> str:
    """Where the rule stands."""
    return str(_rules()[engine]["source"])


def _kept_mib(memory: float, gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str]) -> float:
    """What SGLang leaves beside weights and caches."""
    rule = _rules()["sglang"]
    batch = _graph_batch(gpu, ranks, flags)
    kept: float = rule["fixed_mib"] + rule["mib_per_rank"] * ranks.tensor * ranks.pipeline
    kept += rule["mib_per_prefill_token"] * max(_prefill_tokens(gpu, flags), rule["prefill_tokens_least"])
    kept += rule["mib_per_graph_request"] * batch
    if ranks.data > 1:
        kept += rule["mib_per_graph_request_and_replica"] * batch * ranks.data
        if batch > rule["large_graph_batch"]:
            kept += rule["mib_per_graph_request_and_replica_when_large"] * batch * ranks.data
    if memory > rule["least_from_mib"]:
        kept = max(kept, rule["least_mib"])
    return kept + (rule["deepep_mib"] if flags.get(_DEAL_FLAG) == "deepep" else 0)


def _prefill_tokens(gpu: Gpu, flags: Mapping[str, str]) -> int:
    """Before attention replicas share them out, which is when SGLang counts them."""
    return int(flags.get(_PREFILL_FLAG) or _size(gpu)["prefill_tokens"])


def _graph_batch(gpu: Gpu, ranks: Parallelism, flags: Mapping[str, str]) -> int:
    if given := flags.get(_GRAPH_FLAG):
        return int(given)
    many = ranks.tensor >= _rules()["sglang"]["many_ranks"]
    own: int = _size(gpu)["graph_batch_many_ranks" if many else "graph_batch"]
    return min(own, int(flags.get(RUNNING_FLAG, own)))


def _size(gpu: Gpu) -> dict[str, int]:
    """SGLang's defaults for a GPU of this memory; the largest where that is not known."""
    memory = (gpu.memory_bytes or 0) / _MIB or float("inf")
    rows: list[dict[str, Any]] = _rules()["sglang"]["by_memory"]
    return next(row for row in rows if row["below_mib"] is None or memory < row["below_mib"])


@cache
def _rules() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("default_fraction.json").read_text(encoding="utf-8"))
    return document
