"""The sizes of a DeepSeek V4, read from its config.json and checked before anything is computed.

A config.json comes from outside: every field must be there, of the right type and within bounds.
Nothing in it is ever executed (``auto_map`` is ignored).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from seatrial.catalog.architecture import check_architecture
from seatrial.catalog.cached_vectors import CSA, HCA
from seatrial.errors import ModelFileError
from seatrial.memory.fields import ORIGINAL, Fields

Layout = Literal["fp4", "fp8", "fp8_f32_scales", "nvfp4", "bf16"]
"""How the weights are stored; the rows of ``data/layouts.json``."""

_BOUNDS = {
    "hidden_size": (1, 1 << 17),
    "num_hidden_layers": (1, 4096),
    "num_attention_heads": (1, 1 << 14),
    "head_dim": (1, 1 << 14),
    "q_lora_rank": (1, 1 << 17),
    "o_lora_rank": (1, 1 << 17),
    "o_groups": (1, 1 << 14),
    "n_routed_experts": (1, 1 << 16),
    "n_shared_experts": (0, 1 << 10),
    "num_experts_per_tok": (1, 1 << 16),
    "moe_intermediate_size": (1, 1 << 18),
    "vocab_size": (1, 1 << 24),
    "num_hash_layers": (0, 4096),
    "hc_mult": (1, 64),
    "index_n_heads": (1, 1 << 14),
    "index_head_dim": (1, 1 << 14),
    "sliding_window": (1, 1 << 24),
    "qk_rope_head_dim": (0, 1 << 14),
    "max_position_embeddings": (1, 1 << 32),
}
"""Whole-number fields every config must have, with the values that make sense."""

_EXPERT_TYPES = ("fp4", "fp8", "nvfp4")

_OPTIONAL = {"num_nextn_predict_layers": (0, 64), "dspark_markov_rank": (1, 1 << 17)}


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a ``deepseek_v4`` config.json that bytes follow from, by their names there.

    Attributes:
        compress_ratios: One for each of the ``num_hidden_layers`` layers: 0 (window alone), 4 or 128.
        draft: ``mtp``, ``dspark`` or None.
        draft_ratios: Ratio of each layer of the draft head.
        dspark_markov_rank: Rank of DSpark's Markov head; 0 without DSpark.
        layout: How the weights are stored.

    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    q_lora_rank: int
    o_lora_rank: int
    o_groups: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    vocab_size: int
    num_hash_layers: int
    hc_mult: int
    index_n_heads: int
    index_head_dim: int
    sliding_window: int
    qk_rope_head_dim: int
    max_position_embeddings: int
    compress_ratios: tuple[int, ...]
    tie_word_embeddings: bool
    draft: str | None
    draft_ratios: tuple[int, ...]
    dspark_markov_rank: int
    layout: Layout

    @property
    def draft_stages(self) -> int:
        """Layers of the draft head."""
        return len(self.draft_ratios)

    @property
    def csa_layers(self) -> int:
        """Layers of compressed sparse attention (ratio 4)."""
        return self.compress_ratios.count(CSA)

    @property
    def hca_layers(self) -> int:
        """Layers of heavily compressed attention (ratio 128)."""
        return self.compress_ratios.count(HCA)


def read_shape(
    config: dict[str, Any], *, storage_known: bool = False, file: str = "config.json", remedy: str = ORIGINAL
) -> Shape:
    """The shape in a ``deepseek_v4`` config.json.

    Args:
        config: The parsed config.json.
        storage_known: The files' own bytes are known, so how the config stores weights does not matter.
        file: What an error calls the file.
        remedy: What to do where a field is wrong.

    Raises:
        RefusedError: It is of another architecture, whose sizes follow other formulas.
        ModelFileError: A field is missing, of the wrong type or absurd; the message names it.

    """
    if not isinstance(config, dict):
        raise ModelFileError(
            f"{file} holds a {type(config).__name__}, not an object.", remedy="Give the config.json of a model."
        )
    check_architecture(config, file)
    fields = Fields(config, file, remedy)
    numbers = {name: fields.whole(name, *bounds) for name, bounds in _BOUNDS.items()}
    _check_relations(fields, numbers)
    draft, stages, rank = _draft(fields)
    ratios, draft_ratios = _ratios(fields, numbers["num_hidden_layers"], stages)
    return Shape(
        **numbers,
        compress_ratios=ratios,
        tie_word_embeddings=fields.flag("tie_word_embeddings"),
        draft=draft,
        draft_ratios=draft_ratios,
        dspark_markov_rank=rank,
        layout="fp4" if storage_known else _layout(config),
    )


def _check_relations(fields: Fields, numbers: dict[str, int]) -> None:
    width = numbers["num_attention_heads"] * numbers["head_dim"]
    checks = {
        f"num_attention_heads x head_dim = {width:,} is not a multiple of o_groups = {numbers['o_groups']}": (
            width % numbers["o_groups"] == 0
        ),
        f"num_experts_per_tok = {numbers['num_experts_per_tok']} is more than n_routed_experts = "
        f"{numbers['n_routed_experts']}": numbers["num_experts_per_tok"] <= numbers["n_routed_experts"],
        f"num_hash_layers = {numbers['num_hash_layers']} is more than num_hidden_layers = "
        f"{numbers['num_hidden_layers']}": numbers["num_hash_layers"] <= numbers["num_hidden_layers"],
        f"qk_rope_head_dim = {numbers['qk_rope_head_dim']} is more than head_dim = {numbers['head_dim']}": (
            numbers["qk_rope_head_dim"] <= numbers["head_dim"]
        ),
    }
    for what, holds in checks.items():
        if not holds:
            raise fields.wrong(f"contradicts itself: {what}")
    heads = fields.get("num_key_value_heads")
    if heads is not None and (type(heads) is not int or heads != 1):
        raise fields.wrong(
            f"says num_key_value_heads = {repr(heads)[:40]}; deepseek_v4 has 1, and its cache is sized for that"
        )


def _ratios(fields: Fields, layers: int, stages: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ratios of the layers, and of the draft head's."""
    ratios = fields.get("compress_ratios")
    if ratios is None:
        raise fields.wrong(
            "has no compress_ratios, which the engines need too; a config saved again by transformers 5 loses them"
        )
    if not isinstance(ratios, list) or len(ratios) < layers:
        raise fields.wrong(f"must list in compress_ratios one ratio for each of the {layers} layers")
    # As published, the draft head's layers follow the model's. A list of another length, as in a config
    # cut to fewer layers, says nothing about them; all published ones, and all engines, have 0 there.
    named = len(ratios) == layers + stages
    used = ratios if named else ratios[:layers]
    for ratio in used:
        if type(ratio) is not int or ratio not in {0, CSA, HCA}:
            raise fields.wrong(f"holds {str(ratio)[:40]} in compress_ratios; deepseek_v4 knows 0, {CSA} and {HCA}")
    return tuple(used[:layers]), tuple(used[layers:]) if named else (0,) * stages


