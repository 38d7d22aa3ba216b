"""Turns a vendor's facts into a recipes file: flags as the engine spells them now, and which were rewritten.

``tools/facts.py`` takes the facts. They are a document of one of these forms, told apart by what it holds: ``cells`` with
the names of SGLang's cookbook, ``models`` with ``commands`` and ``guide_commands`` (vLLM's recipes), or ``commands`` with
``hw`` (NVIDIA's local recipes). Of several documents a later one replaces the models it names. tools/refresh/spellings.json says
how flags, names and statuses are spelled, and which rows are left out.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import Any

from refresh.recipe_forms import accelerator_of, correction_of, missing_field, model_of, rows_of, tables
from seatrial.engines.snapshot import NEVER_STARTED, rejected
from seatrial.errors import UsageError
from seatrial.flags import Flags
from seatrial.plan.vendor.recipes import cells_of
from seatrial.plan.vendor.recipes_file import (
    Catalogue,
    read_recipes,
    unknown_names,
)

_HEAD = ("licence", "upstream_licence", "checked")
_ADDRESSES = frozenset({
    "--nnodes", "--node-rank", "--master-addr", "--master-port", "--headless", "--host", "--port",
    "--served-model-name", "--model-path",
})  # fmt: skip
"""Flags that every command gets anew on its own machines."""


@dataclass(frozen=True)
class Spelling:
    """One row of tools/refresh/spellings.json: a flag that is spelled differently now."""

    engine: str
    old: str
    new: str | None  # None if the flag is left out; with a value it replaces flag and value
    why: str
    source: str
    since: str | None = None  # version that made the old spelling wrong; None if it never was a flag of its own
    value: str | None = None  # only for this value
    beside: tuple[str, ...] = ()  # only if one of these flags is set too

    def applies(self, name: str, value: str | None, flags: Flags) -> bool:
        """Return True if this row is about a flag that has this value among these flags."""
        beside = not self.beside or any(each in flags for each in self.beside)
        return name == self.old and self.value in {None, value} and beside


def read_spellings(engine: str) -> list[Spelling]:
    """Load the rows of an engine, in the order they are tried."""
    return [Spelling(**row) for row in tables()["spellings"] if row["engine"] == engine]


def respell(words: list[str], spellings: list[Spelling]) -> tuple[Flags, list[Spelling]]:
    """Spell a vendor's flags as the current engine does.

    Returns:
        The flags without those the kit refuses or writes for each machine, and every row that changed one.

    """
    first = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    given = Flags.from_words(words[first:]).without(NEVER_STARTED | _ADDRESSES)
    pairs, used = [], []
    for name, value in given.pairs:
        row = next((row for row in spellings if row.applies(name, value, given)), None)
        if row is None:
            pairs.append((name, value))
            continue
        used.append(row)
        if row.new is not None:
            after, _, fixed = row.new.partition("=")
            pairs.append((after, value if row.value is None else fixed or None))
    return Flags(tuple(pairs)), used


def convert(facts: dict[str, Any], engine: str) -> dict[str, Any]:
    """Return the document of a recipes file.

    Args:
        facts: The vendor's, in one of the known forms.
        engine: Engine of all its rows.

    Raises:
        UsageError: If the facts have none of the known forms, a row cannot be read, or one old spelling was rewritten
            for two reasons, so that the file could name neither.

    """
    spellings = read_spellings(engine)
    reasons: dict[str, dict[str, str | None]] = {}
    cells, left_out = [], []
    for number, row in enumerate(rows_of(facts)):
        correction = correction_of(row)
        why = correction.why if correction and not correction.change else None
        try:
            cell, used = _cell(row | (correction.change if correction else {}), spellings)
        except (KeyError, TypeError, AttributeError) as error:
            raise missing_field(number, error) from error
        why = why or _refused(cell, engine)
        if why is not None:
            left_out.append(f"{cell['accelerator']} {cell['checkpoint']} {cell['strategy']}: {why}")
            continue
        for each in used:
            reason = {"since": each.since, "why": each.why, "source": each.source}
            if reasons.setdefault(each.old, reason) != reason:
                raise UsageError(
                    f"{each.old} was rewritten for two reasons.",
                    remedy="Name them apart in tools/refresh/spellings.json.",
                )
        cells.append(cell)
    source = facts.get("source") or facts["source_repo"]
    # A source may tell in brackets how it was found; plans quote the place only.
    place, _, note = source.partition(" (")
    head = {"source": place, "source_note": note.rstrip(")"), **{name: facts.get(name) for name in _HEAD}}
    head = {name: value for name, value in head.items() if value}
    if left_out:
        head["left_out"] = list(dict.fromkeys(left_out))
    return {**head, "rewritten": reasons, "cells": cells}


def _refused(cell: dict[str, Any], engine: str) -> str | None:
    """Return why a row is no cell: its status, or a flag that no release of the engine takes; note a container's."""
    if cell["status"] not in tables()["statuses"].values():
        return f"the vendor calls it {cell['status']}"
    flags = Flags.of(cell["flags"])
    problems = {name: found for name in flags if (found := rejected(engine, flags.only({name})))}
    if problems and "image" not in cell:
        return " ".join(text for found in problems.values() for text in found)
    if problems:
        cell["image_flags"] = list(problems)
    return None


