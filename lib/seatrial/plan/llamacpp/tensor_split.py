"""Divides layers among several GPUs for llama.cpp (``--tensor-split``), so that the fullest GPU has enough memory.

By itself llama.cpp divides layers by free memory as if all had the same size. If the experts of the first layers are in
host memory, the last GPU then gets every layer with its experts, and runs out of memory while loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_HALVINGS = 5  # in search of the lowest level to which all GPUs must be filled


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers on GPUs, in their order: first those whose experts are in host memory, then those with their experts."""

    light: int
    heavy: int
    light_bytes: float  # of one light layer with its cache
    heavy_bytes: float

    def bytes_per_gpu(self, shares: Sequence[int]) -> list[float]:
        """Return the bytes on each GPU."""
        found, before = [], 0
        for count in shares:
            light = min(count, max(0, self.light - before))
            found.append(light * self.light_bytes + (count - light) * self.heavy_bytes)
            before += count
        return found


def fill_gpus(layers: Layers, free_bytes: Sequence[float]) -> tuple[int, ...] | None:
    """Return the layers of each GPU if every GPU in turn takes as many as it can; None if some layers are left.

    Args:
        layers: What is divided.
        free_bytes: Bytes of each GPU.

    """
    light, heavy, shares = layers.light, layers.heavy, []
    if light * layers.light_bytes + heavy * layers.heavy_bytes > sum(free for free in free_bytes if free > 0):
        return None
    for free in free_bytes:
        few = min(light, _count_in(free, layers.light_bytes)) if light else 0
        light -= few
        many = 0 if light or not heavy else min(heavy, _count_in(free - few * layers.light_bytes, layers.heavy_bytes))
        heavy -= many
        shares.append(few + many)
    return None if light or heavy else tuple(shares)


def fill_evenly(layers: Layers, free_bytes: Sequence[float]) -> tuple[int, ...] | None:
    """Return the layers of each GPU with all filled to about the same share of their memory; None if some are left."""
    best = fill_gpus(layers, free_bytes)
    if best is None:
        return None
    low, high = sum(layers.bytes_per_gpu(best)) / sum(free_bytes), 1.0
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        shares = fill_gpus(layers, [free * level for free in free_bytes])
        if shares is None:
            low = level
        else:
            best, high = shares, level
    return best


def with_output(shares: Sequence[int]) -> list[int]:
    """Return the layers of each GPU with the output, which llama.cpp counts as one more layer after the last."""
    found = list(shares)
    found[max(index for index, count in enumerate(found) if count)] += 1
    return found


def drafter_layers(shares: Sequence[int], layers: int) -> list[int]:
    """Return how many layers of a drafter llama.cpp puts on each GPU: it divides them in the proportions of the model's.

    Args:
        shares: Layers of the model on each GPU, the output included.
        layers: Of the drafter.

    """
    bounds, found = list(accumulate(shares)), [0] * len(shares)
    for layer in range(layers):
        place = layer / (layers + 1)  # its output too counts as a layer
        found[next(index for index, bound in enumerate(bounds) if bound / bounds[-1] > place)] += 1
    return found


def _count_in(free: float, layer_bytes: float) -> int:
    return max(0, int(free // layer_bytes)) if layer_bytes else 1 << 30
