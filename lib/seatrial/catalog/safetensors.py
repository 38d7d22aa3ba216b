"""Reads the headers of safetensors files: the bytes of every tensor, checked against the file.

A header that ends beyond the file or is oversized, overlapping tensors and missing parts are each a ``ModelFileError``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from seatrial.catalog.parts import PART, missing_parts, part_names
from seatrial.catalog.types import FETCH_AGAIN
from seatrial.errors import ModelFileError, UsageError
from seatrial.json_text import JsonDecoder, JsonError
from seatrial.records import read_json

_LENGTH_BYTES = 8
"""A file begins with the length of its header, a 64-bit number."""
_MAX_HEADER_BYTES = 32 << 20
"""Headers of the largest published parts have under 1 MB."""
_MAX_INDEX_BYTES = 128 << 20
_MAX_DIMENSIONS = 64
_MAX_BYTES = 1 << 62
"""Of one tensor or one model; more does not fit a 64-bit size."""

_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """Contents of one file's header."""

    path: Path
    tensors: dict[str, int]  # bytes of each tensor by name
    kinds: dict[str, str]  # type of each tensor by name ("F8_E4M3")


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of one safetensors file.

    Raises:
        ModelFileError: If the file is incomplete or malformed; the message says how.
        UsageError: If the file cannot be opened.

    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = _header_length(path, file.read(_LENGTH_BYTES), size)
            raw = file.read(length)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error
    entries = _entries(path, raw)
    _check_layout(path, entries, size - _LENGTH_BYTES - length)
    return SafetensorsHeader(
        path,
        {name: entry.data_offsets[1] - entry.data_offsets[0] for name, entry in entries.items()},
        {name: entry.dtype for name, entry in entries.items()},
    )


def read_folder(folder: Path) -> tuple[dict[str, int], int | None, tuple[Path, ...]]:
    """Read every tensor of a model in a folder.

    Returns:
        Bytes of each tensor by name, the total that the index gives (None without an index), and
        the files. If the folder has only an index, there are no tensors and no files.

    Raises:
        ModelFileError: If a part is missing or malformed, or the index names files outside the folder.

    """
    index = folder / INDEX
    total, file_of = _read_index(index) if index.is_file() else (None, {})
    names = sorted(set(file_of.values())) or _parts_in(folder)
    paths = tuple(folder / name for name in names)
    missing = [path.name for path in paths if not path.is_file()]
    if missing and len(missing) == len(paths) and total is not None:
        return {}, total, ()
    if missing:
        raise missing_parts(missing, len(paths), f"in {folder}")
    tensors: dict[str, int] = {}
    for path in paths:
        header = read_header(path)
        repeated = tensors.keys() & header.tensors.keys()
        if repeated:
            raise ModelFileError(
                f"{path} holds {min(repeated)[:80]!r}, which another part has too.", remedy=FETCH_AGAIN
            )
        tensors.update(header.tensors)
    absent = file_of.keys() - tensors.keys()
    if absent:
        raise ModelFileError(f"{index} lists {min(absent)[:80]!r}, which no part holds.", remedy=FETCH_AGAIN)
    if paths and not tensors:
        raise ModelFileError(f"{paths[0]} holds no tensors.", remedy=FETCH_AGAIN)
    return tensors, total, paths


def _header_length(path: Path, start: bytes, size: int) -> int:
    if size == 0:
        raise ModelFileError(f"{path} is empty.", remedy=FETCH_AGAIN)
    if len(start) < _LENGTH_BYTES:
        raise ModelFileError(f"{path} has {size} bytes, too few for a safetensors header.", remedy=FETCH_AGAIN)
    length = int(struct.unpack("<Q", start)[0])
    if length > size - _LENGTH_BYTES:
        # This check comes last: the length of a correct header may begin with any byte.
        if start.lstrip().lower().startswith((b"<", b"version ")):
            raise ModelFileError(f"{path} is a web page or a Git LFS pointer, not the model.", remedy=FETCH_AGAIN)
        raise ModelFileError(
            f"{path} claims a header of {length:,} bytes, but only {size - _LENGTH_BYTES:,} follow: the file is cut "
            "short, or it is not a safetensors file.",
            remedy=FETCH_AGAIN,
        )
    if length > _MAX_HEADER_BYTES:
        raise ModelFileError(
            f"{path} has a header of {length:,} bytes; at most {_MAX_HEADER_BYTES:,} are allowed.", remedy=FETCH_AGAIN
        )
    return length


