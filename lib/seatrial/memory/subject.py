"""A model as it is sized: where its weight bytes come from, and what its config says; read once for each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from seatrial.catalog import Checkpoint, model_of
from seatrial.errors import RefusedError, UsageError
from seatrial.memory.fields import GGUF, ORIGINAL
from seatrial.memory.reserve import assumptions
from seatrial.memory.shape import Shape, read_shape
from seatrial.memory.tensors import count_parameters_of, layout_source, stored_elements, weights_by_class
from seatrial.records import Origin

REMEMBERED = 256
"""Checkpoints whose reading is kept; the catalog has fewer, the rest are local folders."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a checkpoint, wherever they were read."""

    by_class: dict[str, int]
    origin: Origin
    source: str
    notes: tuple[str, ...] = ()
    elements: int | None = None

    @property
    def total(self) -> int:
        """Bytes of all of them."""
        return sum(self.by_class.values())


@dataclass(frozen=True, slots=True, eq=False)
class ModelBytes:
    """A model and its weights; one of it stands for itself alone, so that sums can be kept by it.

    Attributes:
        config: Its config.json.
        shape: Of a DeepSeek V4, None for a plain transformer.
        weights: Bytes of its weights.
        weights_bytes: All of them.
        context_limit: Tokens it takes at most.
        parameters: All, and those used for one token.

    """

    config: Mapping[str, Any]
    shape: Shape | None
    weights: Weights
    weights_bytes: int
    context_limit: int
    parameters: tuple[int | None, int | None]


_known: dict[int, tuple[Checkpoint, ModelBytes]] = {}


def model_bytes_of(checkpoint: Checkpoint) -> ModelBytes:
    """What is sized, for a checkpoint of the catalog or a local one.

    A plan asks hundreds of times for the same few rows, so what was read is kept with the row itself.

    Raises:
        UsageError: Nobody has published the size of the checkpoint.
        RefusedError: It is of an architecture these formulas do not describe.
        ModelFileError: Its own config is malformed.

    """
    held = _known.get(id(checkpoint))
    if held is not None:
        return held[1]
    subject = _read(checkpoint)
    if len(_known) >= REMEMBERED:
        _known.clear()
    # The row is held too, so that its id stands for no other one.
    _known[id(checkpoint)] = (checkpoint, subject)
    return subject


def config_subject(config: dict[str, Any], source: str) -> ModelBytes:
    """What is sized, for a ``deepseek_v4`` config.json alone.

    Raises:
        RefusedError: The config is of another architecture.
        ModelFileError: A field is missing or absurd.

    """
    shape = read_shape(config)
    notes = (f"Storage: {layout_source(shape.layout)}.",)
    how = f"sum over the tensors of {source}"
    weights = Weights(weights_by_class(shape), "derived", how, notes, stored_elements(shape))
    return ModelBytes(config, shape, weights, weights.total, shape.max_position_embeddings, count_parameters_of(shape))


def _read(checkpoint: Checkpoint) -> ModelBytes:
    model = model_of(checkpoint)
    if model.architecture not in {"deepseek_v4", "llama"}:
        raise RefusedError(
            f"{checkpoint.id} is {model.name}, {checkpoint.note or model.architecture}.",
            remedy="Choose a checkpoint of DeepSeek V4; `seatrial models` lists them.",
        )
    if checkpoint.weights_bytes is None:
        raise UsageError(
            f"Nobody has published the size of {checkpoint.id}, and it is not guessed here.",
            remedy="Give the path of a local copy: its headers hold the exact bytes. Or choose another checkpoint.",
        )
    config = {**model.config, **checkpoint.config}
    if model.architecture == "llama":
        by_class = checkpoint.weights_by_class or {"weights": checkpoint.weights_bytes}
        weights = Weights(by_class, checkpoint.origin, checkpoint.source)
        counted = (model.parameters_total, model.parameters_active)
        return ModelBytes(config, None, weights, weights.total, model.context_tokens, counted)
    shape = _shape(checkpoint, config)
    weights = _v4_weights(checkpoint, shape, checkpoint.weights_bytes)
    return ModelBytes(config, shape, weights, weights.total, model.context_tokens, count_parameters_of(shape))


def _shape(checkpoint: Checkpoint, config: dict[str, Any]) -> Shape:
    """The shape of a checkpoint; an error names the file that holds a wrong field."""
    if checkpoint.format == "gguf":
        return read_shape(config, storage_known=True, file=checkpoint.id, remedy=GGUF)
    known = bool(checkpoint.weights_by_class) or checkpoint.format != "safetensors"
    return read_shape(config, storage_known=known, file=f"config.json of {checkpoint.id}", remedy=ORIGINAL)


def _v4_weights(checkpoint: Checkpoint, shape: Shape, total: int) -> Weights:
    if checkpoint.weights_by_class:
        return Weights(checkpoint.weights_by_class, checkpoint.origin, checkpoint.source)
    if checkpoint.format == "safetensors":
        by_class = weights_by_class(shape)
        if sum(by_class.values()) == total:
            return Weights(by_class, checkpoint.origin, checkpoint.source, elements=stored_elements(shape))
        note = "The classes are not known: the published size differs from the sum over the config's tensors."
        return Weights({"weights": total}, checkpoint.origin, checkpoint.source, (note,))
    bits = assumptions()["gguf"]["dense_bits"]
    dense = _dense_parameters(shape) * bits.get(checkpoint.precision, bits["default"]) / 8
    rest = min(total, round(dense))
    note = f"The split into experts and rest is assumed ({assumptions()['gguf']['basis']})."
    return Weights({"experts": total - rest, "rest": rest}, checkpoint.origin, checkpoint.source, (note,))


@cache
def _dense_parameters(shape: Shape) -> int:
    expert = 3 * shape.hidden_size * shape.moe_intermediate_size
    return count_parameters_of(shape)[0] - expert * shape.n_routed_experts * shape.num_hidden_layers
