"""Reads the shape of a DeepSeek V4 or V4.1 from its config.json, which comes from outside: every field is checked.

Nothing in a config.json is ever executed (``auto_map`` is ignored).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from seatrial.catalog.architecture import V41_TYPE, check_architecture, flattened
from seatrial.catalog.cached_vectors import CSA, HCA
from seatrial.errors import ModelFileError
from seatrial.memory.family import FamilyShape, read_numbers
from seatrial.memory.fields import ORIGINAL, Fields
from seatrial.memory.storage import Layout
from seatrial.memory.v41_shape import V41Shape, read_v41_shape
from seatrial.memory.vision import Vision, read_vision

_EXPERT_TYPES = ("fp4", "fp8", "nvfp4")
_MOST_LAYERS, _MOST_DRAFT_LAYERS = 4096, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape(FamilyShape):
    """Fields of a ``deepseek_v4`` config.json that bytes follow from, by their names there."""

    num_hash_layers: int
    compress_ratios: tuple[int, ...]  # of each layer: 0 (window only), 4 or 128
    draft: str | None  # "mtp", "dspark" or None
    draft_ratios: tuple[int, ...]  # of each layer of the draft head
    dspark_markov_rank: int  # 0 without DSpark
    layout: Layout
    vision: Vision | None = None

    @property
    def csa_layers(self) -> int:
        """Layers of compressed sparse attention (ratio 4)."""
        return self.compress_ratios.count(CSA)

    @property
    def hca_layers(self) -> int:
        """Layers of heavily compressed attention (ratio 128)."""
        return self.compress_ratios.count(HCA)


AnyShape = Shape | V41Shape
"""Shape of a model whose tensors this kit adds up."""


def read_shape(
    config: dict[str, Any], *, storage_known: bool = False, file: str = "config.json", remedy: str = ORIGINAL
) -> AnyShape:
    """Return the shape in a ``deepseek_v4`` or ``deepseek_v41`` config.json.

    Args:
        config: The parsed config.json.
        storage_known: True if the files' own bytes are known, so that the config's storage does not matter.
        file: Name of the file in errors.
        remedy: Advice if a field is wrong.

    Raises:
        RefusedError: If the architecture is another, whose sizes follow other formulas.
        ModelFileError: If a field is missing, of the wrong type or absurd; the message names the field.

    """
    if not isinstance(config, dict):
        raise ModelFileError(
            f"{file} holds a {type(config).__name__}, not an object.", remedy="Give the config.json of a model."
        )
    flat = flattened(config)
    check_architecture(flat, file)
    if flat["model_type"] == V41_TYPE:
        return read_v41_shape(flat, file=file, remedy=remedy)
    return _v4_shape(Fields(flat, file, remedy), storage_known=storage_known)


def _v4_shape(fields: Fields, *, storage_known: bool) -> Shape:
    hashed = {"num_hash_layers": (0, _MOST_LAYERS)}
    numbers = read_numbers(fields, hashed, {"num_hash_layers": "num_hidden_layers"})
    draft, stages, rank = _draft(fields)
    ratios, draft_ratios = _ratios(fields, numbers["num_hidden_layers"], stages)
    return Shape(
        **numbers,
        compress_ratios=ratios,
        tie_word_embeddings=fields.boolean("tie_word_embeddings"),
        draft=draft,
        draft_ratios=draft_ratios,
        dspark_markov_rank=rank,
        layout="fp4" if storage_known else _layout(fields.values),
        vision=read_vision(fields),
    )


def _ratios(fields: Fields, layers: int, stages: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ratios of the layers, and of the draft head's layers."""
    ratios = fields.values.get("compress_ratios")
    if ratios is None:
        raise fields.error(
            "has no compress_ratios, which the engines need too; a config saved again by transformers 5 loses them"
        )
    if not isinstance(ratios, list) or len(ratios) < layers:
        raise fields.error(f"must list in compress_ratios one ratio for each of the {layers} layers")
    # In published configs the draft head's layers follow the model's. A list of another length (a config cut to
    # fewer layers) says nothing about them; published configs and the engines have 0 there.
    with_draft = len(ratios) == layers + stages
    used = ratios if with_draft else ratios[:layers]
    for ratio in used:
        if type(ratio) is not int or ratio not in {0, CSA, HCA}:
            raise fields.error(f"holds {str(ratio)[:40]} in compress_ratios; deepseek_v4 knows 0, {CSA} and {HCA}")
    return tuple(used[:layers]), tuple(used[layers:]) if with_draft else (0,) * stages


