"""Names the parts of a model that is split into several files, and those that are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seatrial.errors import ModelFileError

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)?")
"""Name of one part: ``model-00001-of-00003.gguf``."""

_SHOWN = 3


def part_names(part: re.Match[str]) -> list[str]:
    """List the names of all parts, in order, from the name of one of them."""
    stem, count, suffix = part["stem"], int(part["count"]), part["suffix"] or ""
    return [f"{stem}-{number:05d}-of-{count:05d}{suffix}" for number in range(1, count + 1)]


def missing_parts(missing: Sequence[str], count: int, place: str) -> ModelFileError:
    """Build the error for parts that are missing; ``place`` is "in FOLDER" or "beside FILE"."""
    shown = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
    return ModelFileError(
        f"{len(missing)} of {count} parts are missing {place}: {shown}.",
        remedy="Fetch the missing parts into the same folder.",
    )
