"""What a GGUF file says about itself, read and checked before any engine sees the file.

Only the header is read, through a memory map: no tensor data, and nothing is ever allocated by a
count that the file chooses. Any way in which a file can be wrong is a ``ModelFileError``.
"""

from __future__ import annotations

import json
import mmap
import struct
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

from seatrial.errors import ModelFileError, UsageError
from seatrial.units import format_bytes

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_MAX_DIMENSIONS = 4
_MAX_NAME_BYTES = 1 << 16
_MAX_KEPT_TEXT_BYTES = 1 << 20
_MAX_KEPT_VALUES = 1 << 14
_MAX_ENTRIES = 1 << 22
"""Tensors, metadata entries or texts of one list that are walked over; the largest vocabularies have a sixteenth."""
_MAX_VALUES = 1 << 62
"""Elements of one tensor; more would not fit a 64-bit size."""

STRING, ARRAY, BOOL = 8, 9, 7
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
_SMALLEST_PAIR = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 4 + 8
REMEDY = "Fetch the file again, and compare its size and SHA-256 with the publisher's."


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor.

    Attributes:
        name: As in the file.
        shape: Dimensions, fastest first.
        kind: Type name ("MXFP4", "F32").
        offset: Where its data begins, in bytes from the start of the data.
        size_bytes: Bytes of its data.

    """

    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header of one file says.

    Attributes:
        path: The file.
        version: GGUF version.
        metadata: Single values and short arrays of numbers by key; text longer than 1 MiB is left out.
        array_lengths: Length of every array by key, kept or not.
        tensors: Every tensor.
        data_offset: Where tensor data begins in the file.
        file_bytes: Length of the file.

    """

    path: Path
    version: int
    metadata: dict[str, Any]
    array_lengths: dict[str, int]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int

    @property
    def architecture(self) -> str:
        """``general.architecture``: "deepseek4", "llama"; empty where the file names none."""
        return str(self.metadata.get("general.architecture", ""))


def read_header(path: Path) -> GgufHeader:
    """The checked header of one GGUF file.

    Raises:
        ModelFileError: The file is not a whole, well-formed GGUF file; the message says how.
        UsageError: The file cannot be opened.

    """
    _types()
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file.", remedy="Check the path.")  # a pipe would be waited for without end
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                raise ModelFileError(f"{path} is empty.", remedy=REMEDY)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                return _Reader(path, view, size).header()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error