def _draft(fields: Fields) -> tuple[str | None, int, int]:
    """Return kind, layers and Markov rank of the draft head; DSpark takes the place of the MTP layer."""
    targets = fields.values.get("dspark_target_layer_ids")
    if targets is not None:
        listed = isinstance(targets, list) and 1 <= len(targets) <= _MOST_DRAFT_LAYERS
        if not listed or any(type(layer) is not int or layer < 0 for layer in targets):
            raise fields.error(f"says dspark_target_layer_ids = {str(targets)[:40]}; expected a list of layers")
        return "dspark", len(targets), fields.integer("dspark_markov_rank", 1, 1 << 17)
    if fields.values.get("num_nextn_predict_layers") is None:
        return None, 0, 0
    layers = fields.integer("num_nextn_predict_layers", 0, _MOST_DRAFT_LAYERS)
    return ("mtp" if layers else None), layers, 0


def _layout(config: dict[str, Any]) -> Layout:
    """Return the storage that ``quantization_config`` and ``expert_dtype`` name."""
    quantization = config.get("quantization_config")
    if quantization is None:
        return _unquantized(config)
    if not isinstance(quantization, dict):
        raise ModelFileError("quantization_config is not an object.", remedy="Take the original config.json.")
    # transformers 5 moves expert_dtype into quantization_config when it saves a config again.
    experts = _expert_type(config.get("expert_dtype", quantization.get("expert_dtype")))
    method = str(quantization.get("quant_method", ""))
    if method.startswith("modelopt") or (experts == "nvfp4" and method == "fp8"):
        algorithm = str(quantization.get("quant_algo") or "NVFP4").upper()
        if algorithm not in {"NVFP4", "MIXED_PRECISION"} or experts in {"fp4", "fp8"}:
            raise _unsized(f"quant_algo = {algorithm[:40]!r} with experts in {experts or 'no type it names'}")
        return "nvfp4"
    if method != "fp8" or quantization.get("weight_block_size", [128, 128]) != [128, 128]:
        raise _unsized(
            f"quant_method = {method[:40]!r} with blocks of {str(quantization.get('weight_block_size'))[:40]}"
        )
    if quantization.get("scale_fmt") == "ue8m0":
        # Early revisions of Pro carry no expert_dtype; their experts are packed FP4.
        return cast("Layout", experts or "fp4")
    if experts == "fp4":
        raise _unsized("FP4 experts without scale_fmt = 'ue8m0'")
    return "fp8_f32_scales"


def _unquantized(config: dict[str, Any]) -> Layout:
    _expert_type(config.get("expert_dtype"))
    kind = config.get("torch_dtype", config.get("dtype"))
    if kind not in (None, "auto", "bfloat16", "float16"):
        raise _unsized(f"unquantized weights of type {str(kind)[:40]!r}")
    return "bf16"


def _expert_type(value: Any) -> str | None:
    if value in (None, *_EXPERT_TYPES):
        return cast("str | None", value)
    raise ModelFileError(
        f"expert_dtype is {str(value)[:40]!r}; known: {', '.join(_EXPERT_TYPES)}.",
        remedy="Point at the local files instead: their headers hold exact bytes.",
    )


def _unsized(what: str) -> ModelFileError:
    return ModelFileError(
        f"config.json says {what}: that is not enough to compute its size.",
        remedy="Point at the local files instead: their headers hold exact bytes.",
    )
