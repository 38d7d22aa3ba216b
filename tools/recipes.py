"""Writes a recipes file from a vendor's facts: flags as the engine spells them now, and which were rewritten.

python tools/recipes.py FACTS DATA           write DATA, one of lib/seatrial/plan/vendor/*_recipes.json
python tools/recipes.py FACTS DATA --check   exit 1 if DATA differs from what FACTS gives
python tools/recipes.py --check              exit 1 if a recipes file still holds a spelling of tools/spellings.json

FACTS is a document like DATA whose cells hold the vendor's own words in ``argv``. Cells may also have the names of
SGLang's cookbook (``hw``, ``variant``, ``quant``, ``model_id``, ``docker_image``); only its verified ones become data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.engines.snapshot import NEVER_STARTED
from seatrial.flags import Flags

ROOT = Path(__file__).resolve().parents[1]
_COOKBOOK = {"hw": "accelerator", "variant": "model", "quant": "precision", "model_id": "checkpoint"}
_ACCELERATORS = {"rtx6000": "rtxpro6000", "dgx-spark": "gb10"}
_HEAD = ("source", "licence", "upstream_licence", "checked", "notes", "site_env")
_RELEASE = "lmsysorg/sglang:latest"
"""Container that holds a release of SGLang, so that a recipe does not need it."""
VENDOR = ROOT / "lib" / "seatrial" / "plan" / "vendor"


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


def read_spellings(engine: str) -> list[Spelling]:
    """Load the rows of an engine, in the order they are tried."""
    rows = json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))["spellings"]
    return [Spelling(**row) for row in rows if row["engine"] == engine]


def respell(words: list[str], spellings: list[Spelling]) -> tuple[Flags, list[Spelling]]:
    """Spell a vendor's flags as the current engine does.

    Returns:
        The flags without those the kit refuses, and every row that changed one.

    """
    given = Flags.from_words(words).without(NEVER_STARTED)
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


def cells_of(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the cells by the names of a recipes file, of SGLang's cookbook only the verified ones."""
    for row in facts["cells"]:
        if "hw" not in row:
            yield row
        elif row["status"] == "verified":
            cell = {ours: row[theirs] for theirs, ours in _COOKBOOK.items()}
            cell |= {name: row[name] for name in ("strategy", "nodes", "gpus_per_node", "env", "argv")}
            cell["accelerator"] = _ACCELERATORS.get(row["hw"], row["hw"])
            cell["model"] = row["variant"].partition("-")[0]
            if row["docker_image"] not in {None, _RELEASE}:
                cell["image"] = row["docker_image"]
            yield cell


def convert(facts: dict[str, Any], engine: str) -> dict[str, Any]:
    """Return the document of a recipes file.

    Raises:
        SystemExit: One old spelling was rewritten for two reasons, so that the file could name neither.

    """
    spellings = read_spellings(engine)
    reasons: dict[str, dict[str, str | None]] = {}
    cells = []
    for row in cells_of(facts):
        flags, used = respell(row["argv"], spellings)
        for each in used:
            reason = {"since": each.since, "why": each.why, "source": each.source}
            if reasons.setdefault(each.old, reason) != reason:
                sys.exit(f"{each.old} was rewritten for two reasons; name them apart.")
        cell = {name: value for name, value in row.items() if name != "argv"}
        values: dict[str, Any] = {}
        for name, value in flags.pairs:
            values[name] = value if name not in values else [*_listed(values[name]), value]
        cell["flags"] = values
        if used:
            cell["rewritten"] = {each.old: each.new and each.new.partition("=")[0] for each in used}
        cells.append(cell)
    return {**{name: facts[name] for name in _HEAD if name in facts}, "rewritten": reasons, "cells": cells}


def to_text(document: dict[str, Any]) -> str:
    """Return a recipes file as text: one cell a line, and one entry of every other table."""
    return "{\n" + ",\n".join(f"  {_text(name)}: {_block(value)}" for name, value in document.items()) + "\n}\n"


def _block(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {_text(row)}" for row in value) + "\n  ]"
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"    {_text(name)}: {_text(row)}" for name, row in value.items()) + "\n  }"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def old_spellings(path: Path) -> list[str]:
    """Return a sentence for each flag of a recipes file that the current engine spells differently."""
    engine = path.name.partition("_")[0]
    found = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        words = Flags.of(cell["flags"]).to_argv()
        _, used = respell(list(words), read_spellings(engine))
        found += [f"{path.name}: {cell['accelerator']} {cell['checkpoint']}: {row.old} is old" for row in used]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facts", nargs="?", type=Path)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.data is None:
        if not arguments.check:
            parser.error("name FACTS and DATA, or give --check")
        problems = [line for path in sorted(VENDOR.glob("*_recipes.json")) for line in old_spellings(path)]
    else:
        facts = json.loads(arguments.facts.read_text(encoding="utf-8"))
        text = to_text(convert(facts, arguments.data.name.partition("_")[0]))
        if not arguments.check:
            arguments.data.write_text(text, encoding="utf-8")
        problems = [] if arguments.data.read_text(encoding="utf-8") == text else [f"{arguments.data} differs"]
    print("\n".join(problems), end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
