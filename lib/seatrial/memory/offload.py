"""llama.cpp across GPU and host: what the chosen layers take in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from seatrial.memory.options import Options


@dataclass(frozen=True, slots=True)
class Placed:
    """Bytes on all GPUs together, and in host memory."""

    gpu_bytes: int
    host_bytes: int


def place_layers(by_class: Mapping[str, int], cache_bytes: int, layers: int, options: Options) -> Placed:
    """Weights and caches by where llama.cpp puts them.

    The input embedding stays in host memory whatever is offloaded: only rows of it are read.

    Args:
        by_class: Weight bytes by class; the routed experts under ``experts``.
        cache_bytes: KV cache and state of all slots; they follow their layers.
        layers: Layers of the model.
        options: The last ``gpu_layers`` layers are offloaded; the experts of the first ``cpu_expert_layers`` of the
            model, offloaded or not, stay in host memory.

    """
    offloaded = min(options.gpu_layers, layers)
    if offloaded == 0:
        return Placed(0, sum(by_class.values()) + cache_bytes)
    experts = by_class.get("experts", 0)
    # A model without an output head of its own uses the embedding as one, on the GPU.
    tied = "embeddings" in by_class and "output_head" not in by_class and offloaded == layers
    embeddings = 0 if tied else by_class.get("embeddings", 0)
    rest = sum(by_class.values()) - experts - embeddings
    # The last layers go first onto the GPU, and the output with them only when all layers do.
    expert_layers = max(0, min(offloaded, layers - options.cpu_expert_layers))
    gpu = ceil((rest + cache_bytes) * offloaded / layers) + ceil(experts * expert_layers / layers)
    return Placed(gpu, sum(by_class.values()) + cache_bytes - gpu)
