"""Reads a model on this machine: its shape and its exact bytes, from the headers of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.catalog import gguf, safetensors
from seatrial.catalog.architecture import MODEL_TYPE, check_architecture, flattened
from seatrial.catalog.companions import DFLASH, companion_kind
from seatrial.catalog.engine_facts import loaders
from seatrial.catalog.gguf_parts import read_parts
from seatrial.catalog.hub_cache import named_file, snapshot
from seatrial.catalog.listing import models
from seatrial.catalog.parts import PART
from seatrial.catalog.tensor_classes import sum_by_class
from seatrial.catalog.types import FETCH_AGAIN, PICKLED, Checkpoint, CheckpointFile
from seatrial.errors import ModelFileError, RefusedError, SeatrialError, UsageError
from seatrial.records import read_json

DEEPSEEK4 = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "head_dim": "attention.key_length",
    "q_lora_rank": "attention.q_lora_rank",
    "o_lora_rank": "attention.output_lora_rank",
    "o_groups": "attention.output_group_count",
    "n_routed_experts": "expert_count",
    "n_shared_experts": "expert_shared_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "num_hash_layers": "hash_layer_count",
    "hc_mult": "hyper_connection.count",
    "index_n_heads": "attention.indexer.head_count",
    "index_head_dim": "attention.indexer.key_length",
    "index_topk": "attention.indexer.top_k",
    "sliding_window": "attention.sliding_window",
    "qk_rope_head_dim": "rope.dimension_count",
    "max_position_embeddings": "context_length",
}
"""Fields of config.json, and the GGUF key of each (after ``deepseek4.``)."""

_DSPARK = ("hidden_size", "num_hidden_layers", "head_dim", "hc_mult", "sliding_window")
"""Fields of ``DEEPSEEK4`` that a drafter of llama.cpp's architecture ``dflash`` is sized by."""

_LLAMA = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
}
_MAX_FIELD = 1 << 32
_NAMES_CODE = ("auto_map", "model_file")
"""Fields of a configuration that name Python code in the folder."""

_NO_PICKLES = "Use safetensors or GGUF files of the same model."
_CHECK_PATH_OR_ID = "Check the path, or give a hub id; `seatrial models` lists the known ones."


