"""Weights and caches of llama.cpp, split between GPUs and host memory, or tensor by tensor over equal GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from math import ceil
from typing import NamedTuple

from seatrial.memory.options import Options
from seatrial.memory.shape import Shape
from seatrial.memory.tensors import tensors


class OffloadedBytes(NamedTuple):
    """Bytes on all GPUs together, and in host memory."""

    gpu: int
    host: int


def offloaded_bytes(by_class: Mapping[str, int], cache_bytes: int, layers: int, options: Options) -> OffloadedBytes:
    """Return the bytes llama.cpp puts on GPUs and leaves in host memory.

    The input embedding always stays in host memory: a step reads only some of its rows.

    Args:
        by_class: Weight bytes by class; the routed experts under ``experts``.
        cache_bytes: KV cache and state of all slots; they follow their layers.
        layers: Layers of the model.
        options: llama.cpp offloads the last ``gpu_layers`` layers. The experts of the model's first
            ``cpu_expert_layers`` layers stay in host memory, even if their layer is offloaded.

    """
    total = sum(by_class.values()) + cache_bytes
    offloaded = min(options.gpu_layers, layers)
    if offloaded == 0:
        return OffloadedBytes(0, total)
    experts = by_class.get("experts", 0)
    # A model without an output head of its own uses the embedding as one, on the GPU.
    tied = "embeddings" in by_class and "output_head" not in by_class and offloaded == layers
    embeddings = 0 if tied else by_class.get("embeddings", 0)
    # The last layers go to the GPU first, and the output with them only if all layers do.
    expert_layers = max(0, min(offloaded, layers - options.cpu_expert_layers))
    gpu = ceil((total - experts - embeddings) * offloaded / layers) + ceil(experts * expert_layers / layers)
    return OffloadedBytes(gpu, total - gpu)


class TensorSplitBytes(NamedTuple):
    """Weight bytes by what ``--split-mode tensor`` does with them; every GPU holds all others."""

    divided: int  # among the GPUs
    host: int  # input embedding, in host memory


def tensor_split_bytes(by_class: Mapping[str, int], shape: Shape) -> TensorSplitBytes:
    """Return the weight bytes that ``--split-mode tensor`` divides among GPUs, and those in host memory.

    Of DeepSeek V4 llama.cpp divides the experts, routed and shared, and attention's matrices with one part for each head
    (``llama_meta_device_get_split_state`` in its ``src/llama-model.cpp``). Mixed classes (``rest``) are divided in the
    proportion of their parameters.

    Args:
        by_class: Weight bytes by class, as a GGUF file has them.
        shape: Shape of the model.

    """
    parameters = _parameters_by_place(shape)

    def share_of(place: str) -> int:
        return sum(
            size * parameters[place][group] // parameters["every"][group]
            for group, size in by_class.items()
            if parameters["every"][group]
        )

    return TensorSplitBytes(share_of("divided"), share_of("host"))


@cache
def _parameters_by_place(shape: Shape) -> dict[str, Counter[str]]:
    """Return the parameters of each class: all, those that are divided, and those in host memory."""
    places = {"every": Counter[str](), "divided": Counter[str](), "host": Counter[str]()}
    for tensor in tensors(shape):
        if tensor.draft:
            continue
        split = tensor.group in {"experts", "attention", "shared"} and tensor.split != "replicated"
        for group in {tensor.group, "experts" if tensor.group == "experts" else "rest"}:
            places["every"][group] += tensor.parameters
            places["divided"][group] += tensor.parameters * split
            places["host"][group] += tensor.parameters * (tensor.group == "embeddings")
    return places
