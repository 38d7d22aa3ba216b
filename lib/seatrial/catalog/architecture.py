"""Refuses a config.json of another architecture than DeepSeek V4: V4's formulas would give it a wrong size."""

from __future__ import annotations

import re
from typing import Any

from seatrial.errors import ModelFileError, RefusedError

MODEL_TYPE = "deepseek_v4"
_V4_CLASS = re.compile(r"DeepseekV4[A-Z]\w*", re.ASCII)
"""Classes of V4 in engines (DeepseekV4ForCausalLM). DeepseekV41ForCausalLM is another model."""

_PARTS_OF_V41 = {"vision_config": "a vision part", "engram_config": "engram tables"}


def check_architecture(config: dict[str, Any], file: str = "config.json") -> None:
    """Refuse a config.json for which V4's formulas do not hold.

    Args:
        config: The parsed config.json.
        file: Name of the file in error messages.

    Raises:
        RefusedError: If the architecture is another one.
        ModelFileError: If the file names no architecture, or names it in an unknown form.

    """
    kind, classes = config.get("model_type"), config.get("architectures")
    if not isinstance(kind, str):
        raise ModelFileError(f"{file} has no model_type.", remedy="Give the config.json of a deepseek_v4 model.")
    if kind != MODEL_TYPE:
        raise _refused(f"{file}: model_type is {kind[:80]!r}")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise ModelFileError(
            f"{file} has architectures = {repr(classes)[:80]}; expected a list of names.",
            remedy="Take the config.json of the original repository.",
        )
    for name in classes or ():
        if not _V4_CLASS.fullmatch(name):
            raise _refused(f"{file}: architectures names {name[:80]!r}, though model_type is {kind!r}")
    for field, part in _PARTS_OF_V41.items():
        if config.get(field):
            raise _refused(f"{file} has {field}, {part} that deepseek_v4 does not have")


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"{what}: another architecture than deepseek_v4, so these formulas would give a wrong size.",
        remedy="Give a checkpoint of the DeepSeek V4 family; `seatrial models` lists them.",
    )
