"""Makes tiny-v4 and its drafter: random weights in DeepSeek V4's real shape, so that the real code runs on any machine.

Each file has a few MiB and takes under a second. Answers are noise, and the model accepts hardly any drafted token.
Keys follow llama.cpp's ``src/models/deepseek4.cpp``, ``src/models/dflash.cpp`` and ``gguf-py/gguf/constants.py``
(b11434, b11549); the gguf package does not know them yet. Needs ``gguf`` and ``numpy``.

llama.cpp requires of so small a model that the head size differs from the indexer's (equal ones divide by zero), that
``hc_mult`` is 4, and that ratios are 0, 4 or 128.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seatrial.catalog.companions import DFLASH
from seatrial.catalog.find import find_checkpoint, find_model
from seatrial.catalog.local import DEEPSEEK4
from seatrial.errors import EngineMissingError, cannot_write
from seatrial.fetch.tiny_tensors import Filler, Tensor, drafter_tensors, model_tensors
from seatrial.writing import check_target, put_in_place

_SPECIAL_TOKENS = tuple(
    token.replace("|", "\uff5c")  # V4's chat format has full-width bars
    for token in (
        *("<|begin▁of▁sentence|>", "<|end▁of▁sentence|>", "<|▁pad▁|>", "<|User|>", "<|Assistant|>"),
        *("<think>", "</think>", "|DSML|"),
    )
)
"""The first five are control tokens, the rest user-defined."""

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
_BYTES = 256
_PAD = _BYTES + 2
DRAFTER = "tiny-v4:dspark-MXFP4"
"""The drafter's id in the catalog."""


def write_tiny(path: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """Write the tiny random DeepSeek V4 to ``path``, complete or not at all.

    Args:
        path: A ``.gguf`` file; an existing one is replaced.
        seed: Seed of the random weights; the same seed gives the same file.
        sizes: Fields of config.json that differ from tiny-v4's (``compress_ratios``, ``head_dim``).

    Returns:
        ``path``.

    Raises:
        EngineMissingError: If the package ``gguf`` or ``numpy`` is not installed.
        UsageError: If ``path`` cannot be written.
        DoesNotFitError: If the disk is full.

    """
    config = {**find_model("tiny-v4").config, **sizes}
    return _write(path, "deepseek4", config, model_tensors(config), seed)


def write_tiny_drafter(path: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """Write a tiny random DSpark drafter for tiny-v4; arguments, result and errors are those of ``write_tiny``."""
    config = {**find_model("tiny-v4").config, **find_checkpoint(DRAFTER).config, **sizes}
    stages = len(config["dspark_target_layer_ids"])
    config |= {"num_hidden_layers": stages, "compress_ratios": [0] * stages, "num_hash_layers": 0}
    return _write(path, DFLASH, config, drafter_tensors(config), seed)


def _write(path: Path, architecture: str, config: dict[str, Any], tensors: Iterable[Tensor], seed: int) -> Path:
    gguf, np = _packages()
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_target(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        writer = gguf.GGUFWriter(part, architecture)
        _add_metadata(writer, config)
        _add_tokenizer(writer, config["vocab_size"])
        add_own = _add_drafter_metadata if architecture == DFLASH else _add_model_metadata
        add_own(writer, config)
        fill = Filler(gguf, np, seed, config["n_routed_experts"])
        for name, shape, kind in tensors:
            data, stored_as = fill(shape, kind)
            writer.add_tensor(name, data, raw_dtype=stored_as)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        part.chmod(0o644)
        put_in_place(part, path)
    except OSError as error:
        raise cannot_write(path, error, "Free some space or choose another folder.") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)  # already gone if the rename worked
    return path


def _packages() -> tuple[Any, Any]:
    """Import the packages gguf and numpy."""
    try:
        import gguf
        import numpy as np
    except ImportError as error:
        raise EngineMissingError(
            f"tiny-v4 is made with the packages gguf and numpy, and {error.name} is not installed.",
            remedy="Run: pip install 'seatrial[llamacpp]'",
            cause="package missing",
        ) from error
    return gguf, np


def _add_metadata(writer: Any, config: dict[str, Any]) -> None:
    """Add what the model and its drafter have in common, each under the name of its architecture."""
    layers, name = config["num_hidden_layers"], writer.arch
    writer.add_description("Random weights in the shape of DeepSeek V4: answers are noise.")
    writer.add_license("cc0-1.0")
    for field, key in DEEPSEEK4.items():
        writer.add_uint32(f"{name}.{key}", config[field])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_feed_forward_length(config["moe_intermediate_size"])
    writer.add_head_count_kv(1)
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    writer.add_expert_weights_scale(config["routed_scaling_factor"])
    writer.add_expert_weights_norm(config["norm_topk_prob"])
    writer.add_uint32(f"{name}.expert_gating_func", 4)  # sqrtsoftplus
    writer.add_array(f"{name}.swiglu_clamp_exp", [config["swiglu_limit"]] * layers)
    writer.add_array(f"{name}.swiglu_clamp_shexp", [config["swiglu_limit"]] * layers)
    writer.add_array(f"{name}.attention.compress_ratios", config["compress_ratios"])
    writer.add_uint32(f"{name}.hyper_connection.sinkhorn_iterations", config["hc_sinkhorn_iters"])
    writer.add_float32(f"{name}.hyper_connection.epsilon", config["hc_eps"])


def _add_model_metadata(writer: Any, config: dict[str, Any]) -> None:
    writer.add_name("tiny-v4")
    writer.add_float32("deepseek4.attention.compress_rope_freq_base", float(config["compress_rope_theta"]))
    writer.add_uint32("deepseek4.embedding_length_out", config["hidden_size"] * config["hc_mult"])


def _add_drafter_metadata(writer: Any, config: dict[str, Any]) -> None:
    writer.add_name("tiny-v4 DSpark")
    writer.add_array(f"{DFLASH}.target_layers", config["dspark_target_layer_ids"])
    writer.add_uint32(f"{DFLASH}.block_size", config["dspark_block_size"])
    writer.add_bool(f"{DFLASH}.attention.causal", False)
    writer.add_mask_token_id(_PAD)  # stands for the tokens of a block that are still to be drafted


def _add_tokenizer(writer: Any, size: int) -> None:
    """Add a byte-level vocabulary: every byte, V4's special tokens, one merge, and unused tokens up to ``size``."""
    letters = _byte_letters()
    pair = letters[ord(" ")] * 2
    tokens = [*letters, *_SPECIAL_TOKENS, pair]
    types = [_NORMAL] * _BYTES + [_CONTROL] * 5 + [_USER_DEFINED] * 3 + [_NORMAL] + [_UNUSED] * (size - len(tokens))
    tokens += [f"<unused{number}>" for number in range(len(tokens), size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-v3")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair)])
    writer.add_bos_token_id(_BYTES)
    writer.add_eos_token_id(_BYTES + 1)
    writer.add_pad_token_id(_PAD)
    writer.add_add_bos_token(False)


def _byte_letters() -> list[str]:
    """Return GPT-2's letter for each byte: the byte itself if it prints, else a letter above 255."""
    printable = {*range(33, 127), *range(161, 173), *range(174, _BYTES)}
    hidden = [byte for byte in range(_BYTES) if byte not in printable]
    return [chr(byte if byte in printable else _BYTES + hidden.index(byte)) for byte in range(_BYTES)]