def local_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint in a ``.gguf`` file, or in a folder with ``config.json`` and safetensors.

    Raises:
        UsageError: If there is no model at ``path``.
        ModelFileError: If a file is incomplete or malformed.
        RefusedError: If the architecture is not supported, or the weights run code when they are loaded.

    """
    if path.suffix.casefold() in PICKLED:
        raise RefusedError(f"{path} is a pickled checkpoint; loading it runs code from the file.", remedy=_NO_PICKLES)
    if path.is_dir():
        return _from_folder(snapshot(path.resolve()))
    if path.is_file():
        if path.suffix.casefold() in {".safetensors", ".json"}:
            raise UsageError(f"{path} is one file of a model.", remedy=f"Give its folder: {path.parent}.")
        return _from_gguf(named_file(path))
    raise UsageError(f"There is no file or folder {str(path)[:200]!r}.", remedy=_CHECK_PATH_OR_ID)


def check_no_code(folder: Path) -> None:
    """Refuse a folder whose configuration names code: transformers runs ``auto_map``, MLX ``model_file``.

    Raises:
        RefusedError: If a configuration file has one of these fields.
        UsageError: If a configuration file cannot be read.

    """
    for path in sorted(folder.glob("*config.json")):
        if not path.is_file():
            raise UsageError(f"{path} is not a file.", remedy="Fetch the model's files again.")
        config = read_json(path)
        named = [name for name in _NAMES_CODE if isinstance(config, dict) and config.get(name)]
        if named:
            raise RefusedError(
                f"{path} names code to run ({named[0]}); this kit runs no code of a model, and DeepSeek V4 needs none.",
                remedy=f"Take the original {path.name}, or remove {named[0]} from it.",
            )


def _from_gguf(path: Path) -> Checkpoint:
    headers = read_parts(path)
    first = headers[0]
    drafter = first.architecture == DFLASH
    if not drafter and (companion := companion_kind(first)):
        raise RefusedError(
            f"{path} is {companion} of another file, not a model.", remedy="Give the path of the model's own file."
        )
    config = _dspark_config(first) if drafter else _gguf_config(headers)
    tensors = [tensor for header in headers for tensor in header.tensors]
    if not tensors:
        raise ModelFileError(f"{path} holds no tensors: it is a vocabulary, not a model.", remedy=FETCH_AGAIN)
    experts = [tensor.kind for tensor in tensors if "_exps." in tensor.name]
    one_file = len(headers) == 1
    by_class = sum_by_class((tensor.name, tensor.size_bytes) for tensor in tensors)
    return Checkpoint(
        id=str(first.path),
        model="local" if drafter else _model_with(config),
        format="gguf",
        precision=_most_common(experts or [tensor.kind for tensor in tensors]),
        weights_bytes=sum(tensor.size_bytes for tensor in tensors),
        origin="derived",
        source="tensor sizes in the header of the file" if one_file else f"headers of its {len(headers)} parts",
        engines=loaders("gguf"),
        config=config,
        files=tuple(CheckpointFile(header.path.name, header.file_bytes) for header in headers),
        weights_by_class=by_class,
        drafts_for="" if drafter else None,
    )


def _from_folder(folder: Path) -> Checkpoint:
    if not (folder / "config.json").is_file():
        return _gguf_in(folder)
    config = _read_config(folder / "config.json")
    tensors, claimed, paths = safetensors.read_folder(folder)
    if not tensors and claimed is None:
        _refuse_pickled(folder)
        raise UsageError(f"{folder} holds no safetensors files.", remedy="Fetch the model's safetensors files.")
    experts = config.get("expert_dtype")
    own_code = "its config.json names code to run (auto_map), so this kit sizes it and does not launch it"
    return Checkpoint(
        id=str(folder),
        model="local",
        format="safetensors",
        precision=experts[:20] if isinstance(experts, str) else "unknown",
        weights_bytes=sum(tensors.values()) if tensors else claimed,
        origin="derived",
        source="headers of its safetensors files" if tensors else f"total_size in {safetensors.INDEX}",
        engines=loaders("safetensors"),
        draft=_draft(config, tensors),
        note=own_code if config.get("auto_map") else "",
        config=config,
        files=tuple(CheckpointFile(path.name, path.stat().st_size) for path in paths),
        weights_by_class=sum_by_class(tensors.items()),
    )


def _draft(config: Mapping[str, Any], tensors: Iterable[str]) -> str | None:
    if config.get("dspark_target_layer_ids"):
        return "dspark"
    return "mtp" if any(name.startswith("mtp.") for name in tensors) else None


def _read_config(path: Path) -> dict[str, Any]:
    """Read a config.json, and check the architecture and the fields that sizes do not check."""
    config = read_json(path)
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} is not a JSON object.", remedy="Fetch the file again.")
    config = flattened(config)
    check_architecture(config, str(path))
    for field in ("max_position_embeddings", "index_topk"):
        value = config.get(field)
        if type(value) is not int or not 1 <= value <= _MAX_FIELD:
            raise ModelFileError(
                f"{path} says {field} = {str(value)[:40]}; expected a whole number from 1.",
                remedy="Fetch the original config.json.",
            )
    return config


def _refuse_pickled(folder: Path) -> None:
    if any(path.suffix.casefold() in PICKLED for path in folder.iterdir()):
        raise RefusedError(
            f"{folder} holds only pickled weights; loading them runs code from the file.", remedy=_NO_PICKLES
        )


def _gguf_in(folder: Path) -> Checkpoint:
    """Read the one GGUF model in a folder, or in the folders directly below it; the files beside it do not count."""
    firsts = _first_files(folder.glob("*.gguf")) or _first_files(folder.glob("*/*.gguf"))
    models = [path for path in firsts if not _is_companion(path)] or firsts
    if len(models) == 1:
        return _from_gguf(models[0])
    if models:
        names = ", ".join(str(path.relative_to(folder)) for path in models[:8])
        raise UsageError(f"{folder} holds {len(models)} models.", remedy=f"Give the path of one: {names}.")
    _refuse_pickled(folder)
    raise UsageError(f"{folder} holds neither config.json with safetensors nor a GGUF file.", remedy=_CHECK_PATH_OR_ID)


def _first_files(paths: Iterable[Path]) -> list[Path]:
    """Keep one file of each model: the first part that is there."""
    models: dict[tuple[Path, str], Path] = {}
    for path in sorted(paths):
        part = PART.fullmatch(path.name)
        models.setdefault((path.parent, f"{part['stem']} of {part['count']}" if part else path.name), path)
    return list(models.values())


def _is_companion(path: Path) -> bool:
    """Return True if a file belongs to another one; a file that cannot be read is taken for a model."""
    try:
        return companion_kind(gguf.read_header(path)) is not None
    except SeatrialError:
        return False


def check_gguf_architecture(kind: str, name: str) -> None:
    """Refuse a GGUF of an architecture that this kit cannot size.

    Raises:
        RefusedError: If the architecture is another one; ``name`` is the file's in the message.

    """
    if kind not in {"deepseek4", "llama"}:
        raise RefusedError(
            f"{name} holds a model of architecture {kind[:80]!r}; this kit serves deepseek4, and llama as stand-ins.",
            remedy="Give a GGUF of DeepSeek V4; `seatrial models` lists them.",
        )


def _gguf_config(headers: Sequence[gguf.GgufHeader]) -> dict[str, Any]:
    """Build the fields of a config.json from the headers of all parts; the first has the metadata."""
    header = headers[0]
    kind = header.architecture
    check_gguf_architecture(kind, str(header.path))
    keys = DEEPSEEK4 if kind == "deepseek4" else _LLAMA
    config: dict[str, Any] = {field: _whole(header, f"{kind}.{key}") for field, key in keys.items()}
    config["vocab_size"] = header.array_lengths.get("tokenizer.ggml.tokens") or _whole(header, f"{kind}.vocab_size")
    names = {tensor.name for part in headers for tensor in part.tensors}
    config["tie_word_embeddings"] = "output.weight" not in names
    if kind == "llama":
        heads = config["num_attention_heads"]
        width = header.metadata.get("llama.attention.key_length", config["hidden_size"] // heads)
        return {"model_type": "llama", "head_dim": _checked(header, "head_dim", width), **config}
    ratios = header.metadata.get("deepseek4.attention.compress_ratios")
    if not isinstance(ratios, tuple):
        raise ModelFileError(f"{header.path} has no compress_ratios.", remedy=FETCH_AGAIN)
    heads = header.metadata.get("deepseek4.attention.head_count_kv")
    if isinstance(heads, int):  # V4 has one; the KV cache formulas check that
        config["num_key_value_heads"] = heads
    return {"model_type": MODEL_TYPE, "compress_ratios": list(ratios), **config}


def _dspark_config(header: gguf.GgufHeader) -> dict[str, Any]:
    """Build the fields that a DSpark drafter of DeepSeek V4 is sized and checked by, named as in config.json."""
    targets = header.metadata.get(f"{DFLASH}.target_layers")
    if f"{DFLASH}.{DEEPSEEK4['hc_mult']}" not in header.metadata or "markov_w1.weight" not in {
        tensor.name for tensor in header.tensors
    }:
        raise RefusedError(
            f"{header.path} is a draft of another file, and not of DeepSeek V4: it has no DSpark stages of that shape.",
            remedy="Name the model with --checkpoint, and with --drafter a DSpark drafter of it (see seatrial models).",
        )
    if not isinstance(targets, tuple) or not targets:
        raise ModelFileError(f"{header.path} does not say which layers it drafts from.", remedy=FETCH_AGAIN)
    vocabulary = header.array_lengths.get("tokenizer.ggml.tokens") or _whole(header, f"{DFLASH}.vocab_size")
    return {
        "model_type": DFLASH,
        **{field: _whole(header, f"{DFLASH}.{DEEPSEEK4[field]}") for field in _DSPARK},
        "vocab_size": vocabulary,
        "dspark_block_size": _whole(header, f"{DFLASH}.block_size"),
        "dspark_target_layer_ids": [_checked(header, "target_layers", layer) for layer in targets],
    }


def _whole(header: gguf.GgufHeader, key: str) -> int:
    return _checked(header, key, header.metadata.get(key))


def _checked(header: gguf.GgufHeader, key: str, value: Any) -> int:
    low = 0 if key.endswith(("hash_layer_count", "expert_shared_count", "target_layers")) else 1
    if type(value) is not int or not low <= value <= _MAX_FIELD:
        raise ModelFileError(
            f"{header.path} says {key} = {str(value)[:40]}; expected a whole number from {low}.", remedy=FETCH_AGAIN
        )
    return value


def _model_with(config: Mapping[str, Any]) -> str:
    """Return the id of the catalog's model with this config, ``local`` if there is none."""
    shape = {field: value for field, value in config.items() if field != "compress_ratios"}
    for model in models():
        if model.config and all(model.config.get(field) == value for field, value in shape.items()):
            return model.id
    return "local"


def _most_common(kinds: list[str]) -> str:
    return max(sorted(set(kinds)), key=kinds.count)
