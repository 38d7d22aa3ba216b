"""Reads the names in a Hugging Face cache, where files are links into ``blobs/`` and folders are called by a revision.

Layout: ``models--ORG--NAME/{blobs,refs,snapshots}``; see the huggingface_hub documentation, "Understand caching".
"""

from __future__ import annotations

from pathlib import Path, PurePath

from seatrial.errors import UsageError


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
    main = folder / "refs" / "main"
    if main.is_file():
        named = snapshots / main.read_text(encoding="utf-8", errors="replace").strip()
        if named.parent == snapshots and named.is_dir():
            return named
    found = sorted(path for path in snapshots.iterdir() if path.is_dir())
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"{folder} holds {len(found)} snapshots and does not say which one is meant.",
        remedy=f"Give the path of one: {', '.join(str(path) for path in found[:4])}."
        if found
        else "Fetch the model again.",
    )


def local_name(path: PurePath) -> str:
    """Return what a local model is called: by its file or folder, or by its repository if the folder is a snapshot."""
    repository = path.parent.parent.name
    if path.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return path.name
