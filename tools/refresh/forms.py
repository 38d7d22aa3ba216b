"""Takes facts about accelerators, real outcomes, flags and repositories."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from packaging.version import Version

from refresh.catalogues import RECIPES
from refresh.convert import Document, Form, Made, day_of, file_of, with_rows
from refresh.kinds import DataFile
from refresh.speeds import PublishedSpeed, speeds_of
from seatrial.plan.types import Verdict

_TRAY = 4
"""GPUs of a machine that is one tray of a rack, as the accelerators' file counts them."""


class Peaks(msgspec.Struct):
    """Peak rates of an accelerator."""

    bf16: float | None
    fp8: float | None
    fp4: float | None


class AcceleratorFacts(msgspec.Struct):
    """A row of facts about accelerators."""

    id: str
    name: str
    vendor: Literal["nvidia", "amd", "apple", "intel"]
    memory_gb: float | None
    reported_mib: int | None
    bandwidth_gb_s: float | None
    dense_tflops: Peaks
    compute_capability: str | None
    gfx: str | None
    gpus_per_node_typical: int
    unified_memory: bool
    formats_not_native: list[str]
    driver_names_seen: list[str]
    sources: dict[str, list[str]]
    conflicts: list[str]
    notes: list[str]
    memory_options_gb: list[int] | None = None
    pci_device_ids: list[str] = []
    checked: str | None = None


_FIGURES = ("name", "vendor", "memory_gb", "reported_mib", "memory_options_gb", "bandwidth_gb_s", "dense_tflops",
            "architecture", "unified_memory", "formats_not_native")  # fmt: skip
_RENAMED = {"compute_capability": "architecture", "gfx": "architecture", "driver_names_seen": "driver_names"}


def accelerators_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the accelerators' file: new rows, and the figures that changed. Null is unknown, and erases nothing."""
    file = file_of(files, "hardware/accelerators")
    installed = {row["key"]: row for row in file.read()["accelerators"]}
    rows, given = dict(installed), set()
    for document in documents:
        for facts in document["accelerators"]:
            given.add(facts["id"])
            new = _accelerator(facts, document.get("source_keys", {}))
            new["checked"] = facts.get("checked") or day_of(document, checked)
            old = installed.get(facts["id"])
            rows[facts["id"]] = _updated(old, new) if old else new
    kept = sorted(set(installed) - given)
    notes = (f"{', '.join(kept)}: not in these facts, kept; take a row out of {file.path} by hand.",) if kept else ()
    yield with_rows(file, "accelerators", list(rows.values()), notes)


def _updated(old: Document, new: Document) -> Document:
    """Return the installed row with the figures that changed and their sources; itself if none did."""
    changed = [name for name in _FIGURES if new[name] is not None and new[name] != old[name]]
    drivers = list(dict.fromkeys([*old["driver_names"], *new["driver_names"]]))
    if not changed and drivers == old["driver_names"]:
        return old
    sources = {name: texts for name, texts in new["source"].items() if name in changed}
    return {
        **old,
        **{name: new[name] for name in (*changed, "conflicts", "notes", "checked")},
        "driver_names": drivers,
        "source": old["source"] | sources,
    }


def _accelerator(facts: Mapping[str, Any], codes: Mapping[str, str]) -> Document:
    unified, typical = facts["unified_memory"], facts["gpus_per_node_typical"]
    of_fields = {_RENAMED.get(name, name): texts for name, texts in facts["sources"].items()}
    return {
        "key": facts["id"],
        **{name: facts.get(name) for name in _FIGURES if name != "architecture"},
        "architecture": facts["compute_capability"] or facts["gfx"],
        # The rule of the file itself: 1 for machines built around one, trays of 4, else 16.
        "gpus_per_node_max": 1 if unified else _TRAY if typical == _TRAY else 16,
        "driver_names": facts["driver_names_seen"],
        "pci_device_ids": facts.get("pci_device_ids", []),
        "conflicts": [_spelled(text, codes) for text in facts["conflicts"]],
        "notes": [_spelled(text, codes) for text in facts["notes"]],
        "source": {name: [_cited(text, codes) for text in texts] for name, texts in of_fields.items()},
    }


