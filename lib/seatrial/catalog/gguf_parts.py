"""Reads the headers of a GGUF model that is split into several files, or names the parts that are missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seatrial.catalog.gguf import GgufHeader, read_header
from seatrial.catalog.parts import PART, missing_parts, part_names
from seatrial.catalog.types import FETCH_AGAIN
from seatrial.errors import ModelFileError


def read_parts(path: Path) -> tuple[GgufHeader, ...]:
    """Read the header of a model, or of all its parts in order if it is split.

    Raises:
        ModelFileError: If a part is missing or malformed, or the parts do not belong together.

    """
    first = read_header(path)
    count = first.metadata.get("split.count", 1)
    part = PART.fullmatch(path.name)
    if not isinstance(count, int) or count <= 1:
        if part and int(part["count"]) > 1:
            raise ModelFileError(
                f"By its name, {path} is one of {int(part['count'])} parts; by its header, it is the only one.",
                remedy=FETCH_AGAIN,
            )
        return (first,)
    if part is None or int(part["count"]) != count:
        raise ModelFileError(
            f"{path} is one of {count} parts, but its name does not end in -00001-of-{count:05d}.gguf.",
            remedy="Give every part its original name.",
        )
    paths = [path.with_name(name) for name in part_names(part)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        raise missing_parts(missing, count, f"beside {path}")
    headers = tuple(read_header(part) for part in paths)
    _check_together(path, headers, count)
    return headers


def _check_together(path: Path, headers: tuple[GgufHeader, ...], count: int) -> None:
    """Check that each part has the number in its name, and that all together hold every tensor exactly once."""
    for number, header in enumerate(headers):
        if header.metadata.get("split.no") != number or header.metadata.get("split.count") != count:
            raise ModelFileError(
                f"{header.path} is not part {number + 1} of {count} of this model.", remedy=FETCH_AGAIN
            )
    expected, found = headers[0].metadata.get("split.tensors.count"), sum(len(header.tensors) for header in headers)
    if expected is not None and expected != found:
        raise ModelFileError(f"The parts of {path} hold {found} tensors; expected {expected}.", remedy=FETCH_AGAIN)
    names = Counter(tensor.name for header in headers for tensor in header.tensors)
    repeated = next((name for name, times in names.items() if times > 1), None)
    if repeated is not None:
        raise ModelFileError(f"Two parts of {path} hold the tensor {repeated[:80]!r}.", remedy=FETCH_AGAIN)
