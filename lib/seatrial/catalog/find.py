"""What a person typed, as a checkpoint: model name, hub id, ``repo:quantization`` or local path.

A name that stands in no list is an error with the nearest ones, never a guess: a wrong size is
worse than none.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from seatrial.catalog.listing import all_models, checkpoints, models
from seatrial.catalog.types import PICKLED, Checkpoint, Model
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.printable import shortened

_MAX_NAME = 4096
"""Longest name looked at; the longest path Linux takes."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(:[\w.-]+)?", re.ASCII)
_PATH_STARTS = ("/", "./", "../", "~")


def find_model(name: str) -> Model:
    """The model called ``name`` (its id or the name its authors use, in any case).

    Raises:
        UnknownNameError: There is none; the nearest names are given.

    """
    wanted = name.strip().casefold()
    for model in all_models():
        if wanted in {model.id.casefold(), model.name.casefold()}:
            return model
    raise UnknownNameError("model", name, [model.id for model in models()])


def find_checkpoint(text: str) -> Checkpoint:
    """The checkpoint ``text`` means.

    Args:
        text: A model name (its default release), a hub id, for GGUF with its quantization
            (``unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL``), or a path to a ``.gguf`` file or to a
            folder with ``config.json`` and safetensors. Upper and lower case are not told apart in names.

    Returns:
        The row of the catalog, or for a local path one with the exact bytes of the files' headers.

    Raises:
        UnknownNameError: No such name; the nearest are given, and no size is guessed.
        UsageError: Not a name at all, or a GGUF repository without its quantization.
        ModelFileError: The local file is not what it says it is.
        RefusedError: The local model, or one named after a model of the catalog, has an architecture this
            kit cannot size.

    """
    name = _printable(text)
    known = _by_name()
    if name.casefold() in known:
        return known[name.casefold()]
    for model in all_models():
        if name.casefold() in {model.id.casefold(), model.name.casefold()}:
            return known[model.default_checkpoint.casefold()]
    if _is_path(name):
        from seatrial.catalog.local import local_checkpoint

        try:
            return local_checkpoint(Path(name).expanduser())
        except (OSError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"{_short(name)} cannot be opened: {why}.", remedy="Check the path.") from error
    if not _HUB_ID.fullmatch(name):
        raise UsageError(
            f"{_short(name)} is neither a checkpoint name nor a path that exists.",
            remedy="Give a hub id (owner/name), for GGUF owner/name:quantization, or the path of a local model.",
        )
    _refuse_kin(name)
    _ask_for_quantization(name)
    raise UnknownNameError("checkpoint", name, [*(c.id for c in checkpoints()), *(m.id for m in models())])


@cache
def _by_name() -> dict[str, Checkpoint]:
    """Rows of the catalog by their names, upper and lower case alike."""
    return {checkpoint.id.casefold(): checkpoint for checkpoint in checkpoints()}


def model_of(checkpoint: Checkpoint) -> Model:
    """The model a checkpoint holds; for a local file one made from its own config.

    Raises:
        UnknownNameError: The checkpoint names a model that is not in the catalog.

    """
    if checkpoint.model != "local":
        return find_model(checkpoint.model)
    config = checkpoint.config
    return Model(
        id="local",
        name=Path(checkpoint.id).name,
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


def _printable(text: str) -> str:
    name = text.strip(" ")
    if not name:
        raise UsageError("The checkpoint name is empty.", remedy="Try: flash, pro, smollm2, or a hub id.")
    if len(name) > _MAX_NAME:
        raise UsageError(
            f"The checkpoint name has {len(name):,} characters; at most {_MAX_NAME:,} are looked at.",
            remedy="Give a hub id or the path of a local model.",
        )
    if not text.isprintable():
        raise UsageError(
            f"The checkpoint name {_short(name)} holds control characters.",
            remedy="Give a hub id or the path of a local model.",
        )
    if name.startswith("-"):
        raise UsageError(
            f"The checkpoint name {_short(name)} starts with a dash, as an option does.",
            remedy="Give a hub id, or ./ before the path of a local model.",
        )
    if "://" in name:
        raise UsageError(
            f"{_short(name)} is an address; checkpoints are named by hub id or path.",
            remedy="Give the hub id alone (owner/name), or the path of a local model.",
        )
    return name


def _is_path(name: str) -> bool:
    if name.startswith(_PATH_STARTS) or name in {".", ".."} or name.endswith((".gguf", *PICKLED)):
        return True
    try:
        return Path(name).is_dir()
    except OSError:
        return False


def _refuse_kin(name: str) -> None:
    """Repackaged and later versions carry the name of the model whose architecture they have."""
    for model in all_models():
        if model.role == "refused" and model.name.casefold() in name.casefold():
            raise RefusedError(
                f"{_short(name)} names itself after {model.name}, of another architecture ({model.architecture}): "
                "refused, since the sizes of V4 do not apply.",
                remedy="Choose a checkpoint of DeepSeek V4; `seatrial models` lists them.",
            )


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
        f"{canonical} holds {len(rows)} quantizations; which one?",
        remedy=f"Add one of them, as in {canonical}:{choices[-1]}: {', '.join(choices)}.",
    )


def _short(name: str) -> str:
    return repr(shortened(name))
