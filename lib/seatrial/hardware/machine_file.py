"""Reads a machine from a file that ``seatrial detect --json`` wrote, on another computer or with another version."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.errors import UsageError
from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.named import machine_name
from seatrial.hardware.types import CUDA_ORDER, WIRED_LIMIT, Gpu, Hardware, Problem
from seatrial.paths import typed_path
from seatrial.printable import printable, shortened
from seatrial.records import from_dict, read_json

_MOST_FILE_BYTES = 4 << 20
_MOST_ENTRIES = 128
_MOST_TEXT = 1000
_MOST_NAME = 200
_MOST_BYTES = 1 << 50
_LEAST_RATE, _MOST_RATE = 1e8, 1e20
"""Bytes or operations a second: less is slower than a disk, more is faster than any chip."""
_VENDORS = ("nvidia", "amd", "apple")
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
_SETTING = re.compile(r"[A-Z_]{1,40}=[A-Za-z0-9,:._/-]{0,4000}")
_REMEDY = "Write it on that machine: seatrial detect --json > machine.json."


def file_named(name: str) -> Path | None:
    """Return the file that a name stands for, None if there is no such file."""
    with contextlib.suppress(UsageError):  # a name that is no path is a machine's, or nobody's
        path = typed_path(name)
        return path if os.path.lexists(path) else None
    return None


def read_machine_file(path: Path) -> Hardware:
    """Load a machine that was detected elsewhere.

    The accelerators' figures are those of the file, measured bandwidths included. The name is made of them anew. What an
    older version did not write has its default.

    Raises:
        UsageError: If the file cannot be read, or holds no machine that can exist; the message says what is wrong.

    """
    document = read_json(path, _MOST_FILE_BYTES)
    if isinstance(document, dict) and isinstance(document.get("hardware"), dict):
        document = document["hardware"]  # of seatrial plan --json
    try:
        read = from_dict(Hardware, document)
    except UsageError as error:
        raise UsageError(f"{path} describes no machine: {error.what}", remedy=_REMEDY) from error
    if wrong := next(_impossible(read), None):
        raise UsageError(f"{path} describes no machine: {wrong}", remedy=_REMEDY)
    gpus = tuple(map(_known, read.gpus))
    order = (CUDA_ORDER,) if any(gpu.vendor == "nvidia" for gpu in gpus) else ()
    settings = tuple(filter(_SETTING.fullmatch, read.engine_env))
    return replace(
        read,
        name=machine_name(gpus),
        gpus=gpus,
        host=replace(read.host, cpu=read.host.cpu and _plain(read.host.cpu)),
        driver=read.driver and _plain(read.driver),
        origin="assumed" if read.origin == "assumed" else "derived",
        source=f"{_plain(path.name)}, {_dated(read, path)} ({_plain(read.source, _MOST_TEXT)})",
        problems=tuple(Problem(_plain(one.what, _MOST_TEXT), _plain(one.remedy, _MOST_TEXT)) for one in read.problems),
        engine_env=settings or order,
    )


def _dated(read: Hardware, path: Path) -> str:
    if read.detected_at:
        return f"detected {read.detected_at[:10]}"
    return f"written {datetime.fromtimestamp(path.stat().st_mtime, UTC).date()}"


def _known(gpu: Gpu) -> Gpu:
    """Return a GPU as this version knows it: a newer one may list an accelerator that this one does not."""
    row = accelerators().get(gpu.accelerator or "")
    return replace(
        gpu,
        name=_plain(gpu.name),
        accelerator=row.key if row and row.vendor == gpu.vendor else None,
        limit_setting=WIRED_LIMIT if gpu.vendor == "apple" else gpu.limit_setting,
    )


def _plain(text: str, most: int = _MOST_NAME) -> str:
    """Return text of one line that a terminal shows as it is."""
    return printable(shortened(" ".join(text.split()), most))


def _impossible(read: Hardware) -> Iterator[str]:
    """Yield what no machine has."""
    yield from _out_of_range(read, "")
    for gpu in read.gpus:
        if gpu.vendor not in _VENDORS:
            yield f"it has a GPU of {shortened(gpu.vendor)!r}, and known vendors are {', '.join(_VENDORS)}."
        if gpu.compute_capability is not None and not re.fullmatch(r"[a-z0-9.]{1,20}", gpu.compute_capability):
            yield f"{shortened(gpu.compute_capability)!r} is no compute capability."
    if read.cuda is not None and not _VERSION.fullmatch(read.cuda):
        yield f"{shortened(read.cuda)!r} is no version of CUDA."
    days = [read.detected_at, read.host.bandwidth_measured_at, *(gpu.bandwidth_measured_at for gpu in read.gpus)]
    for day in filter(None, days):
        try:
            datetime.fromisoformat(day)
        except ValueError:
            yield f"{shortened(day)!r} is no date."


def _out_of_range(value: Any, name: str) -> Iterator[str]:
    """Yield every number, text and list below a value that is too small or too large."""
    if is_dataclass(value):
        for part in fields(value):
            yield from _out_of_range(getattr(value, part.name), f"{name}.{part.name}".lstrip("."))
    elif isinstance(value, tuple):
        if len(value) > _MOST_ENTRIES:
            yield f"{name} has {len(value):,} entries, and no machine has more than {_MOST_ENTRIES}."
        for entry in value[:_MOST_ENTRIES]:
            yield from _out_of_range(entry, name)
    elif isinstance(value, str):
        if len(value) > _MOST_TEXT * 5:
            yield f"{name} has {len(value):,} letters."
    elif isinstance(value, int) and not 0 <= value <= _MOST_BYTES:
        yield f"{name} is {shortened(str(value), 40) if abs(value) < 10**100 else 'a number of more than 100 digits'}."
    elif isinstance(value, float) and not (math.isfinite(value) and _LEAST_RATE <= value <= _MOST_RATE):
        yield f"{name} is {value:g}, which no machine has."
