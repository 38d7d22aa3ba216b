"""Reads the headers of a GGUF model that is split into several files, or names the parts that are missing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from seatrial.catalog.gguf import GgufHeader, read_header
from seatrial.catalog.parts import PART, missing_parts, part_names
from seatrial.catalog.types import FETCH_AGAIN
from seatrial.errors import ModelFileError

_PIECE = re.compile(r"(\.part\d+of\d+|-split-[a-z]{1,2}|(?<=\.gguf)\.\d{1,3})$", re.IGNORECASE)
"""Ends of the names of pieces that ``split`` and uploaders cut a file into."""
_MAX_LINKS = 40  # as the kernel follows at most


def read_parts(path: Path) -> tuple[GgufHeader, ...]:
    """Read the header of a model, or of all its parts in order if it is split; ``path`` may be any of them.

    Raises:
        ModelFileError: If a part is missing or malformed, or the parts do not belong together.

    """
    _refuse_piece(path)
    given = read_header(path)
    count = given.metadata.get("split.count")
    if not isinstance(count, int) or count <= 1:
        return (_whole(given, joined=count == 0),)
    path, part = _named_part(path, count)
    paths = [path.with_name(name) for name in part_names(part)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        raise missing_parts(missing, count, f"beside {path}")
    headers = tuple(read_header(part) for part in paths)
    _check_together(path, headers, count)
    return headers


def _refuse_piece(path: Path) -> None:
    """Refuse a piece of a file that was cut up by bytes: only all pieces together are a GGUF."""
    if _PIECE.search(path.name):
        raise ModelFileError(
            f"{path} is one piece of a file that was cut up.",
            remedy=f"Join all pieces in order: cat PIECE... > {_PIECE.sub('', path.name)}; then give that file.",
        )


def _whole(header: GgufHeader, *, joined: bool) -> GgufHeader:
    """Check that a file which names no other parts holds the whole model; a merge tool writes ``split.count`` 0."""
    part = PART.fullmatch(header.path.name)
    if part and int(part["count"]) > 1 and not joined:
        raise ModelFileError(
            f"By its name, {header.path} is one of {int(part['count'])} parts; by its header, it is the only one.",
            remedy=FETCH_AGAIN,
        )
    expected = header.metadata.get("split.tensors.count")
    if joined and expected is not None and expected != len(header.tensors):
        raise ModelFileError(
            f"{header.path} was joined from parts and holds {len(header.tensors)} of {expected} tensors.",
            remedy="Join all parts anew: llama-gguf-split --merge PART-1 NEW-FILE.",
        )
    return header


def _named_part(path: Path, count: int) -> tuple[Path, re.Match[str]]:
    """Return the path that has a part's name: the one given, or a file that it links to."""
    seen = path
    for _ in range(_MAX_LINKS):
        part = PART.fullmatch(seen.name)
        if part and int(part["count"]) == count:
            return seen, part
        if not seen.is_symlink():
            break
        seen = seen.parent / seen.readlink()
    raise ModelFileError(
        f"{path} is one of {count} parts, but its name does not end in -00001-of-{count:05d}.gguf.",
        remedy="Give every part its original name.",
    )


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
