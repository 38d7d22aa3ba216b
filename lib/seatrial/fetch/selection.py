"""Which files of a repository or folder belong to a checkpoint: never pickled weights, never another quantization."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from seatrial.catalog.types import PICKLED
from seatrial.errors import ModelFileError, RefusedError, UsageError
from seatrial.fetch.transfer import RemoteFile
from seatrial.units import format_bytes

_BESIDE_WEIGHTS = re.compile(
    r".*\.(json|jinja)|(.*/)?(merges|vocab)\.txt|(.*/)?tokenizer\.model|(.*/)?LICENSE[^/]*", re.IGNORECASE
)
OWN_NAME = "seatrial.json"
"""The kit's own file beside a checkpoint's; a file of that name is never fetched."""
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_NOT_THE_MODEL = re.compile(r"(^|[/._-])(mmproj|imatrix)([._-]|$)", re.IGNORECASE)


def choose_files(files: Sequence[RemoteFile], name: str, quantization: str | None) -> tuple[RemoteFile, ...]:
    """The files of one checkpoint out of everything that is there.

    Args:
        files: What there is.
        name: What to call it in messages.
        quantization: GGUF quantization ("UD-Q4_K_XL"); None for safetensors, or where there is only one GGUF.

    Raises:
        UsageError: No such quantization, or it must be named; the message lists them.
        RefusedError: Only pickled weights, which can run code when loaded.
        ModelFileError: A part of a split model is missing.

    """
    files = [file for file in files if file.name != OWN_NAME]
    safetensors = [file for file in files if file.name.casefold().endswith(".safetensors")]
    if safetensors and quantization is None:
        return _top_level(safetensors) + tuple(
            file for file in files if _BESIDE_WEIGHTS.fullmatch(file.name) and "/" not in file.name
        )
    groups = _gguf_groups(files)
    if not groups:
        if any(file.name.casefold().endswith(PICKLED) for file in files) and not safetensors:
            raise RefusedError(
                f"{name} holds pickled weights only (.bin, .pt), which can run code when they are loaded.",
                remedy="Choose a repository with safetensors or GGUF files.",
            )
        kind = f"GGUF file of quantization {quantization}" if quantization else "safetensors or GGUF file"
        raise UsageError(f"{name} holds no {kind}.", remedy="Check the spelling, or choose another repository.")
    stem = _one_group(groups, name, quantization)
    _check_parts(groups[stem], stem)
    return tuple(sorted(groups[stem], key=lambda file: file.name))


def _quantization_of(stem: str) -> str:
    """The quantization a GGUF's file name ends with, the whole name where it names none."""
    last = PurePosixPath(stem).name
    found = re.search(r"(?:^|[-._])((?:UD-)?(?:I?Q\d\w*|TQ\d\w*|MXFP4\w*|NVFP4\w*|BF16|F16|F32))$", last, re.IGNORECASE)
    return found[1] if found else last


def _top_level(safetensors: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    # Weights in sub-folders are other layouts of the same model ("original/", "inference/").
    top = [file for file in safetensors if "/" not in file.name]
    return tuple(sorted(top or safetensors, key=lambda file: file.name))


def _gguf_groups(files: Sequence[RemoteFile]) -> dict[str, list[RemoteFile]]:
    groups: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in files:
        stem, _, suffix = file.name.rpartition(".")
        if suffix.casefold() == "gguf" and not _NOT_THE_MODEL.search(stem):
            found = _PART.fullmatch(stem)
            groups[found["stem"] if found else stem].append(file)
    return dict(groups)


def _one_group(groups: dict[str, list[RemoteFile]], name: str, quantization: str | None) -> str:
    if quantization is None:
        matching = list(groups)
    else:
        wanted = quantization.casefold()
        matching = [stem for stem in groups if _quantization_of(stem).casefold() == wanted]
        # Other names than the usual ones still count when the file's name ends with them.
        matching = matching or [
            stem for stem in groups if re.search(rf"(^|[-._/]){re.escape(wanted)}$", stem.casefold())
        ]
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(f"{_quantization_of(stem)} ({_size(group)})" for stem, group in sorted(groups.items())[:30])
    what = f"has no quantization {quantization!r}" if quantization and not matching else "holds several models"
    raise UsageError(f"{name} {what}.", remedy=f"Name one after a colon, REPO:QUANTIZATION. There are: {listed}.")


def _check_parts(group: list[RemoteFile], stem: str) -> None:
    parts = [found for file in group if (found := _PART.fullmatch(file.name.rpartition(".")[0]))]
    if not parts:
        return
    count = int(parts[0]["count"])
    here = {int(part["number"]) for part in parts}
    missing = sorted(set(range(1, count + 1)) - here)
    if missing or len(parts) != len(group):
        raise ModelFileError(
            f"{stem} comes in {count} parts, of which {len(here)} are there.",
            remedy=f"The first missing one is number {missing[0]}: fetch it from elsewhere."
            if missing
            else "Choose another source.",
        )


def _size(group: list[RemoteFile]) -> str:
    sizes = [file.size_bytes for file in group]
    return "size unknown" if None in sizes else format_bytes(sum(size or 0 for size in sizes))