def _draft(fields: Fields) -> tuple[str | None, int, int]:
    """Kind, layers and Markov rank of the draft head; DSpark takes the place of the MTP layer."""
    targets = fields.get("dspark_target_layer_ids")
    if targets is not None:
        listed = isinstance(targets, list) and 1 <= len(targets) <= _OPTIONAL["num_nextn_predict_layers"][1]
        if not listed or any(type(layer) is not int or layer < 0 for layer in targets):
            raise fields.wrong(f"says dspark_target_layer_ids = {str(targets)[:40]}; expected a list of layers")
        return "dspark", len(targets), fields.whole("dspark_markov_rank", *_OPTIONAL["dspark_markov_rank"])
    if fields.get("num_nextn_predict_layers") is None:
        return None, 0, 0
    layers = fields.whole("num_nextn_predict_layers", *_OPTIONAL["num_nextn_predict_layers"])
    return ("mtp" if layers else None), layers, 0


def _layout(config: dict[str, Any]) -> Layout:
    """Storage, from ``quantization_config`` and ``expert_dtype``."""
    quantization = config.get("quantization_config")
    if quantization is None:
        return _unquantized(config)
    if not isinstance(quantization, dict):
        raise ModelFileError("quantization_config is not an object.", remedy="Take the original config.json.")
    # Saved again by transformers 5, expert_dtype stands inside quantization_config too.
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
        f"expert_dtype is {str(value)[:40]!r}; known are {', '.join(_EXPERT_TYPES)}.",
        remedy="Point at the local files instead: their headers hold exact bytes.",
    )


def _unsized(what: str) -> ModelFileError:
    return ModelFileError(
        f"config.json says {what}: that cannot be sized from it alone.",
        remedy="Point at the local files instead: their headers hold exact bytes.",
    )
