"""Builds a cache as huggingface_hub leaves it: blobs called by their hashes, snapshots of links, refs."""

import hashlib
from pathlib import Path

from tests.standin_hub import git_oid

MAIN = "a" * 40


class HubCache:
    """One repository in such a cache.

    Attributes:
        folder: Folder of the repository.

    """

    def __init__(self, root, repository="someone/model-GGUF"):
        self.folder = Path(root) / f"models--{repository.replace('/', '--')}"

    def add(self, files, revision=MAIN, *, main=True, links=True):
        """Add a snapshot of ``files`` (content by name), and return its folder."""
        snapshot = self.folder / "snapshots" / revision
        snapshot.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            place = snapshot / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not links:
                place.write_bytes(content)
                continue
            blob = self.blob(name, content)
            place.symlink_to(Path("../" * (2 + name.count("/"))) / "blobs" / blob.name)
        if main:
            (self.folder / "refs").mkdir(exist_ok=True)
            (self.folder / "refs" / "main").write_text(revision)
        return snapshot

    def blob(self, name, content):
        """Add the content of a file under its hash, and return its path."""
        small = name.endswith((".json", ".txt", ".jinja"))
        blob = self.folder / "blobs" / (git_oid(content) if small else hashlib.sha256(content).hexdigest())
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        return blob

    def state(self):
        """Return everything in the cache, to compare: nothing may be written there."""
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in self.folder.rglob("*")}