class _Reader:
    """Walks through the header; every length is checked against what is left of the file."""

    def __init__(self, path: Path, view: mmap.mmap, size: int) -> None:
        self.path = path
        self.view = view
        self.size = size
        self.at = 0

    def header(self) -> GgufHeader:
        self._check_magic()
        version = self._number("<I")
        if version not in _VERSIONS:
            big = version.to_bytes(4, "little") == int(_VERSIONS[-1]).to_bytes(4, "big")
            why = " (a big-endian file)" if big else ""
            raise self._wrong(f"has GGUF version {version}{why}; versions {_VERSIONS[0]} and {_VERSIONS[1]} are read")
        tensor_count, pair_count = self._number("<Q"), self._number("<Q")
        self._check_entries("tensors", tensor_count, _SMALLEST_TENSOR)
        self._check_entries("metadata entries", pair_count, _SMALLEST_PAIR)
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(pair_count):
            self._pair(metadata, lengths)
        alignment = self._alignment(metadata)
        tensors = [self._tensor(alignment) for _ in range(tensor_count)]
        start = -(-self.at // alignment) * alignment
        self._check_data(tensors, start)
        return GgufHeader(self.path, version, metadata, lengths, tuple(tensors), start, self.size)

    def _check_magic(self) -> None:
        start = self.view[: min(self.size, 512)]
        if start[:4] == _MAGIC:
            self.at = 4
            return
        text = start.lstrip().lower()
        if text.startswith(b"version https://git-lfs"):
            raise ModelFileError(
                f"{self.path} is a Git LFS pointer of {self.size} bytes, not the model.",
                remedy="Run `git lfs pull`, or fetch the file again.",
            )
        if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
            raise ModelFileError(
                f"{self.path} is a web page, not a model: the download was answered with a page.", remedy=REMEDY
            )
        raise self._wrong(f"does not begin with {_MAGIC.decode()}: it is no GGUF file")

    def _pair(self, metadata: dict[str, Any], lengths: dict[str, int]) -> None:
        key = self._text(_MAX_NAME_BYTES, "a metadata key") or ""
        if not key or key in metadata or key in lengths:
            raise self._wrong(f"has the metadata key {key[:80]!r} {'twice' if key else 'without a name'}")
        kind = self._number("<I")
        if kind == ARRAY:
            lengths[key], values = self._array(key)
            if values is not None:
                metadata[key] = values
            return
        value = self._value(kind, key)
        if value is not None:
            metadata[key] = value

    def _value(self, kind: int, key: str) -> Any:
        if kind == STRING:
            return self._text(self.size, f"the text of {key[:80]!r}")
        if kind not in _SCALARS:
            raise self._wrong(f"has metadata of unknown type {kind} under {key[:80]!r}")
        value = self._number(_SCALARS[kind])
        return bool(value) if kind == BOOL else value

    def _array(self, key: str) -> tuple[int, tuple[Any, ...] | None]:
        """Length of an array and, for a short one of numbers, its values; others are walked over."""
        kind, count = self._number("<I"), self._number("<Q")
        if kind == STRING:
            self._check_entries(f"texts in {key[:80]!r}", count, 8)
            for _ in range(count):
                self._skip(self._number("<Q"), f"a text of {key[:80]!r}")
            return count, None
        if kind not in _SCALARS:
            raise self._wrong(f"has an array of unknown type {kind} under {key[:80]!r}")
        width = struct.calcsize(_SCALARS[kind])
        self._check_count(f"values in {key[:80]!r}", count, width)
        start = self.at
        self._skip(count * width, f"the array {key[:80]!r}")
        if count > _MAX_KEPT_VALUES:
            return count, None
        values = struct.unpack(f"<{count}{_SCALARS[kind][1]}", self.view[start : self.at])
        return count, tuple(map(bool, values)) if kind == BOOL else values

    def _alignment(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        whole = isinstance(alignment, int) and not isinstance(alignment, bool)
        if not whole or not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self._wrong(f"says general.alignment = {str(alignment)[:40]}, which is no power of two in bounds")
        return int(alignment)

    def _tensor(self, alignment: int) -> TensorInfo:
        name = self._text(_MAX_NAME_BYTES, "a tensor name") or ""
        if not name:
            raise self._wrong("has a tensor without a name")
        shown = name[:80]
        dimensions = self._number("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise self._wrong(f"gives the tensor {shown!r} {dimensions} dimensions; at most {_MAX_DIMENSIONS} exist")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        kind, offset = self._number("<I"), self._number("<Q")
        if str(kind) not in _types():
            raise self._wrong(f"stores the tensor {shown!r} as type {kind}, which is not known here")
        label, block, size = _types()[str(kind)]
        if min(shape) < 1 or prod(shape) > _MAX_VALUES or shape[0] % block:
            raise self._wrong(f"gives the tensor {shown!r} the impossible shape {shape} for {label}")
        if offset % alignment:
            raise self._wrong(f"puts the tensor {shown!r} at {offset}, which is not a multiple of {alignment}")
        return TensorInfo(name, shape, label, offset, prod(shape) // block * size)

    def _check_data(self, tensors: list[TensorInfo], start: int) -> None:
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise self._wrong("names a tensor twice")
        end = 0
        for tensor in sorted(tensors, key=lambda each: each.offset):
            if tensor.offset < end:
                raise self._wrong(f"lets the tensor {tensor.name[:80]!r} overlap the one before it")
            end = tensor.offset + tensor.size_bytes
        if tensors and start + end > self.size:
            raise ModelFileError(
                f"{self.path} is cut: it has {self.size:,} bytes, its tensors need {start + end:,} "
                f"({format_bytes(start + end - self.size)} are missing).",
                remedy=REMEDY,
            )

    def _check_entries(self, what: str, count: int, smallest: int) -> None:
        """Each is walked over, and a file with holes is as long as it likes without taking any disk."""
        self._check_count(what, count, smallest)
        if count > _MAX_ENTRIES:
            raise self._wrong(f"claims {count:,} {what}; at most {_MAX_ENTRIES:,} are read")

    def _check_count(self, what: str, count: int, smallest: int) -> None:
        left = self.size - self.at
        if count * smallest > left:
            raise self._wrong(f"claims {count:,} {what}, but only {left:,} bytes follow")

    def _number(self, form: str) -> Any:
        width = struct.calcsize(form)
        start = self.at
        self._skip(width, "its header")
        return struct.unpack(form, self.view[start : self.at])[0]

    def _text(self, limit: int, what: str) -> str | None:
        length = self._number("<Q")
        if length > limit:
            raise self._wrong(f"claims {length:,} bytes for {what}; at most {limit:,} are possible")
        start = self.at
        self._skip(length, what)
        if length > _MAX_KEPT_TEXT_BYTES:
            return None
        return self.view[start : self.at].decode("utf-8", errors="replace")

    def _skip(self, count: int, what: str) -> None:
        if count > self.size - self.at:
            raise self._wrong(f"ends in the middle of {what} (at byte {self.size:,}): it is cut")
        self.at += count

    def _wrong(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.path} {what}.", remedy=REMEDY)


@cache
def _types() -> dict[str, tuple[str, int, int]]:
    text = files("seatrial.catalog").joinpath("data", "ggml_types.json").read_text(encoding="utf-8")
    types: dict[str, tuple[str, int, int]] = json.loads(text)["types"]
    return types