_decode_header: JsonDecoder[dict[str, msgspec.Raw]] = JsonDecoder(dict[str, msgspec.Raw])
_decode_entry: JsonDecoder[_Entry] = JsonDecoder(_Entry)


def _entries(path: Path, raw: bytes) -> dict[str, _Entry]:
    try:
        document = _decode_header(raw)
        document.pop("__metadata__", None)
        entries = {name: _decode_entry(bytes(entry)) for name, entry in document.items()}
    except JsonError as error:
        raise ModelFileError(f"{path} has a malformed header, which {error}.", remedy=FETCH_AGAIN) from error
    # A decoder only returns the last of two equal names. Quotes inside a text are escaped, so the count is exact.
    if raw.count(b'"data_offsets"') != len(entries):
        raise ModelFileError(f"{path} names a tensor twice.", remedy=FETCH_AGAIN)
    return entries


def _check_layout(path: Path, entries: dict[str, _Entry], data_bytes: int) -> None:
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        first, last = entry.data_offsets
        if entry.dtype not in _BITS:
            raise ModelFileError(
                f"{path} stores {name[:80]!r} as {entry.dtype[:40]!r}, a type this kit does not know.",
                remedy=FETCH_AGAIN,
            )
        if first != end:
            how = "overlaps the one before it" if first < end else "leaves a gap before it"
            raise ModelFileError(
                f"{path}: the tensor {name[:80]!r} {how} (it starts at byte {first:,} instead of {end:,}).",
                remedy=FETCH_AGAIN,
            )
        needed = _bytes_of(entry)
        if last - first != needed:
            shape = "its shape is impossible" if needed is None else f"its shape needs {needed:,}"
            raise ModelFileError(
                f"{path}: the tensor {name[:80]!r} takes {last - first:,} bytes; {shape}.", remedy=FETCH_AGAIN
            )
        end = last
    if end != data_bytes:
        why = "the file is cut short" if end > data_bytes else "other data follows them"
        raise ModelFileError(
            f"{path} holds {data_bytes:,} bytes of tensors and its header lists {end:,}: {why}.", remedy=FETCH_AGAIN
        )


def _bytes_of(entry: _Entry) -> int | None:
    """Return the bytes of a tensor, None if its shape is impossible."""
    if len(entry.shape) > _MAX_DIMENSIONS or not all(0 <= size <= _MAX_BYTES for size in entry.shape):
        return None
    bits = _BITS[entry.dtype] * prod(entry.shape)
    return -(-bits // 8) if bits <= _MAX_BYTES else None


def _read_index(index: Path) -> tuple[int | None, dict[str, str]]:
    """Read the total an index gives, and the file it names for each tensor."""
    document: Any = read_json(index, _MAX_INDEX_BYTES)
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFileError(f"{index} has no weight_map.", remedy=FETCH_AGAIN)
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelFileError(
                f"{index} names {str(name)[:80]!r}, which is not a safetensors file in its folder.", remedy=FETCH_AGAIN
            )
    metadata = document.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if total is not None and (type(total) is not int or not 0 < total <= _MAX_BYTES):
        raise ModelFileError(
            f"{index} has a total_size of {str(total)[:40]}; expected a number of bytes.", remedy=FETCH_AGAIN
        )
    return total, weight_map


def _parts_in(folder: Path) -> list[str]:
    names = {path.name for path in folder.glob("*.safetensors")}
    for part in filter(None, map(PART.fullmatch, sorted(names))):
        missing = [name for name in part_names(part) if name not in names]
        if missing:
            raise missing_parts(missing, int(part["count"]), f"in {folder}")
    return sorted(names)
