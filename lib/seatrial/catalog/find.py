"""Finds the checkpoint a person means by a model name, a hub id, ``repo:quantization`` or a local path.

An unknown name is an error that lists the nearest ones, never a guess: a wrong size is worse than none.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from seatrial.catalog.held import find_held, split_id
from seatrial.catalog.hub_cache import local_name
from seatrial.catalog.listing import checkpoints, drafters, models
from seatrial.catalog.local import local_checkpoint
from seatrial.catalog.stored import find_fetched
from seatrial.catalog.types import PICKLED, Checkpoint, Model
from seatrial.errors import UnknownNameError, UsageError
from seatrial.paths import typed_path
from seatrial.printable import shortened

_MAX_NAME = 4096
"""Longest name accepted; the longest path on Linux."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?", re.ASCII)
_PATH_STARTS = ("/", "./", "../", "~")
_GIVE_ID_OR_PATH = "Give a hub id or the path of a local model."


def find_model(name: str) -> Model:
    """Find the model with this id or name, in any case.

    Raises:
        UnknownNameError: If there is none; the message lists the nearest names.

    """
    model = _models_by_name().get(name.strip().casefold())
    if model is None:
        raise _unknown("model", name, [model.id for model in models()])
    return model


def _unknown(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Return the error for an unknown name; for an id of DeepSeek's API it says what the API means by it."""
    meant = (model for model in models() if model.api and name.strip().casefold() in model.api.ids)
    hint = next((f"{model.api.text} The model itself is {model.id} here." for model in meant if model.api), "")
    return UnknownNameError(kind, name, known, hint=hint)


def find_checkpoint(text: str) -> Checkpoint:
    """Find the checkpoint that ``text`` means.

    Args:
        text: A model name (its default release), a hub id, for GGUF with its quantization
            (``unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL``), or a path to a ``.gguf`` file or to a
            folder with ``config.json`` and safetensors. Case does not matter in names. A hub id that is in no catalog
            means what was fetched by that id, or what Hugging Face's own cache holds.

    Returns:
        The row of the catalog, or for a local path one with the exact bytes of the files' headers.

    Raises:
        UnknownNameError: If the name is unknown; the message lists the nearest ones.
        UsageError: If the text is not a name, or a GGUF repository without its quantization.
        ModelFileError: If the local file is malformed.
        RefusedError: If the local model has an architecture this kit cannot size.

    """
    name = _checked_name(text)
    known = _checkpoints_by_name()
    if name.casefold() in known:
        return known[name.casefold()]
    model = _models_by_name().get(name.casefold())
    if model is not None:
        return known[model.default_checkpoint.casefold()]
    if _is_path(name):
        try:
            return local_checkpoint(typed_path(name, "The checkpoint"))
        except OSError as error:
            why = error.strerror or error
            raise UsageError(f"{_quoted(name)} cannot be opened: {why}.", remedy="Check the path.") from error
    if not _HUB_ID.fullmatch(name):
        raise UsageError(
            f"{_quoted(name)} is neither a checkpoint name nor a path that exists.",
            remedy="Give a hub id (owner/name), for GGUF owner/name:quantization, or the path of a local model.",
        )
    path = path_on_disk(name)
    if path is not None:
        return local_checkpoint(path)
    _ask_for_quantization(name)
    rows = (*checkpoints(), *drafters())
    raise _unknown("checkpoint", name, [*(row.id for row in rows), *(model.id for model in models())])


def is_hub_id(text: str) -> bool:
    """Return True if ``text`` can only be the id of a repository on a hub, with or without a quantization."""
    name = text.strip(" ")
    return "/" in name and _HUB_ID.fullmatch(name) is not None and not _is_path(name)


def path_on_disk(name: str) -> Path | None:
    """Return the path of a hub id that was fetched, or that Hugging Face's own cache holds; None if it is not here."""
    if not is_hub_id(name):
        return None
    here = find_fetched(name) or find_held(*split_id(name))
    return here.path if here else None


@cache
def _checkpoints_by_name() -> dict[str, Checkpoint]:
    return {checkpoint.id.casefold(): checkpoint for checkpoint in (*checkpoints(), *drafters())}


@cache
def _models_by_name() -> dict[str, Model]:
    return {name.casefold(): model for model in models() for name in (model.id, model.name)}


def drafter_of(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the catalog's drafter for the release of a checkpoint, None if there is none."""
    return next((row for row in drafters() if row.drafts_for and row.drafts_for in checkpoint.id), None)


def model_of(checkpoint: Checkpoint) -> Model:
    """Return the model of a checkpoint; for a local file, one made from its own config.

    Raises:
        UnknownNameError: If the checkpoint names a model that is not in the catalog.
        UsageError: If the checkpoint only drafts for a model.

    """
    if checkpoint.is_drafter:
        of = f"of {checkpoint.drafts_for}" if checkpoint.drafts_for else "of another file"
        raise UsageError(
            f"{checkpoint.id} is a draft {of}, not a model.",
            remedy="Name the model with --checkpoint, and this file with --drafter.",
        )
    if checkpoint.model != "local":
        return find_model(checkpoint.model)
    config = checkpoint.config
    return Model(
        id="local",
        name=local_name(Path(checkpoint.id)),
        architecture=str(config.get("model_type", "")),
        role="local",
        context_tokens=int(config["max_position_embeddings"]),
        parameters_total=None,
        parameters_active=None,
        license="unknown",
        default_checkpoint=checkpoint.id,
        config=config,
        source=checkpoint.source,
    )


def _checked_name(text: str) -> str:
    """Strip a name, and refuse what cannot be one."""
    name = text.strip(" ")
    if not name:
        raise UsageError("The checkpoint name is empty.", remedy="Try: flash, pro, smollm2, or a hub id.")
    if len(name) > _MAX_NAME:
        raise UsageError(
            f"The checkpoint name has {len(name):,} characters; at most {_MAX_NAME:,} are allowed.",
            remedy=_GIVE_ID_OR_PATH,
        )
    if not text.isprintable():
        raise UsageError(f"The checkpoint name {_quoted(name)} holds control characters.", remedy=_GIVE_ID_OR_PATH)
    if name.startswith("-"):
        raise UsageError(
            f"The checkpoint name {_quoted(name)} starts with a dash, as an option does.",
            remedy="Give a hub id, or ./ before the path of a local model.",
        )
    if "://" in name:
        raise UsageError(
            f"{_quoted(name)} is an address, not a checkpoint name.",
            remedy="Give only the hub id (owner/name), or the path of a local model.",
        )
    return name


def _is_path(name: str) -> bool:
    if name.startswith(_PATH_STARTS) or name in {".", ".."} or name.endswith((".gguf", *PICKLED)):
        return True
    try:
        return Path(name).exists()
    except OSError:
        return False


def _ask_for_quantization(name: str) -> None:
    repository, _, quantization = name.partition(":")
    rows = [c for c in checkpoints() if c.id.casefold().startswith(repository.casefold() + ":")]
    if not rows:
        return
    choices = [row.id.partition(":")[2] for row in rows]
    canonical = rows[0].id.partition(":")[0]
    if quantization:
        raise UnknownNameError(f"quantization of {canonical}", quantization, choices)
    raise UsageError(
        f"{canonical} holds {len(rows)} quantizations, and the name does not say which one.",
        remedy=f"Add one of them, as in {canonical}:{choices[-1]}: {', '.join(choices)}.",
    )


def _quoted(name: str) -> str:
    return repr(shortened(name))
