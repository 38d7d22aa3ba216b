"""Tells a model's GGUF file from the files that come with it: drafts, projectors, calibration data, adapters."""

from __future__ import annotations

from seatrial.catalog.gguf import GgufHeader

DFLASH = "dflash"
"""llama.cpp's architecture of files that only draft for a model: DFlash, and DSpark as an extension of it."""

_BY_ARCHITECTURE = {
    DFLASH: "a draft",
    "eagle3": "a draft",
    "clip": "a projector for images or sound",
    "imatrix": "calibration data (an importance matrix)",
    "controlvector": "a control vector",
}
_BY_TYPE = {
    "mmproj": _BY_ARCHITECTURE["clip"],
    "clip-vision": _BY_ARCHITECTURE["clip"],
    "imatrix": _BY_ARCHITECTURE["imatrix"],
    "adapter": "an adapter (LoRA)",
    "vocab": "a vocabulary",
}
"""``general.type`` of llama.cpp's converters and of its imatrix tool; ``model`` or nothing for a model."""


def companion_kind(header: GgufHeader) -> str | None:
    """Return what a file is if it belongs to the model of another file, None if it is a model itself."""
    kind = _BY_TYPE.get(str(header.metadata.get("general.type", "")))
    return kind or _BY_ARCHITECTURE.get(header.architecture)
