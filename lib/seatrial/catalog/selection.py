"""Chooses the files of one checkpoint from a repository or folder: no pickled weights, no other quantization."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from seatrial.catalog.parts import PART
from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.stored import MANIFEST
from seatrial.catalog.types import PICKLED
from seatrial.errors import ModelFileError, RefusedError, UsageError
from seatrial.printable import shortened
from seatrial.units import format_bytes

_BESIDE_WEIGHTS = re.compile(
    r".*\.(json|jinja)|(.*/)?(merges|vocab)\.txt|(.*/)?tokenizer\.model|(.*/)?LICENSE[^/]*", re.IGNORECASE
)
_NOT_THE_MODEL = re.compile(r"(^|[/._-])(mmproj|imatrix)([._-]|$)", re.IGNORECASE)
_DRAFTER = "dspark-"
"""Start of the file name of a DSpark drafter, and of its quantization in this kit's ids: dspark-Q8_0."""
_MAX_LISTED = 30


def choose_files(files: Sequence[RemoteFile], name: str, quantization: str | None) -> tuple[RemoteFile, ...]:
    """Choose the files of one checkpoint.

    Args:
        files: All files of the repository or folder.
        name: Name of the repository or folder in messages.
        quantization: GGUF quantization ("UD-Q4_K_XL", of a drafter "dspark-Q8_0"); None for safetensors, or for the
            only GGUF.

    Raises:
        UsageError: If there is no such quantization, or several and none is named; the message lists them.
        RefusedError: If there are only pickled weights, which can run code when they are loaded.
        ModelFileError: If a part of a split model is missing.

    """
    files = [file for file in files if file.name != MANIFEST]
    safetensors = [file for file in files if file.name.casefold().endswith(".safetensors")]
    if safetensors and quantization is None:
        beside = (file for file in files if _BESIDE_WEIGHTS.fullmatch(file.name) and "/" not in file.name)
        # Weights in sub-folders are other layouts of the same model ("original/", "inference/").
        top = [file for file in safetensors if "/" not in file.name]
        return _distinct((*_by_name(top or safetensors), *beside), name)
    groups = _gguf_groups(files)
    if not groups:
        if any(file.name.casefold().endswith(PICKLED) for file in files) and not safetensors:
            raise RefusedError(
                f"{name} holds only pickled weights (.bin, .pt), which can run code when they are loaded.",
                remedy="Choose a repository with safetensors or GGUF files.",
            )
        kind = f"GGUF file of quantization {quantization}" if quantization else "safetensors or GGUF file"
        raise UsageError(f"{name} holds no {kind}.", remedy="Check the spelling, or choose another repository.")
    stem = _one_group(groups, name, quantization)
    _check_parts(groups[stem], stem)
    return _distinct(_by_name(groups[stem]), name)


def _distinct(files: tuple[RemoteFile, ...], name: str) -> tuple[RemoteFile, ...]:
    """Return the files; refuse two of them that some disks keep under one name."""
    folded: dict[str, str] = {}
    for file in files:
        other = folded.setdefault(file.name.casefold(), file.name)
        if other != file.name:
            raise ModelFileError(
                f"{name} holds {shortened(other)!r} and {shortened(file.name)!r}, which differ only in case.",
                remedy="Choose another repository.",
            )
    return files


def _by_name(files: Sequence[RemoteFile]) -> tuple[RemoteFile, ...]:
    return tuple(sorted(files, key=lambda file: file.name))


def _quantization_of(stem: str) -> str:
    """Return the quantization at the end of a GGUF's file name, the whole name if there is none."""
    last = PurePosixPath(stem).name
    if last.casefold().startswith(_DRAFTER):
        return _DRAFTER + _quantization_of(last[len(_DRAFTER) :])
    found = re.search(r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|TQ\d\w*|MXFP4\w*|NVFP4\w*|BF16|F16|F32))$", last, re.IGNORECASE)
    return found[1] if found else last


def _gguf_groups(files: Sequence[RemoteFile]) -> dict[str, list[RemoteFile]]:
    """Group GGUF files by model: the parts of a split one belong together."""
    groups: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in files:
        stem, _, suffix = file.name.rpartition(".")
        if suffix.casefold() == "gguf" and not _NOT_THE_MODEL.search(stem):
            part = PART.fullmatch(file.name)
            groups[part["stem"] if part else stem].append(file)
    return groups


def _one_group(groups: dict[str, list[RemoteFile]], name: str, quantization: str | None) -> str:
    models = [stem for stem in groups if not _quantization_of(stem).startswith(_DRAFTER)]
    if quantization is None:
        matching = models or list(groups)
    else:
        wanted = quantization.casefold()
        matching = [stem for stem in groups if _quantization_of(stem).casefold() == wanted]
        # An unusual quantization still matches if the file's name ends with it.
        matching = matching or [
            stem for stem in models if re.search(rf"(^|[-._/]){re.escape(wanted)}$", stem.casefold())
        ]
    if len(matching) == 1:
        return matching[0]
    known = [f"{_quantization_of(stem)} ({_size(group)})" for stem, group in sorted(groups.items())[:_MAX_LISTED]]
    what = f"has no quantization {quantization!r}" if quantization and not matching else "holds several models"
    raise UsageError(
        f"{name} {what}.", remedy=f"Name one after a colon, REPO:QUANTIZATION. There are: {', '.join(known)}."
    )


def _check_parts(group: list[RemoteFile], stem: str) -> None:
    parts = [part for file in group if (part := PART.fullmatch(file.name))]
    if not parts:
        return
    count = int(parts[0]["count"])
    found = {int(part["number"]) for part in parts}
    missing = sorted(set(range(1, count + 1)) - found)
    if missing or len(parts) != len(group):
        raise ModelFileError(
            f"{stem} has {count} parts, and the source holds {len(found)} of them.",
            remedy=f"The first missing one is number {missing[0]}: fetch it from another source."
            if missing
            else "Choose another source.",
        )


def _size(group: list[RemoteFile]) -> str:
    sizes = [file.size_bytes for file in group]
    return "size unknown" if None in sizes else format_bytes(sum(size or 0 for size in sizes))
