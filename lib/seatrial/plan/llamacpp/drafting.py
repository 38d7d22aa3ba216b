"""Finds the drafter a person asked for, and says why it does not go with the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.catalog import find_checkpoint
from seatrial.catalog.engine_facts import Drafting, engine_facts
from seatrial.catalog.find import drafter_of
from seatrial.catalog.types import Checkpoint
from seatrial.errors import UsageError
from seatrial.memory.drafter import drafter_config
from seatrial.memory.model_bytes import model_bytes_of
from seatrial.plan.candidate import Candidate
from seatrial.records import Reason

_AUTO = "auto"
_SAME = {"hidden_size": "hidden values", "vocab_size": "tokens in the vocabulary", "hc_mult": "hidden streams"}
"""Fields in which model and drafter must agree: llama.cpp gives the drafter the model's embeddings and output head."""


@dataclass(frozen=True, slots=True)
class Drafter:
    """A drafter, and why it cannot draft for the model."""

    checkpoint: Checkpoint | None  # None if the catalog has none
    problems: tuple[Reason, ...] = ()


def drafting_of(engine: str) -> Drafting:
    """Return what is known about drafting with an engine that can."""
    facts = engine_facts(engine).drafting
    if facts is None:
        raise UsageError(f"{engine} takes no drafter.", remedy="Leave the drafter out.")
    return facts


def drafter_for(candidate: Candidate) -> Drafter | None:
    """Return the drafter asked for, None if none was.

    Raises:
        UnknownNameError: If there is no such checkpoint.
        UsageError: If it is a model, or there is no file of that path.
        ModelFileError: If the file is malformed.

    """
    asked, checkpoint = candidate.request.drafter, candidate.checkpoint
    if asked is None:
        return None
    if drafting_of(candidate.engine).inside:
        return _head_of(candidate.engine, checkpoint, asked)
    if asked == _AUTO:
        row = drafter_of(checkpoint)
        if row is None:
            text = f"The catalog has no drafter for {checkpoint.id}; --drafter also takes the path of one."
            return Drafter(None, (Reason(text, "verified", checkpoint.source),))
    else:
        row = find_checkpoint(asked) if isinstance(asked, str) else asked
    if not row.is_drafter:
        raise UsageError(
            f"{row.id} is a model, not a drafter.", remedy="Give --drafter auto, or the path of a DSpark drafter."
        )
    return Drafter(row, tuple(drafter_problems(candidate, row)))


def _head_of(engine: str, checkpoint: Checkpoint, asked: str | Checkpoint) -> Drafter:
    """Return the draft head inside a checkpoint as its drafter."""
    if asked != _AUTO:
        name = asked if isinstance(asked, str) else asked.id
        raise UsageError(
            f"{engine} drafts with the checkpoint's own head, not with {name}.", remedy="Give --drafter auto."
        )
    if checkpoint.draft is None:
        text = f"{checkpoint.id} has no draft head inside; --drafter needs a checkpoint that has one: seatrial models."
        return Drafter(None, (Reason(text, "verified", checkpoint.source),))
    return Drafter(checkpoint)


def drafter_problems(candidate: Candidate, drafter: Checkpoint) -> Iterator[Reason]:
    """Yield why a file cannot draft for the checkpoint of a candidate."""
    model, own = model_bytes_of(candidate.checkpoint).config, drafter_config(drafter)
    name = candidate.checkpoint.id
    for text in _differences(model, own):
        yield Reason(f"{drafter.id} cannot draft for {name}: {text}.", "derived", drafter.source)
    release = drafter.drafts_for
    if release and candidate.checkpoint.model != "local" and release not in name:
        text = f"{drafter.id} was trained for {release}, and {name} is another release: hardly any draft would be accepted."
        yield Reason(text, "derived", drafter.source)
    block, asked = own["dspark_block_size"], candidate.request.draft_tokens
    if asked and asked > block:
        text = f"{drafter.id} drafts blocks of {block} tokens, and {asked} were asked for: give --draft-tokens {block} or fewer."
        yield Reason(text, "derived", drafter.source)


def _differences(model: Mapping[str, Any], drafter: Mapping[str, Any]) -> Iterator[str]:
    for field, what in _SAME.items():
        if model.get(field) != drafter[field]:
            has = f"the model {model[field]:,}" if field in model else "the model is of another architecture"
            yield f"it has {drafter[field]:,} {what}, {has}"
    layers, last = model["num_hidden_layers"], max(drafter["dspark_target_layer_ids"])
    if last > layers:
        yield f"it drafts from layer {last}, and the model has {layers}"
