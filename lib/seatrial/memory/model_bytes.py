"""Weight bytes and config of a checkpoint, read once for each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seatrial.catalog import Checkpoint, model_of
from seatrial.catalog.architecture import SIZED, flattened
from seatrial.errors import RefusedError, UsageError
from seatrial.memory.fields import GGUF, ORIGINAL
from seatrial.memory.shape import AnyShape, read_shape
from seatrial.memory.storage import layout_source
from seatrial.memory.tables import table
from seatrial.memory.weights import count_parameters_of, stored_elements, weights_by_class
from seatrial.records import Origin

CACHED_CHECKPOINTS = 256
"""More checkpoints than the catalog has; the rest are local folders."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weight bytes of a checkpoint, whatever they were read from."""

    by_class: dict[str, int]
    origin: Origin
    source: str
    notes: tuple[str, ...] = ()
    elements: int | None = None  # as a hub counts them; None if unknown


@dataclass(frozen=True, slots=True, eq=False)
class ModelBytes:
    """Everything a footprint needs of a model. Compared by identity, so that an ``lru_cache`` can take one."""

    config: Mapping[str, Any]  # its config.json
    shape: AnyShape | None  # None for a plain transformer
    weights: Weights
    context_limit: int  # tokens
    parameters: tuple[int | None, int | None]  # all, and those used for one token

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights."""
        return sum(self.weights.by_class.values())


_cache: dict[int, tuple[Checkpoint, ModelBytes]] = {}


def model_bytes_of(checkpoint: Checkpoint) -> ModelBytes:
    """Return the bytes of a checkpoint, of the catalog or local.

    Cached, because a plan asks hundreds of times for the same few checkpoints.

    Raises:
        UsageError: If nobody has published the size of the checkpoint.
        RefusedError: If these formulas do not describe its architecture.
        ModelFileError: If its own config is malformed.

    """
    cached = _cache.get(id(checkpoint))
    if cached is not None:
        return cached[1]
    model = _read(checkpoint)
    if checkpoint.revision:
        noted = replace(model.weights, notes=(f"Weights: {checkpoint.describe_revision}.", *model.weights.notes))
        model = replace(model, weights=noted)
    if len(_cache) >= CACHED_CHECKPOINTS:
        _cache.clear()
    # The entry keeps the checkpoint alive, so that no other object gets its id.
    _cache[id(checkpoint)] = (checkpoint, model)
    return model


def bytes_of_config(config: dict[str, Any], source: str) -> ModelBytes:
    """Return the bytes that follow from a ``deepseek_v4`` or ``deepseek_v41`` config.json only.

    Raises:
        RefusedError: If the config is of another architecture.
        ModelFileError: If a field is missing or absurd.

    """
    shape = read_shape(config)
    notes = (f"Storage: {layout_source(shape.layout)}.",)
    basis = f"sum over the tensors of {source}"
    weights = Weights(weights_by_class(shape), "derived", basis, notes, stored_elements(shape))
    flat = flattened(config)
    return ModelBytes(flat, shape, weights, shape.max_position_embeddings, count_parameters_of(shape))


def _read(checkpoint: Checkpoint) -> ModelBytes:
    model = model_of(checkpoint)
    if model.architecture not in {*SIZED, "llama"}:
        raise RefusedError(
            f"{checkpoint.id} is {model.name}, {checkpoint.note or model.architecture}.",
            remedy="Choose a checkpoint of DeepSeek V4; `seatrial models` lists them.",
        )
    if checkpoint.weights_bytes is None:
        raise UsageError(
            f"Nobody has published the size of {checkpoint.id}, and it is not guessed.",
            remedy="Give the path of a local copy: its headers hold the exact bytes. Or choose another checkpoint.",
        )
    config = flattened({**model.config, **checkpoint.config})
    if model.architecture == "llama":
        by_class = checkpoint.weights_by_class or {"weights": checkpoint.weights_bytes}
        weights = Weights(by_class, checkpoint.origin, checkpoint.source)
        parameters = (model.parameters_total, model.parameters_active)
        return ModelBytes(config, None, weights, model.context_tokens, parameters)
    shape = _shape(checkpoint, config)
    weights = _v4_weights(checkpoint, shape, checkpoint.weights_bytes)
    return ModelBytes(config, shape, weights, model.context_tokens, count_parameters_of(shape))


def _shape(checkpoint: Checkpoint, config: dict[str, Any]) -> AnyShape:
    """Read the shape of a checkpoint, so that an error names the file with the wrong field."""
    if checkpoint.format == "gguf":  # the vision tower is in a file of its own
        return read_shape({**config, "vision_n_layers": 0}, storage_known=True, file=checkpoint.id, remedy=GGUF)
    known = bool(checkpoint.weights_by_class) or checkpoint.format != "safetensors"
    return read_shape(config, storage_known=known, file=f"config.json of {checkpoint.id}", remedy=ORIGINAL)


def _v4_weights(checkpoint: Checkpoint, shape: AnyShape, total: int) -> Weights:
    if checkpoint.weights_by_class:
        return Weights(checkpoint.weights_by_class, checkpoint.origin, checkpoint.source)
    if checkpoint.format == "safetensors":
        by_class = weights_by_class(shape)
        if sum(by_class.values()) == total:
            return Weights(by_class, checkpoint.origin, checkpoint.source, elements=stored_elements(shape))
        note = "The classes are not known: the published size differs from the sum over the config's tensors."
        return Weights({"weights": total}, checkpoint.origin, checkpoint.source, (note,))
    gguf = table("gguf")
    bits = gguf["dense_bits"].get(checkpoint.precision, gguf["dense_bits"]["default"])
    rest = min(total, round(_dense_parameters(shape) * bits / 8))
    note = f"The split into experts and rest is assumed ({gguf['basis']})."
    return Weights({"experts": total - rest, "rest": rest}, checkpoint.origin, checkpoint.source, (note,))


def _dense_parameters(shape: AnyShape) -> int:
    expert = 3 * shape.hidden_size * shape.moe_intermediate_size
    return count_parameters_of(shape)[0] - expert * shape.n_routed_experts * shape.num_hidden_layers
