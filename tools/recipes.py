"""Writes a recipes file from a vendor's facts: flags as the engine spells them now, and which were rewritten.

python tools/recipes.py FACTS... DATA           write DATA, one of lib/seatrial/plan/vendor/*_recipes.json
python tools/recipes.py FACTS... DATA --check   exit 1 if DATA differs from what FACTS give
python tools/recipes.py --check                 exit 1 if a recipes file still holds a spelling of tools/spellings.json

FACTS is a document of one of these forms, told apart by what it holds: ``cells`` with the names of SGLang's cookbook,
``models`` with ``commands`` and ``guide_commands`` (vLLM's recipes), or ``commands`` with ``hw`` (NVIDIA's local
recipes). Of several documents a later one replaces the models it names. tools/spellings.json says how flags, names and
statuses are spelled, and which rows are left out.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.catalog.listing import models
from seatrial.engines.snapshot import NEVER_STARTED, rejected
from seatrial.errors import UsageError
from seatrial.flags import Flags
from seatrial.hardware.accelerators import accelerators
from seatrial.plan.vendor.recipes import cells_of
from seatrial.plan.vendor.recipes_file import (
    FOLDER,
    Catalogue,
    catalogues,
    read_recipes,
    unknown_checkpoints,
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
    """One row of tools/spellings.json: a flag that is spelled differently now."""

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


@dataclass(frozen=True)
class Correction:
    """One row of tools/spellings.json: rows of a vendor's that its own text contradicts."""

    when: dict[str, list[Any]]  # values of a row's fields
    why: str
    source: str
    change: dict[str, Any] = field(default_factory=dict)  # what such a row becomes; empty if it is left out


@cache
def _tables() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))
    return document


def read_spellings(engine: str) -> list[Spelling]:
    """Load the rows of an engine, in the order they are tried."""
    return [Spelling(**row) for row in _tables()["spellings"] if row["engine"] == engine]


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