def _cell(row: dict[str, Any], spellings: list[Spelling]) -> tuple[dict[str, Any], list[Spelling]]:
    """Return one cell of a recipes file, and the spellings that changed a flag of it."""
    flags, used = respell(row["argv"], spellings)
    word = row["status"]
    status = tables()["statuses"].get(word.partition(",")[0], word)
    image = row.get("image")
    site = sorted(name for name, value in row["env"].items() if value.startswith("$"))
    cell = {
        "accelerator": accelerator_of(row["accelerator"]),
        "model": row.get("model") or model_of(row["checkpoint"]),
        "variant": row.get("variant"),
        "precision": row["precision"],
        "strategy": row["strategy"],
        "nodes": row["nodes"],
        "gpus_per_node": row["gpus_per_node"],
        "checkpoint": row["checkpoint"],
        "status": status,
        "vendor_status": row.get("vendor_status") or (None if word == status else word),
        "image": None if image is None or _is_release(image) else image,
        "host_memory_gib": row.get("host_memory_gib"),
        "note": row.get("note"),
        "run": {name: value for name, value in (row.get("run") or {}).items() if value is not None},
        "source": row.get("source"),
        "site_env": site,
        "env": {name: value for name, value in row["env"].items() if name not in site},
    }
    kept = {name: value for name, value in cell.items() if name in {"env", "precision"} or value not in (None, [], {})}
    values: dict[str, Any] = {}
    for name, value in flags.pairs:
        values[name] = value if name not in values else [*_listed(values[name]), value]
    kept["flags"] = values
    if used:
        kept["rewritten"] = {each.old: each.new and each.new.partition("=")[0] for each in used}
    return kept, used


def _is_release(image: str) -> bool:
    """Return True if a container holds a release of the engine, so that a recipe does not need it."""
    return any(fnmatch.fnmatch(image, pattern) for pattern in tables()["releases"])


def merged_documents(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one document of several: a later one replaces the models it names, and its other fields.

    Raises:
        UsageError: If there are several, and one has no models.

    """
    facts = documents[0]
    for later in documents[1:]:
        if "models" not in facts or "models" not in later:
            raise UsageError(
                f"{len(documents)} of the files hold recipes of one vendor, and only those with `models` can be merged.",
                remedy="Give one of them; nothing was written.",
            )
        facts = facts | later | {"models": facts["models"] | later["models"]}
    return facts


def recipe_problems(document: dict[str, Any], catalogue: Catalogue) -> list[str]:
    """Return what is wrong with the document of a recipes file, one sentence each; empty if nothing is."""
    try:
        recipes = read_recipes(document, catalogue.path.name)
        list(cells_of(recipes, catalogue))
    except UsageError as error:
        return [error.what]
    return list(unknown_names(recipes))


def to_text(document: dict[str, Any]) -> str:
    """Return a recipes file as text: one cell a line, and one entry of every other table."""
    return "{\n" + ",\n".join(f"  {_text(name)}: {_block(value)}" for name, value in document.items()) + "\n}\n"


def _block(value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {_text(row)}" for row in value) + "\n  ]"
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"    {_text(name)}: {_text(row)}" for name, row in value.items()) + "\n  }"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def old_spellings(catalogue: Catalogue) -> list[str]:
    """Return a sentence for each flag of a recipes file that the current engine spells differently."""
    found = []
    for cell in json.loads(catalogue.path.read_text(encoding="utf-8"))["cells"]:
        _, used = respell(list(Flags.of(cell["flags"]).to_argv()), read_spellings(catalogue.engine))
        found += [
            f"{catalogue.path.name}: {cell['accelerator']} {cell['checkpoint']}: {row.old} is old" for row in used
        ]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