def _cited(text: str, codes: Mapping[str, str]) -> str:
    code, sign, rest = re.match(r"(\w+)([ :]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{codes[code]}{': ' if sign else ''}{rest}" if code in codes else text


def _spelled(text: str, codes: Mapping[str, str]) -> str:
    """Replace the short names of sources in a sentence by what they stand for."""
    return re.sub(r"\b[A-Z]\w+\b", lambda found: _short(codes.get(found[0], found[0])), text)


def _short(source: str) -> str:
    return urlsplit(source).netloc or re.split(r",| \(|:", source)[0]


class Case(msgspec.Struct):
    """A real outcome."""

    id: str
    hardware: str
    nodes: int
    host_memory_gib: float | None
    engine: str
    checkpoint: str
    options: dict[str, Any]
    outcome: Verdict
    source: str
    why: str = ""


def evidence_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the file of real outcomes: a case replaces the one with its id, and no case is lost."""
    file = file_of(files, "tests/plan/evidence")
    rows = {row["id"]: row for row in file.read()["cases"]}
    for document in documents:
        day = day_of(document, checked)
        for case in document["cases"]:
            old = {name: value for name, value in rows.get(case["id"], {}).items() if name != "checked"}
            if old != {name: value for name, value in case.items() if name != "checked"}:
                rows[case["id"]] = {"checked": day} | case
    yield with_rows(file, "cases", list(rows.values()))


def flags_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the flags of each engine whose parser was read, those of its newest version."""
    for engine in ("sglang", "vllm"):
        found: list[tuple[Version, Mapping[str, Any], set[str], str]] = []
        for document in documents:
            accepted = {name for name in document["all_option_strings"].get(engine, []) if name.startswith("--")}
            parsers = [row for name, row in document.items() if name.split("_")[0] == engine and "flags" in row]
            day = day_of(document, checked) if accepted and parsers else ""
            found += [(Version(row["version"]), row, accepted, day) for row in parsers if accepted]
        if found:
            _, newest, accepted, day = max(found, key=lambda each: each[0])
            yield _flags(file_of(files, f"engines/flags/{engine}"), newest, accepted, day)


def _flags(file: DataFile, parser: Mapping[str, Any], accepted: set[str], day: str) -> Made:
    from engines import text_of

    old, rows = file.read(), parser["flags"].values()
    named = {name: row for row in rows for name in row["options"] if name.startswith("--")}
    switches = {name for name in old["switches"] if name not in named} | {
        name for name, row in named.items() if row["nargs"] == 0
    }
    choices = {name: row for name, row in old["choices"].items() if name not in named}
    choices |= {name: row["choices"] for name, row in named.items() if row["choices"]}
    new = old | {
        "version": parser["version"],
        "source": old["source"].replace(old["version"], parser["version"]),
        "switches": sorted(switches & accepted),
        "choices": {name: choices[name] for name in sorted(choices) if name in accepted},
        "accepted": sorted(accepted),
    }
    new = old if new == old else new | {"checked": day}
    return Made(file, new, text_of(new))


class Repository(msgspec.Struct):
    """A row of facts about a repository on the hub."""

    repo: str
    source: str
    checked: str | None = None
    revision: str | None = None
    file_bytes: int | None = None
    bytes: dict[str, int] = {}
    GB: float | dict[str, float] | None = None


def checkpoints_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the checkpoints, with new sizes and revisions of the rows they have; a repository without a row is named."""
    file = file_of(files, "catalog/data/checkpoints")
    rows = {row["id"]: row for row in file.read()["rows"]}
    notes = []
    for document, facts in ((each, row) for each in documents for row in each["repos"]):
        sizes = {f"{facts['repo']}:{name}": size for name, size in facts.get("bytes", {}).items()}
        known = [name for name in rows if name.partition(":")[0] == facts["repo"]]
        for name in known:
            new = _published_bytes(rows[name], sizes.get(name), facts)
            if new != rows[name]:
                rows[name] = new | {"checked": facts.get("checked") or day_of(document, checked)}
        if missing := [name for name in sizes if name not in rows] or ([] if known else [facts["repo"]]):
            notes.append(f"{', '.join(missing)}: no row yet. Copy a row of the same format in {file.path}, and change "
                         "id, weights_bytes, source and checked.")  # fmt: skip
    yield with_rows(file, "rows", list(rows.values()), tuple(notes))


def _published_bytes(row: Document, size: int | None, facts: Mapping[str, Any]) -> Document:
    """Return a row with what was published of it. Bytes belong to a revision: a later one without bytes stays beside."""
    later, of_bytes = facts.get("revision"), row.get("revision")
    if size not in {None, row["weights_bytes"]}:
        kept = {name: value for name, value in row.items() if name not in {"revision", "moved_to"}}
        new = {"weights_bytes": size, "origin": "verified", "source": facts["source"]}
        return kept | new | ({"revision": later} if later else {})
    if "file" in facts or later is None or of_bytes is None or _same_commit(later, of_bytes):
        return row
    return row if _same_commit(later, row.get("moved_to", "")) else row | {"moved_to": later}


def _same_commit(one: str, other: str) -> bool:
    return bool(other) and (one.startswith(other) or other.startswith(one))


FORMS = (
    Form("facts about accelerators", frozenset({"accelerators", "source_keys"}), "accelerators", AcceleratorFacts,
         accelerators_of, ("id",)),
    Form("real outcomes", frozenset({"_meta", "cases"}), "cases", Case, evidence_of, ("id",)),
    Form("flags of engines", frozenset({"all_option_strings"}), "all_option_strings", list[str], flags_of, ()),
    Form("published speeds", frozenset({"sglang", "other"}), "sglang.rows", PublishedSpeed, speeds_of,
         ("hw", "variant", "quant", "strategy", "concurrency")),
    Form("facts about repositories", frozenset({"repos"}), "repos", Repository, checkpoints_of, ("repo",)),
)  # fmt: skip


def form_of(document: Mapping[str, Any]) -> Form | None:
    """Return the form in which a document states facts, None if it is a data file's own."""
    return next((form for form in (*FORMS, *RECIPES) if form.fits(document)), None)


_PROSE = (
    ({"variants", "sizes"}, "lib/seatrial/catalog/data/models.json or checkpoints.json"),
    ({"min_versions", "cannot_run"}, "lib/seatrial/catalog/engines/ENGINE.toml or lib/seatrial/plan/vendor/rules.json"),
    ({"_meta", "rows"}, "lib/seatrial/catalog/engines/ENGINE.toml or lib/seatrial/plan/vendor/rules.json"),
)
"""Names by which facts in sentences are known, and the files for these facts."""


def place_of_prose(document: Mapping[str, Any]) -> str | None:
    """Return the files for facts that stand in sentences, None for other documents."""
    return next((where for names, where in _PROSE if names <= document.keys()), None)
