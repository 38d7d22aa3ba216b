"""Vision tower of the DeepSeek V4 family: its shape and its tensors, the same in V4-Flash-Vision-Exp and V4.1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.memory.fields import Fields
from seatrial.memory.storage import Tensor

_BOUNDS = {
    "dim": (1, 1 << 16),
    "inter_dim": (1, 1 << 18),
    "patch_size": (1, 1 << 12),
    "downsample_ratio": (1, 64),
}
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Vision:
    """Fields of a config.json that the bytes of a vision tower follow from, by their names after ``vision_``."""

    n_layers: int
    dim: int
    inter_dim: int
    patch_size: int
    downsample_ratio: int


def read_vision(fields: Fields) -> Vision | None:
    """Return the vision tower of a config; None if it has none.

    Raises:
        ModelFileError: If a field of the tower is missing or absurd.

    """
    if not fields.values.get("vision_n_layers"):
        return None
    layers = fields.integer("vision_n_layers", 1, 4096)
    return Vision(layers, **{name: fields.integer(f"vision_{name}", *bounds) for name, bounds in _BOUNDS.items()})


def vision_tensors(vision: Vision, hidden: int, *, markers: int) -> Iterator[Tensor]:
    """Yield the tensors of the tower and of the layers that turn its patches into tokens, all in BF16.

    Args:
        vision: Shape of the tower.
        hidden: Width of the language model.
        markers: Learned vectors that mark the start, end and lines of an image.

    """
    width, layers = vision.dim, vision.n_layers
    merged = width * vision.downsample_ratio**2

    def linear(rows: int, columns: int, count: int = 1) -> Tensor:
        return Tensor("vision", "bf16", rows, columns, count)

    yield linear(width, _CHANNELS * vision.patch_size**2)
    yield linear(3 * width, width, layers)
    yield linear(width, width, layers)
    yield linear(2 * vision.inter_dim, width, layers)
    yield linear(width, vision.inter_dim, layers)
    # Biases of query, key and value and of the output, and two norms of each layer; bias of the patches; last norm.
    yield linear(1, 6 * width, layers)
    yield linear(1, 2 * width)
    yield linear(hidden, merged)
    yield linear(hidden, hidden)
    yield linear(1, (2 + markers) * hidden)
