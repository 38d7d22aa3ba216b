"""llama.cpp over several GPUs: how many layers each gets, so that what lies on the fullest fits.

Left alone, llama.cpp deals layers out by free memory as if all weighed the same. With the experts of the first layers
in host memory the last GPU would then get every layer that kept its own, and run out of memory while loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = 5
"""Halvings in search of the lowest level to which all GPUs need to be filled."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers on GPUs, in their order.

    Attributes:
        light: The first ones, whose experts lie in host memory.
        heavy: The others, with theirs.
        light_bytes: Of a light layer with its cache.
        heavy_bytes: Of a heavy one.

    """

    light: int
    heavy: int
    light_bytes: float
    heavy_bytes: float

    def bytes_of(self, shares: Sequence[int]) -> list[float]:
        """Bytes on each GPU."""
        found, before = [], 0
        for count in shares:
            light = min(count, max(0, self.light - before))
            found.append(light * self.light_bytes + (count - light) * self.heavy_bytes)
            before += count
        return found


def deal(layers: Layers, rooms: Sequence[float]) -> tuple[int, ...] | None:
    """Layers of each GPU, one after the other as many as there is room for; None where some are left.

    Args:
        layers: What is dealt out.
        rooms: Bytes of each GPU.

    """
    light, heavy, shares = layers.light, layers.heavy, []
    if light * layers.light_bytes + heavy * layers.heavy_bytes > sum(room for room in rooms if room > 0):
        return None
    for room in rooms:
        few = min(light, _held(room, layers.light_bytes)) if light else 0
        light -= few
        many = 0 if light or not heavy else min(heavy, _held(room - few * layers.light_bytes, layers.heavy_bytes))
        heavy -= many
        shares.append(few + many)
    return None if light or heavy else tuple(shares)


def deal_evenly(layers: Layers, rooms: Sequence[float]) -> tuple[int, ...] | None:
    """The same, with all GPUs filled to about the same share of their room."""
    best = deal(layers, rooms)
    if best is None:
        return None
    low, high = sum(layers.bytes_of(best)) / sum(rooms), 1.0
    for _ in range(_STEPS):
        level = (low + high) / 2
        shares = deal(layers, [room * level for room in rooms])
        if shares is None:
            low = level
        else:
            best, high = shares, level
    return best


def _held(room: float, each: float) -> int:
    return max(0, int(room // each)) if each else 1 << 30
