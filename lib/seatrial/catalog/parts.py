"""A GGUF model in several files: all of them, in order, or a message that names what is missing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from seatrial.catalog.gguf import REMEDY, GgufHeader, read_header
from seatrial.errors import ModelFileError

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


def read_parts(path: Path) -> tuple[GgufHeader, ...]:
    """Headers of a model and, where it is split, of all its parts, in order.

    Raises:
        ModelFileError: A part is missing or malformed, or the parts do not belong together.

    """
    first = read_header(path)
    count = first.metadata.get("split.count", 1)
    found = PART.fullmatch(path.name)
    if not isinstance(count, int) or count <= 1:
        if found and int(found["count"]) > 1:
            raise ModelFileError(
                f"{path} is named as one of {int(found['count'])} parts, but its header knows of none.", remedy=REMEDY
            )
        return (first,)
    if found is None or int(found["count"]) != count:
        raise ModelFileError(
            f"{path} is one of {count} parts, but its name does not end in -00001-of-{count:05d}.gguf.",
            remedy="Give every part its original name.",
        )
    paths = [path.with_name(f"{found['stem']}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        shown = ", ".join(missing[:3])
        raise ModelFileError(
            f"{len(missing)} of {count} parts are missing beside {path}: {shown}{' ...' if len(missing) > 3 else ''}.",  # noqa: PLR2004
            remedy="Fetch the missing parts into the same folder.",
        )
    headers = tuple(read_header(part) for part in paths)
    _check_together(path, headers, count)
    return headers


def _check_together(path: Path, headers: tuple[GgufHeader, ...], count: int) -> None:
    """Every part is the one its name says, and together they hold what the first one promises, each tensor once."""
    for number, header in enumerate(headers):
        if header.metadata.get("split.no") != number or header.metadata.get("split.count") != count:
            raise ModelFileError(f"{header.path} is not part {number + 1} of {count} of this model.", remedy=REMEDY)
    wanted, found = headers[0].metadata.get("split.tensors.count"), sum(len(header.tensors) for header in headers)
    if wanted is not None and wanted != found:
        raise ModelFileError(f"The parts of {path} hold {found} tensors, {wanted} are expected.", remedy=REMEDY)
    names = Counter(tensor.name for header in headers for tensor in header.tensors)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise ModelFileError(f"The parts of {path} name {twice[0][:80]!r} twice.", remedy=REMEDY)
