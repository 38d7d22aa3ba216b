"""Refuses a config.json of an architecture this kit cannot size: other formulas would give it a wrong size."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.errors import ModelFileError, RefusedError
from seatrial.json_text import parse_json
from seatrial.records import from_dict

MODEL_TYPE = "deepseek_v4"
V41_TYPE = "deepseek_v41"
SIZED = (MODEL_TYPE, V41_TYPE)
"""Architectures whose tensors this kit adds up from a config.json."""

_VISION_FIELDS = {
    "n_layers": ("num_hidden_layers", "vision_num_layers"),
    "dim": ("hidden_size", "vision_hidden_size"),
    "n_heads": ("num_attention_heads", "vision_num_heads"),
    "inter_dim": ("intermediate_size", "vision_intermediate_size"),
    "patch_size": ("patch_size", "vision_patch_size"),
    "downsample_ratio": ("downsample_ratio", "vision_downsample_ratio"),
}
"""Fields of a vision tower after ``vision_``, with their names inside ``vision_config`` and in mlx-vlm's flat form."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What this kit knows of an architecture, from ``data/architectures.json``."""

    id: str  # model_type in config.json
    classes: str = ""  # start of the engines' class names (DeepseekV4ForCausalLM); an upper-case letter follows
    absent: dict[str, str] = field(
        default_factory=dict
    )  # fields of config.json that make it another architecture, and what they mean
    unchecked: dict[str, str] = field(
        default_factory=dict
    )  # engines whose memory formulas no published run has confirmed, and why
    unpredicted: str | None = None  # why no speed is predicted
    windows_by_requests: bool = False  # SGLang sizes the pool of sliding windows by running requests, not as a share
    source: str = ""


def architecture_of(kind: str) -> Architecture:
    """Return what is known of an architecture; of one the kit does not know, nothing but its name."""
    return _architectures().get(kind) or Architecture(kind)


def flattened(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with the fields of ``text_config`` at the top, and those of a vision tower under V4's names."""
    text, vision = config.get("text_config"), config.get("vision_config")
    flat = {name: value for name, value in config.items() if name != "text_config"}
    if isinstance(text, dict):
        flat = {**{name: value for name, value in text.items() if name != "model_type"}, **flat}
    nested = vision if isinstance(vision, dict) and flat.get("model_type") == V41_TYPE else {}
    for name, (inside, other) in _VISION_FIELDS.items():
        value = nested.get(inside, flat.get(other))
        if value is not None:
            flat.setdefault(f"vision_{name}", value)
    return flat


def check_architecture(config: dict[str, Any], file: str = "config.json") -> None:
    """Refuse a config.json for which no formulas are known.

    Args:
        config: The parsed config.json.
        file: Name of the file in error messages.

    Raises:
        RefusedError: If the architecture is another one.
        ModelFileError: If the file names no architecture, or names it in an unknown form.

    """
    kind, classes = config.get("model_type"), config.get("architectures")
    if not isinstance(kind, str):
        raise ModelFileError(
            f"{file} has no model_type.", remedy="Give the config.json of a deepseek_v4 or deepseek_v41 model."
        )
    row = architecture_of(kind)
    if kind not in SIZED:
        raise _refused(f"{file}: model_type is {kind[:80]!r}")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise ModelFileError(
            f"{file} has architectures = {repr(classes)[:80]}; expected a list of names.",
            remedy="Take the config.json of the original repository.",
        )
    for name in classes or ():
        if not re.fullmatch(rf"{row.classes}[A-Z]\w*", name, re.ASCII):
            raise _refused(f"{file}: architectures names {name[:80]!r}, though model_type is {kind!r}")
    for name, part in row.absent.items():
        if config.get(name):
            raise _refused(f"{file} has {name}, {part} that {kind} does not have")


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"{what}: another architecture than {' and '.join(SIZED)}, so these formulas would give a wrong size.",
        remedy="Give a checkpoint of the DeepSeek V4 family; `seatrial models` lists them.",
    )


@cache
def _architectures() -> dict[str, Architecture]:
    path = Path(__file__).with_name("data") / "architectures.json"
    rows = parse_json(path.read_bytes())["rows"]
    return {row["id"]: from_dict(Architecture, row) for row in rows}
