"""Lists what an engine lacks, by reading a tree of the project without importing it."""

import ast
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import get_args, get_origin, get_type_hints

import msgspec

from seatrial.catalog.engine_facts import EngineFacts

BUILD_TAKES = {"plan", "model_path", "runner", "host"}
DATA = "lib/seatrial/catalog/engines"
MODULES = "lib/seatrial/engines"
FLAGS = "lib/seatrial/engines/flags"
OPTIONS = "lib/seatrial/engines/options"
RESERVE = "lib/seatrial/memory/data/reserve.json"
DOCS = "docs/engines.md"
NO_ENGINES = {
    "__init__", "extra", "machines", "metrics", "protocol", "requirements", "served", "settings", "snapshot", "types",
}  # fmt: skip
"""Modules of the package that belong to all engines."""
NO_OPTIONS = {"common", "refused"}


def found_anywhere(root):
    """Return every engine id that a module or data file of the tree has as its name."""
    modules = {path.stem for path in (root / MODULES).glob("*.py")} - NO_ENGINES
    data = {path.stem for path in (root / DATA).glob("*.toml")}
    flags = {path.stem for path in (root / FLAGS).glob("*.json")}
    options = {path.stem for path in (root / OPTIONS).glob("*.toml")} - NO_OPTIONS
    return sorted(modules | data | flags | options)


def missing(root, engine):
    """Return what the engine lacks, one line each; empty if it is complete."""
    data = root / DATA / f"{engine}.toml"
    if not data.is_file():
        return [*_module(root, engine), f"{DATA}/{engine}.toml: no data file"]
    table = tomllib.loads(data.read_text())
    # An engine that is part of this kit is installed, and changes, with it.
    own = not table.get("programs") and table.get("versions", {}).get("source") == "this kit"
    lacks = [*_module(root, engine), *_tables(table, own=own), *_planner(root, engine, table, own=own)]
    if not own:
        lacks += _beside(root, engine, table)
    return lacks


def unread(root, engine):
    """Return fields of its data file that nothing reads, one line each: a misspelt one would do nothing, silently."""
    data = root / DATA / f"{engine}.toml"
    return list(_unread(EngineFacts, tomllib.loads(data.read_text()), "the file")) if data.is_file() else []


def _unread(kind, table, place):
    known = get_type_hints(kind)
    for name, value in table.items():
        if name not in known:
            yield f"{place}: nobody reads {name}"
            continue
        row = next((each for each in (known[name], *get_args(known[name])) if _is_table(each)), None)
        if row is None:
            continue
        by_name = get_origin(known[name]) is Mapping
        for each in value.values() if by_name else value if isinstance(value, list) else [value]:
            yield from _unread(row, each, f"[[{name}]]" if isinstance(value, list) else f"[{name}]")


def _is_table(kind):
    return is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def _module(root, engine):
    path = root / MODULES / f"{engine}.py"
    if not path.is_file():
        return [f"{MODULES}/{engine}.py: no module that writes its command"]
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    build = next((node for node in functions if node.name == "build"), None)
    if build is None:
        return [f"{MODULES}/{engine}.py: no function build"]
    takes = {argument.arg for argument in (*build.args.args, *build.args.kwonlyargs)}
    lacks = [f"{MODULES}/{engine}.py: build takes no {name}" for name in sorted(BUILD_TAKES - takes)]
    contract = re.search(
        r'name = "Engines never import one another"(.*?)\]', (root / "pyproject.toml").read_text(), re.DOTALL
    )
    if f'"seatrial.engines.{engine}"' not in contract[1]:
        lacks.append(f"pyproject.toml: seatrial.engines.{engine} is not in the contract that engines are independent")
    return lacks


def _tables(table, *, own):
    lacks = [f"{name}: missing" for name in ("title", "summary") if not table.get(name)]
    for name, wanted in {
        "versions": ("why", "install", "source", "checked"),
        "planning": ("order",),
        "metrics": ("source", "checked"),
    }.items():
        if name not in table:
            lacks.append(f"[{name}]: missing")
        else:
            lacks += [f"[{name}]: no {key}" for key in wanted if key not in table[name]]
    if "metrics" in table and not {"running", "none"} & table["metrics"].keys():
        lacks.append("[metrics]: neither running nor none, which says why there are none")
    if not table.get("requires") and not table.get("unrestricted"):
        lacks.append("[[requires]]: missing, and unrestricted does not say why nothing is required")
    if own:
        return lacks
    lacks += [f"[[{name}]]: missing" for name in ("programs", "phases", "failures") if not table.get(name)]
    for row in table.get("programs", ()):
        found_by = row.get("imports") or row.get("version") or row.get("setting")
        lacks += (
            [] if found_by else [f"[[programs]] {row.get('starts')}: neither imports, version nor setting finds it"]
        )
    if "install" not in table:
        lacks.append("[install]: missing")
    return lacks


def _planner(root, engine, table, *, own):
    planning = table.get("planning", {})
    like = planning.get("like")
    if like:
        lacks = [] if (root / DATA / f"{like}.toml").is_file() else [f"[planning]: like = {like!r} is no engine"]
        if planning.get("automatic"):
            lacks.append("[planning]: an engine planned like another cannot be automatic")
        return lacks
    lacks = [] if planning.get("formats") or own else ["[planning]: neither formats nor like"]
    if engine not in json.loads((root / RESERVE).read_text())["engines"]:
        lacks.append(f"{RESERVE}: no row, and [planning] has no like")
    return lacks


def _beside(root, engine, table):
    lacks = []
    flags = root / FLAGS / f"{engine}.json"
    if not flags.is_file():
        lacks.append(f"{FLAGS}/{engine}.json: no snapshot of its flags")
    else:
        snapshot = json.loads(flags.read_text())
        lacks += [f"{FLAGS}/{engine}.json: no {key}" for key in ("version", "source", "checked") if key not in snapshot]
    if not (root / OPTIONS / f"{engine}.toml").is_file():
        lacks.append(f"{OPTIONS}/{engine}.toml: no list of options that may be added")
    if table.get("title", engine) not in (root / DOCS).read_text():
        lacks.append(f"{DOCS}: does not name it")
    return lacks
