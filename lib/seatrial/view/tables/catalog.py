"""The catalog as tables: the models, and the checkpoints of each."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.catalog import Checkpoint, Model
from seatrial.units import GB, to_gb
from seatrial.view.tables.table import Table


def models_table(models: Iterable[Model]) -> Table:
    """Return a row for each model: parameters and context, with its role, licence and default checkpoint below."""
    shown = tuple(models)
    return Table(
        "Memory follows all parameters, speed the active ones",
        ("model", "parameters>", "active>", "context tokens>"),
        tuple(
            (
                f"{model.id}: {model.name}",
                _billions(model.parameters_total),
                _billions(model.parameters_active),
                f"{model.context_tokens:,}",
            )
            for model in shown
        ),
        "Parameters without the draft head and V4.1's Engram tables; active: used for one token, without the input embedding.",
        tuple(f"{model.role}, {model.license}; by default {model.default_checkpoint}" for model in shown),
    )


def checkpoints_table(model: Model, checkpoints: Iterable[Checkpoint]) -> Table:
    """Return a row for each checkpoint of ``model``: bytes with their origin, and the engines that load it."""
    own = [checkpoint for checkpoint in checkpoints if checkpoint.model == model.id]
    return Table(
        f"{model.name}: {len(own)} checkpoints",
        ("checkpoint", "GB>", "origin", "runs with"),
        tuple(
            (
                checkpoint.id,
                _size(checkpoint.weights_bytes),
                checkpoint.origin if checkpoint.weights_bytes is not None else "-",
                ", ".join(checkpoint.engines) or "no engine",
            )
            for checkpoint in own
        ),
        "GB = 1e9 bytes of weights. verified: published; derived: added up from the tensors.",
        tuple(_remark(checkpoint) for checkpoint in own),
    )


def drafters_table(drafters: Iterable[Checkpoint]) -> Table:
    """Return a row for each file that only drafts for a model, with the release it drafts for."""
    shown = tuple(drafters)
    return Table(
        f"{len(shown)} drafters, for --drafter",
        ("drafter", "GB>", "drafts for", "runs with"),
        tuple((row.id, _size(row.weights_bytes), row.drafts_for or "-", ", ".join(row.engines)) for row in shown),
    )


def _remark(checkpoint: Checkpoint) -> str:
    kind = "" if checkpoint.format == "gguf" else f"{checkpoint.precision} {checkpoint.format}"
    return "; ".join(filter(None, (kind, checkpoint.note, checkpoint.describe_revision)))


def _billions(parameters: int | None) -> str:
    if parameters is None:
        return "unknown"
    return f"{parameters / GB:,.1f} B" if parameters >= GB else f"{parameters / 1e6:,.1f} M"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    return f"{to_gb(size_bytes):,.{1 if size_bytes >= GB else 3}f}"