def rows_of(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the vendor's rows by the names of a recipes file, with the flags in ``argv``.

    Raises:
        SystemExit: The document has none of the known forms.

    """
    if isinstance(facts.get("models"), dict):
        for name, model in facts["models"].items():
            yield from _of_vllm(name, model)
    elif isinstance(facts.get("commands"), list):
        yield from map(_of_nvidia, facts["commands"])
    elif isinstance(facts.get("cells"), list):
        yield from (_of_cookbook(row) if "hw" in row else row for row in facts["cells"])
    else:
        sys.exit("These facts hold neither `cells` nor `models` nor `commands`: they are no recipes of a known form.")


def _of_cookbook(row: dict[str, Any]) -> dict[str, Any]:
    """Return a cell of SGLang's cookbook."""
    cell = {name: row[name] for name in ("strategy", "nodes", "gpus_per_node", "env", "argv", "status")}
    variant = row["variant"]
    return cell | {
        "accelerator": row["hw"],
        "checkpoint": row["model_id"],
        "precision": row["quant"],
        "variant": None if variant == model_of(row["model_id"]) else variant,
        "image": row["docker_image"],
        "note": row.get("note"),
    }


def _of_vllm(name: str, model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the commands of a model of vLLM's recipes; those its guide writes by hand replace the generated ones."""
    images = model["model"].get("docker_image") or {}
    guides = [
        {
            "strategy": _strategy("--speculative-config" in row["argv"], default="lane" not in row),
            "nodes": 1,
            "gpus_per_node": row["gpus"],
            "status": row.get("hw_status") or model["hardware_status"][row["hw"]],
            "image": images.get(_vendor_of(row["hw"])),
            "precision": _variant_of(model, row["model_id"]),
            "written": "guide",
            **_shared(row, model),
        }
        for row in model["guide_commands"]
    ]
    by_hand = {(row["accelerator"], row["checkpoint"]) for row in guides if not _correction(row)}
    for row in model["commands"]:
        speculative = "--speculative-config" in row["argv"]
        cell = {
            "strategy": _strategy(speculative, default=row["features"] == "default"),
            "nodes": row["node_count"],
            "gpus_per_node": row["gpus_per_node"],
            "status": row["hw_status"],
            "image": row["docker_image"],
            "precision": row["variant"],
            "written": "generated",
            **_shared(row, model),
        }
        if (cell["accelerator"], cell["checkpoint"]) not in by_hand:
            yield cell
    yield from guides


def _shared(row: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Return what generated commands and those of the guide have alike."""
    checkpoint = row["argv"][row["argv"].index("serve") + 1]
    return {
        "accelerator": row["hw"],
        "checkpoint": checkpoint,
        "env": row["env"],
        "argv": row["argv"],
        "note": row.get("note"),
        "source": model["source"],
    }


def _of_nvidia(row: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe of NVIDIA's for local machines."""
    named = [name.partition(" ")[0] for name in row.get("node_env", [])]
    fixed = dict(name.split("=", 1) for name in named if "=" in name)
    return {
        "accelerator": row["hw"],
        "checkpoint": row["model_id"],
        "precision": "",
        "strategy": "balanced",
        "nodes": row["nodes"],
        "gpus_per_node": row["gpus_total"] // row["nodes"],
        "status": row["status"],
        "image": row["docker_image"],
        "env": row["env"] | fixed | {name: "$OWN" for name in named if "=" not in name},
        "argv": row["argv"],
        "note": row.get("notes"),
        "source": row["source"],
        "run": {
            "engine_version": row.get("engine_version"),
            "driver": row.get("driver"),
            "date": row.get("validated_at"),
            "concurrency": row.get("concurrency"),
        },
    }


def _strategy(speculative: bool, *, default: bool) -> str:
    # The recipe's own default serves both ends; the other form is the one with, or without, a draft.
    if default:
        return "balanced"
    return "low-latency" if speculative else "high-throughput"


def _variant_of(model: dict[str, Any], checkpoint: str) -> str:
    own = model["model"]["model_id"]
    rows = model["variants"].items()
    return next((name for name, row in rows if row.get("model_id", own) == checkpoint), "default")


def model_of(checkpoint: str) -> str | None:
    """Return the id of the model whose name a checkpoint has, the longest if several are in it."""
    found = [row for row in models() if row.name in checkpoint]
    return max(found, key=lambda row: len(row.name)).id if found else None


def accelerator_of(name: str) -> str:
    """Return the key of a vendor's name for a GPU: ``rtx6000``, ``dgx_spark_gb10``, ``rtxpro6000x2``."""
    key = _tables()["accelerators"].get(name, name)
    return key if key in accelerators() else re.sub(r"x\d+$", "", key)


def _vendor_of(name: str) -> str | None:
    row = accelerators().get(accelerator_of(name))
    return row.vendor if row else None


def _correction(row: dict[str, Any]) -> Correction | None:
    rows = (Correction(**each) for each in _tables()["corrections"])
    return next((each for each in rows if all(row.get(name) in wanted for name, wanted in each.when.items())), None)


def convert(facts: dict[str, Any], engine: str) -> dict[str, Any]:
    """Return the document of a recipes file.

    Args:
        facts: The vendor's, in one of the known forms.
        engine: Engine of all its rows.

    Raises:
        SystemExit: One old spelling was rewritten for two reasons, so that the file could name neither; or the facts
            have none of the known forms.

    """
    spellings = read_spellings(engine)
    reasons: dict[str, dict[str, str | None]] = {}
    cells, left_out = [], []
    for row in rows_of(facts):
        correction = _correction(row)
        why = correction.why if correction and not correction.change else None
        cell, used = _cell(row | (correction.change if correction else {}), spellings)
        why = why or _refused(cell, engine)
        if why is not None:
            left_out.append(f"{cell['accelerator']} {cell['checkpoint']} {cell['strategy']}: {why}")
            continue
        for each in used:
            reason = {"since": each.since, "why": each.why, "source": each.source}
            if reasons.setdefault(each.old, reason) != reason:
                sys.exit(f"{each.old} was rewritten for two reasons; name them apart.")
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
    if cell["status"] not in _tables()["statuses"].values():
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
    status = _tables()["statuses"].get(word.partition(",")[0], word)
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
        "vendor_status": None if word == status else word,
        "image": None if image is None or _is_release(image) else image,
        "note": row.get("note"),
        "run": {name: value for name, value in (row.get("run") or {}).items() if value is not None},
        "source": row.get("source"),
        "site_env": site,
        "env": {name: value for name, value in row["env"].items() if name not in site},
    }
    kept = {name: value for name, value in cell.items() if name == "env" or value or name == "precision"}
    values: dict[str, Any] = {}
    for name, value in flags.pairs:
        values[name] = value if name not in values else [*_listed(values[name]), value]
    kept["flags"] = values
    if used:
        kept["rewritten"] = {each.old: each.new and each.new.partition("=")[0] for each in used}
    return kept, used


def _is_release(image: str) -> bool:
    """Return True if a container holds a release of the engine, so that a recipe does not need it."""
    return any(fnmatch.fnmatch(image, pattern) for pattern in _tables()["releases"])


def joined(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one document of several: a later one replaces the models it names, and its other fields."""
    facts = documents[0]
    for later in documents[1:]:
        facts = facts | later | {"models": facts["models"] | later["models"]}
    return facts


def problems_of(document: dict[str, Any], catalogue: Catalogue) -> list[str]:
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


def catalogue_of(path: Path) -> Catalogue:
    """Return the catalogue that a recipes file belongs to.

    Raises:
        SystemExit: There is none of that name.

    """
    found = next((row for row in catalogues() if row.path.name == path.name), None)
    if found is None:
        sys.exit(f"{path.name} is no catalogue's file: name it in {FOLDER / 'catalogues.json'} first.")
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FACTS... DATA")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if len(arguments.files) < 2:
        if not arguments.check or arguments.files:
            parser.error("name FACTS and DATA, or give --check")
        problems = [line for row in catalogues() for line in old_spellings(row)]
    else:
        *facts, data = arguments.files
        catalogue = catalogue_of(data)
        document = convert(joined([json.loads(path.read_text(encoding="utf-8")) for path in facts]), catalogue.engine)
        text, problems = to_text(document), problems_of(document, catalogue)
        for line in [] if problems else unknown_checkpoints(read_recipes(document, data.name)):
            print(f"{line} They are planned once the catalog has it.", file=sys.stderr)
        if not arguments.check and not problems:
            data.write_text(text, encoding="utf-8")
        elif not problems and data.read_text(encoding="utf-8") != text:
            problems = [f"{data} differs"]
    print("\n".join(problems), end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
