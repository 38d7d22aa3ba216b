"""Finds checkpoints in Hugging Face's own cache, so that nobody downloads one twice; never writes there.

The layout is huggingface_hub's ("Understand caching" in its documentation): ``models--OWNER--NAME`` has ``refs/main``,
``snapshots/<commit>/`` with links, and ``blobs/`` whose names are hashes: SHA-256 of large files, Git's SHA-1 of small ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from seatrial.catalog import safetensors
from seatrial.catalog.gguf_parts import read_parts
from seatrial.catalog.parts import PART, part_names
from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.selection import choose_files
from seatrial.catalog.stored import weights_in
from seatrial.environment import variable
from seatrial.errors import ModelFileError, SeatrialError, UsageError
from seatrial.paths import home, typed_path

_VARIABLES = {"HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}
"""Variables that move the cache, the first that is set, and its folder below each."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_OID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class CachedSnapshot:
    """A checkpoint in the cache, complete by the names and sizes of its files; its bytes were not checked."""

    folder: Path  # the snapshot, or a folder in it
    revision: str  # its commit
    files: tuple[RemoteFile, ...]

    @property
    def path(self) -> Path:
        """Return the path an engine loads."""
        return weights_in(self.folder, self.files)


def hub_cache_dir() -> Path:
    """Return the folder of the cache, as huggingface_hub finds it; an empty variable counts as unset.

    Raises:
        UsageError: If a variable names no path.

    """
    for name, below in _VARIABLES.items():
        text = variable(name)
        if text is not None:
            return typed_path(os.path.expandvars(text), name).absolute() / below
    return home() / ".cache/huggingface/hub"


def split_id(text: str) -> tuple[str, str | None]:
    """Return repository and quantization of a hub id, the latter None if it names none."""
    repository, _, quantization = text.partition(":")
    return repository, quantization or None


def find_cached(repository: str, quantization: str | None, revision: str | None = None) -> CachedSnapshot | None:
    """Return the checkpoint's complete snapshot: of ``revision``, else of the newest that was fetched; None if there is none.

    Args:
        repository: ``owner/name``.
        quantization: Of a GGUF; None for safetensors, or the only GGUF.
        revision: A commit or its first digits, which comes before the others.

    """
    for folder in _snapshots(repository, revision):
        try:
            files = choose_files(tuple(_files_in(folder)), str(folder), quantization)
            _check_complete(folder, files)
        except (SeatrialError, OSError):
            continue  # another snapshot may be complete
        return CachedSnapshot(folder, folder.name, files)
    return None


def cached_at(path: Path) -> CachedSnapshot | None:
    """Return the checkpoint at a path inside a snapshot of such a cache, None if it is elsewhere or holds no weights.

    A sub-folder is a checkpoint of its own, with its own config.json.
    """
    folder = next((one for one in (path, *path.parents) if _is_snapshot(one)), None)
    if folder is None:
        return None
    part = PART.fullmatch(path.name)
    names = set(part_names(part)) if part else {path.name}
    try:
        place = path if path.is_dir() else path.parent
        files = tuple(_files_in(place))
        chosen = choose_files(files, str(place), None) if place == path else files
    except (SeatrialError, OSError):
        return None
    found = tuple(file for file in chosen if place == path or file.name in names)
    return CachedSnapshot(place, folder.name, found) if found else None


def cached_file(repository: str, file: RemoteFile) -> Path | None:
    """Return a file of the cache that can be this one by its hash or name, and its size; the bytes are not checked."""
    digest = file.sha256 or file.git_oid
    if digest is None:
        return None
    blob = _folder_of(repository) / "blobs" / digest
    # On disks without links, snapshots hold the files themselves. A link leads to a blob, whose name is another hash.
    copies = (one / file.name for one in _snapshots(repository, None))
    places = (blob, *(copy for copy in copies if not copy.is_symlink()))
    try:
        return next((one for one in places if one.is_file() and one.stat().st_size == file.size_bytes), None)
    except OSError:
        return None


def holds_part_of(repository: str) -> bool:
    """Return True if the cache holds any file of a repository."""
    try:
        return any((_folder_of(repository) / "blobs").iterdir())
    except OSError:
        return False


def named_file(path: Path) -> Path:
    """Return an absolute path that keeps a file's name: links stay, and a file in ``blobs/`` gets its snapshot's name."""
    absolute = path.parent.resolve() / path.name
    repository = absolute.parent.parent
    if absolute.parent.name != "blobs" or not (repository / "snapshots").is_dir():
        return absolute
    links = (link for link in sorted((repository / "snapshots").rglob("*")) if link.is_symlink())
    return next((link for link in links if link.resolve() == absolute), absolute)


def snapshot(folder: Path) -> Path:
    """Return the snapshot that a repository's folder of the cache means; any other folder as it is.

    Raises:
        UsageError: If the repository has several snapshots and no ``refs/main``.

    """
    snapshots = folder / "snapshots"
    if not folder.name.startswith("models--") or not snapshots.is_dir():
        return folder
    found = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = _main_revision(folder)
    meant = [path for path in found if path.name == main] or found
    if len(meant) == 1:
        return meant[0]
    listed = f"Give the path of one: {', '.join(map(str, found[:4]))}."
    raise UsageError(
        f"{folder} holds {len(found)} snapshots and does not say which one is meant.",
        remedy=listed if found else "Fetch the model again.",
    )


def local_name(path: PurePath) -> str:
    """Return what a local model is called: by its file or folder, or by its repository if the folder is a snapshot."""
    repository = path.parent.parent.name
    if path.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return path.name


def _folder_of(repository: str) -> Path:
    return hub_cache_dir() / f"models--{repository.replace('/', '--')}"


def _is_snapshot(folder: Path) -> bool:
    return folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--")


def _snapshots(repository: str, revision: str | None) -> Iterator[Path]:
    """Yield the folders of all snapshots: the wanted revision first, then the newest on the hub's main branch."""
    root = _folder_of(repository)
    try:
        folders = [folder for folder in (root / "snapshots").iterdir() if folder.is_dir()]
        folders.sort(key=lambda folder: -folder.stat().st_mtime_ns)
    except OSError:
        return
    main = _main_revision(root)
    wanted = revision or main
    folders.sort(key=lambda folder: (not (wanted and folder.name.startswith(wanted)), folder.name != main))
    yield from folders


def _main_revision(root: Path) -> str:
    """Return the commit that was the hub's main branch at the last download, empty if nobody knows."""
    try:
        return (root / "refs" / "main").read_text(encoding="ascii", errors="replace")[:200].strip()
    except OSError:
        return ""


def _files_in(folder: Path) -> Iterator[RemoteFile]:
    """Yield the files of a snapshot that are there; the name of the blob behind a link is the file's hash."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = path.resolve().name if path.is_symlink() else ""
            yield RemoteFile(
                name=path.relative_to(folder).as_posix(),
                size_bytes=path.stat().st_size,
                sha256=digest if _SHA256.fullmatch(digest) else None,
                git_oid=digest if _GIT_OID.fullmatch(digest) else None,
                url=str(path),
            )


def _check_complete(folder: Path, files: tuple[RemoteFile, ...]) -> None:
    """Read the headers of a snapshot's weights, which show missing parts and files that are cut short."""
    path = weights_in(folder, files)
    if path.is_file():
        read_parts(path)
    elif not (folder / "config.json").is_file():
        raise ModelFileError(f"{folder} has no config.json.")
    elif not safetensors.read_folder(folder)[2]:
        raise ModelFileError(f"{folder} holds no weights of its own.")
