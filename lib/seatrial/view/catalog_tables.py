"""The catalog as tables: which models there are, and in which checkpoints they come."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.catalog import Checkpoint, Model
from seatrial.units import to_gb
from seatrial.view.table import Table


def models_table(models: Iterable[Model]) -> Table:
    """One row a model: parameters, context, licence and what its name stands for."""
    rows = tuple(
        (
            model.id,
            model.name,
            _billions(model.parameters_total),
            _billions(model.parameters_active),
            f"{model.context_tokens:,}",
            model.license,
            model.role,
            model.default_checkpoint,
        )
        for model in models
    )
    columns = ("model", "name", "parameters>", "active>", "context tokens>", "license", "role", "default checkpoint")
    note = "Parameters without the draft head; active: used for one token, input embedding not counted."
    return Table("Memory follows all parameters, speed the active ones", columns, rows, note)


def checkpoints_table(model: Model, checkpoints: Iterable[Checkpoint]) -> Table:
    """One row for each checkpoint of ``model``: bytes with their origin, and what loads it."""
    own = [checkpoint for checkpoint in checkpoints if checkpoint.model == model.id]
    repositories = [checkpoint.id.partition(":")[0] for checkpoint in own]
    rows = tuple(
        (
            # Quantizations of one repository stand below its name.
            repository if repository not in repositories[:place] else "",
            checkpoint.format,
            checkpoint.precision,
            _size(checkpoint.weights_bytes),
            checkpoint.origin if checkpoint.weights_bytes is not None else "-",
            ", ".join(checkpoint.engines) or "none here",
            checkpoint.note,
        )
        for place, (repository, checkpoint) in enumerate(zip(repositories, own, strict=True))
    )
    columns = ("checkpoint", "format", "precision", "GB>", "origin", "runs with", "note")
    note = "GB = 1e9 bytes of weights. GGUF is named repository:precision. verified: published; derived: added up."
    return Table(f"{model.name}: {len(own)} checkpoints", columns, rows, note)


def _billions(parameters: int | None) -> str:
    if parameters is None:
        return "unknown"
    return f"{parameters / 1e9:,.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:,.1f} M"  # noqa: PLR2004


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    return f"{to_gb(size_bytes):,.1f}" if size_bytes >= 1e9 else f"{to_gb(size_bytes):,.3f}"  # noqa: PLR2004
