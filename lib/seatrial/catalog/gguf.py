"""Reads and checks the header of a GGUF file before any engine opens the file.

The reader maps the file into memory and takes no tensor data. It never allocates memory by a count from the file. Every
fault of a file is a ``ModelFileError``.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from seatrial.catalog.types import FETCH_AGAIN
from seatrial.errors import ModelFileError, UsageError
from seatrial.json_text import parse_json
from seatrial.units import format_bytes

_MAGIC = b"GGUF"
_ARCHITECTURE = "general.architecture"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_MAX_DIMENSIONS = 4
_MAX_PADDING = 4096
"""Bytes after the last tensor in which a second file's beginning is looked for."""
_MAX_NAME_BYTES = 1 << 16
_MAX_KEPT_TEXT_BYTES = 1 << 20
_MAX_KEPT_VALUES = 1 << 14
_MAX_ENTRIES = 1 << 22
"""Tensors, metadata entries or texts of one list; the largest vocabularies have a sixteenth of it."""
_MAX_VALUES = 1 << 62
"""Elements of one tensor; more would not fit a 64-bit size."""

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
_SMALLEST_PAIR = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape, type and place of one tensor."""

    name: str
    shape: tuple[int, ...]  # fastest dimension first
    kind: str  # type name ("MXFP4", "F32")
    offset: int  # bytes from the start of the data
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Contents of one file's header."""

    path: Path
    version: int  # of GGUF
    metadata: dict[str, Any]  # single values and short arrays of numbers by key, without text above 1 MiB
    array_lengths: dict[str, int]  # length of every array by key, also of those left out of metadata
    tensors: tuple[TensorInfo, ...]
    data_offset: int  # start of the tensor data in the file
    file_bytes: int

    @property
    def architecture(self) -> str:
        """``general.architecture``: "deepseek4", "llama"; empty if the file names none."""
        return str(self.metadata.get(_ARCHITECTURE, ""))


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of one GGUF file.

    Raises:
        ModelFileError: If the file is incomplete or malformed; the message says how.
        UsageError: If the file cannot be opened.

    """
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise UsageError(f"{path} is not a file.", remedy="Check the path.")
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                raise ModelFileError(f"{path} is empty.", remedy=FETCH_AGAIN)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                return _Reader(path, view, size).header()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error


def architecture_at(start: bytes, name: str) -> str:
    """Return ``general.architecture`` from the first bytes of a file, which is not here yet; empty if it is not in them.

    Raises:
        ModelFileError: If these are not the first bytes of a GGUF file; ``name`` is the file's in the message.

    """
    return _Reader(Path(name), start, len(start)).architecture()


class _Reader:
    """Walks through the header and checks every length against the rest of the file."""

    def __init__(self, path: Path, view: mmap.mmap | bytes, size: int) -> None:
        self.path = path
        self.view = view
        self.size = size
        self.at = 0

    def header(self) -> GgufHeader:
        self._check_magic()
        version = self._number("<I")
        if version not in _VERSIONS:
            why = " (a big-endian file)" if version == _VERSIONS[-1] << 24 else ""
            known = f"{_VERSIONS[0]} and {_VERSIONS[1]}"
            raise self._wrong(f"has GGUF version {version}{why}; this kit reads versions {known}")
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

    def architecture(self) -> str:
        self._check_magic()
        self._number("<I")
        self._number("<Q")
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(self._number("<Q")):
            try:
                self._pair(metadata, lengths)
            except ModelFileError:
                break  # in the middle of a long value, or malformed; the whole file is checked once it is here
            if _ARCHITECTURE in metadata:
                return str(metadata[_ARCHITECTURE])
        return ""

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
        if text.startswith(b"<"):
            raise ModelFileError(
                f"{self.path} is a web page, not a model: the server answered with a page.", remedy=FETCH_AGAIN
            )
        raise self._wrong(f"is not a GGUF file: it does not begin with {_MAGIC.decode()}")

    def _pair(self, metadata: dict[str, Any], lengths: dict[str, int]) -> None:
        key = self._text(_MAX_NAME_BYTES, "a metadata key") or ""
        if not key or key in metadata or key in lengths:
            raise self._wrong(f"has the metadata key {key[:80]!r} {'twice' if key else 'without a name'}")
        kind = self._number("<I")
        if kind == _ARRAY:
            lengths[key], value = self._array(key)
        else:
            value = self._value(kind, key)
        if value is not None:
            metadata[key] = value

    def _value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self._text(self.size, f"the text of {key[:80]!r}")
        if kind not in _SCALARS:
            raise self._wrong(f"has metadata of unknown type {kind} under {key[:80]!r}")
        value = self._number(_SCALARS[kind])
        return bool(value) if kind == _BOOL else value

    def _array(self, key: str) -> tuple[int, tuple[Any, ...] | None]:
        """Return the length of an array and, only if it is a short one of numbers, its values."""
        kind, count = self._number("<I"), self._number("<Q")
        if kind == _STRING:
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
        return count, tuple(map(bool, values)) if kind == _BOOL else values

    def _alignment(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self._wrong(
                f"has general.alignment = {str(alignment)[:40]}; expected a power of two up to {_MAX_ALIGNMENT:,}"
            )
        return alignment

    def _tensor(self, alignment: int) -> TensorInfo:
        name = self._text(_MAX_NAME_BYTES, "a tensor name") or ""
        if not name:
            raise self._wrong("has a tensor without a name")
        shown = name[:80]
        dimensions = self._number("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise self._wrong(
                f"gives the tensor {shown!r} {dimensions} dimensions; at most {_MAX_DIMENSIONS} are allowed"
            )
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        kind, offset = self._number("<I"), self._number("<Q")
        if str(kind) not in _data()["types"]:
            raise self._unknown_type(shown, kind)
        label, block, size = _data()["types"][str(kind)]
        if min(shape) < 1 or prod(shape) > _MAX_VALUES or shape[0] % block:
            raise self._wrong(f"gives the tensor {shown!r} a shape that is impossible for {label}: {shape}")
        if offset % alignment:
            raise self._wrong(f"puts the tensor {shown!r} at byte {offset}, which is not a multiple of {alignment}")
        return TensorInfo(name, shape, label, offset, prod(shape) // block * size)

    def _unknown_type(self, tensor: str, kind: int) -> ModelFileError:
        for other in _data()["elsewhere"]:
            if str(kind) in other["types"]:
                label = other["types"][str(kind)]
                what = f"stores the tensor {tensor!r} as {label} (type {kind}), {other['why']}"
                return ModelFileError(f"{self.path} {what}.", remedy=other["remedy"])
        return ModelFileError(
            f"{self.path} stores the tensor {tensor!r} as type {kind}, which this kit does not know: another build or a"
            " newer llama.cpp made the file, or it is damaged.",
            remedy="Take a GGUF that was made for llama.cpp (seatrial models lists them); or compare its SHA-256.",
        )

    def _check_data(self, tensors: list[TensorInfo], start: int) -> None:
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise self._wrong("names a tensor twice")
        end = 0
        for tensor in sorted(tensors, key=lambda each: each.offset):
            if tensor.offset < end:
                raise self._wrong(f"has a tensor {tensor.name[:80]!r} that overlaps the one before it")
            end = tensor.offset + tensor.size_bytes
        if tensors and start + end > self.size:
            raise ModelFileError(
                f"{self.path} is cut short: it has {self.size:,} bytes and its tensors need {start + end:,} "
                f"({format_bytes(start + end - self.size)} are missing).",
                remedy=FETCH_AGAIN,
            )
        if _MAGIC in self.view[start + end : start + end + _MAX_PADDING]:
            raise ModelFileError(
                f"{self.path} is several GGUF files joined end to end; an engine would read only the first.",
                remedy="Give part 1 of the model as it was downloaded, or join the parts with llama-gguf-split --merge.",
            )

    def _check_entries(self, what: str, count: int, smallest: int) -> None:
        """Check a count of entries that the reader walks over: a sparse file can be long without taking any disk."""
        self._check_count(what, count, smallest)
        if count > _MAX_ENTRIES:
            raise self._wrong(f"claims {count:,} {what}; at most {_MAX_ENTRIES:,} are allowed")

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
            raise self._wrong(f"claims {length:,} bytes for {what}; at most {limit:,} are allowed")
        start = self.at
        self._skip(length, what)
        if length > _MAX_KEPT_TEXT_BYTES:
            return None
        return self.view[start : self.at].decode("utf-8", errors="replace")

    def _skip(self, count: int, what: str) -> None:
        if count > self.size - self.at:
            raise self._wrong(f"is cut short: it ends at byte {self.size:,}, in the middle of {what}")
        self.at += count

    def _wrong(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self.path} {what}.", remedy=FETCH_AGAIN)


@cache
def _data() -> dict[str, Any]:
    """Load ggml_types.json: block sizes by type, and the types that only other builds read."""
    path = Path(__file__).with_name("data") / "ggml_types.json"
    data: dict[str, Any] = parse_json(path.read_bytes())
    return data
