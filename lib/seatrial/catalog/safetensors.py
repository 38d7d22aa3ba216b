"""What safetensors files say about themselves: every tensor's bytes, checked against the file.

Only headers are read. A header beyond the file, an oversized one, overlapping tensors or a missing
part is a ``ModelFileError``.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import msgspec

from seatrial.errors import ModelFileError, UsageError
from seatrial.records import read_json

_MAX_HEADER_BYTES = 32 << 20
"""Longest header read; those of the largest published parts have under 1 MB."""
_MAX_INDEX_BYTES = 128 << 20
_MAX_DIMENSIONS = 64
_MAX_BYTES = 1 << 62
"""Of one tensor or one model; more would not fit a 64-bit size."""

_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
INDEX = "model.safetensors.index.json"
REMEDY = "Fetch the file again, and compare its size and SHA-256 with the publisher's."


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What one file holds.

    Attributes:
        path: The file.
        tensors: Bytes of each tensor by name.
        kinds: Type of each tensor by name ("F8_E4M3").

    """

    path: Path
    tensors: dict[str, int]
    kinds: dict[str, str]


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_header(path: Path) -> SafetensorsHeader:
    """The checked header of one safetensors file.

    Raises:
        ModelFileError: The file is not a whole, well-formed safetensors file; the message says how.
        UsageError: The file cannot be opened.

    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = _header_length(path, file.read(8), size)
            raw = file.read(length)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.", remedy="Check the path.") from error
    entries = _entries(path, raw)
    _check_layout(path, entries, size - 8 - length)
    return SafetensorsHeader(
        path,
        {name: entry.data_offsets[1] - entry.data_offsets[0] for name, entry in entries.items()},
        {name: entry.dtype for name, entry in entries.items()},
    )


def read_folder(folder: Path) -> tuple[dict[str, int], int | None, tuple[Path, ...]]:
    """Every tensor of a model in a folder.

    Returns:
        Bytes of each tensor by name, the total that the index claims (None without an index), and
        the files. Where only the index is there, the tensors are empty and the claimed total counts.

    Raises:
        ModelFileError: A part is missing or malformed, or the index names files outside the folder.

    """
    index = folder / INDEX
    total, where = _read_index(index) if index.is_file() else (None, {})
    names = sorted(set(where.values())) or _parts_in(folder)
    paths = tuple(folder / name for name in names)
    missing = [path.name for path in paths if not path.is_file()]
    if missing and len(missing) == len(paths) and total is not None:
        return {}, total, ()
    if missing:
        shown = ", ".join(missing[:3])
        raise ModelFileError(
            f"{len(missing)} of {len(paths)} parts are missing in {folder}: {shown}{' ...' if len(missing) > 3 else ''}.",  # noqa: PLR2004
            remedy="Fetch the missing parts into the same folder.",
        )
    tensors: dict[str, int] = {}
    for path in paths:
        header = read_header(path)
        twice = tensors.keys() & header.tensors.keys()
        if twice:
            raise ModelFileError(f"{path} holds {min(twice)[:80]!r}, which another part has too.", remedy=REMEDY)
        tensors.update(header.tensors)
    absent = where.keys() - tensors.keys()
    if absent:
        raise ModelFileError(f"{index} lists {min(absent)[:80]!r}, which no part holds.", remedy=REMEDY)
    if paths and not tensors:
        raise ModelFileError(f"{paths[0]} holds no tensors.", remedy=REMEDY)
    return tensors, total, paths


def _header_length(path: Path, start: bytes, size: int) -> int:
    if size == 0:
        raise ModelFileError(f"{path} is empty.", remedy=REMEDY)
    if len(start) < 8:  # noqa: PLR2004 -- a 64-bit length
        raise ModelFileError(f"{path} has {size} bytes, less than a safetensors header.", remedy=REMEDY)
    length = int(struct.unpack("<Q", start)[0])
    if length > size - 8:
        # Only now: the length of a right header may begin with any byte.
        if start.lstrip().lower().startswith((b"<", b"version ")):
            raise ModelFileError(f"{path} is a web page or a Git LFS pointer, not the model.", remedy=REMEDY)
        raise ModelFileError(
            f"{path} claims a header of {length:,} bytes, but only {size - 8:,} follow: it is cut or no safetensors file.",
            remedy=REMEDY,
        )
    if length > _MAX_HEADER_BYTES:
        raise ModelFileError(
            f"{path} has a header of {length:,} bytes; at most {_MAX_HEADER_BYTES:,} are read.", remedy=REMEDY
        )
    return length


def _entries(path: Path, raw: bytes) -> dict[str, _Entry]:
    try:
        document = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        document.pop("__metadata__", None)
        entries = {name: msgspec.json.decode(entry, type=_Entry) for name, entry in document.items()}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} has a malformed header: {error}.", remedy=REMEDY) from error
    # A decoder keeps the last of two equal names; inside a text the quotes would be escaped.
    if raw.count(b'"data_offsets"') != len(entries):
        raise ModelFileError(f"{path} names a tensor twice.", remedy=REMEDY)
    return entries


def _check_layout(path: Path, entries: dict[str, _Entry], data_bytes: int) -> None:
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        first, last = entry.data_offsets
        if entry.dtype not in _BITS:
            raise ModelFileError(f"{path} stores {name[:80]!r} as {entry.dtype[:40]!r}, unknown here.", remedy=REMEDY)
        if first != end:
            how = "overlaps the one before it" if first < end else "leaves a hole before it"
            raise ModelFileError(f"{path}: the tensor {name[:80]!r} {how} (at {first:,}, not {end:,}).", remedy=REMEDY)
        needed = _bytes_of(entry)
        if last - first != needed:
            shape = "its shape is impossible" if needed is None else f"its shape needs {needed:,}"
            raise ModelFileError(
                f"{path}: the tensor {name[:80]!r} takes {last - first:,} bytes, {shape}.", remedy=REMEDY
            )
        end = last
    if end != data_bytes:
        what = "it is cut" if end > data_bytes else "something else follows"
        raise ModelFileError(
            f"{path} holds {data_bytes:,} bytes of tensors, its header lists {end:,}: {what}.", remedy=REMEDY
        )


def _bytes_of(entry: _Entry) -> int | None:
    """Bytes of a tensor; None where its shape is none."""
    if len(entry.shape) > _MAX_DIMENSIONS or not all(0 <= size <= _MAX_BYTES for size in entry.shape):
        return None
    bits = _BITS[entry.dtype] * prod(entry.shape)
    return -(-bits // 8) if bits <= _MAX_BYTES else None


def _read_index(index: Path) -> tuple[int | None, dict[str, str]]:
    """The total an index claims, and the file it names for each tensor."""
    document: Any = read_json(index, _MAX_INDEX_BYTES)
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFileError(f"{index} has no weight_map.", remedy=REMEDY)
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelFileError(
                f"{index} names {str(name)[:80]!r}, which is no safetensors file in its folder.", remedy=REMEDY
            )
    metadata = document.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if total is not None and (type(total) is not int or not 0 < total <= _MAX_BYTES):
        raise ModelFileError(f"{index} claims a total_size of {str(total)[:40]}.", remedy=REMEDY)
    return total, weight_map


def _parts_in(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    for name in names:
        if part := _PART.fullmatch(name):
            count = int(part["count"])
            wanted = (f"{part['stem']}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1))
            if missing := next((each for each in wanted if each not in names), None):
                raise ModelFileError(
                    f"{folder} lacks {missing}, one of {count} parts.",
                    remedy="Fetch the missing parts into the same folder.",
                )
    return names
