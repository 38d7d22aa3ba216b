"""Reads vendors' facts about recipes, whatever their form, as rows with the names of a recipes file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.catalog.listing import models
from seatrial.errors import UsageError
from seatrial.hardware.accelerators import accelerators


@dataclass(frozen=True)
class Correction:
    """One row of tools/refresh/spellings.json: rows of a vendor's that its own text contradicts."""

    when: dict[str, list[Any]]  # values of a row's fields
    why: str
    source: str
    change: dict[str, Any] = field(default_factory=dict)  # what such a row becomes; empty if it is left out


@cache
def tables() -> dict[str, Any]:
    """Load tools/refresh/spellings.json."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))
    return document


def rows_of(facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the vendor's rows by the names of a recipes file, with the flags in ``argv``.

    Raises:
        UsageError: If the document has none of the known forms, or a row lacks a field.

    """
    if isinstance(facts.get("models"), dict):
        for rows in _each(facts["models"].values(), lambda model: list(_of_vllm(model))):
            yield from rows
    elif isinstance(facts.get("commands"), list):
        yield from _each(facts["commands"], _of_nvidia)
    elif isinstance(facts.get("cells"), list):
        yield from _each(facts["cells"], lambda row: _of_cookbook(row) if "hw" in row else row)
    else:
        what = "These facts hold neither `cells` nor `models` nor `commands`: they are no recipes of a known form."
        raise UsageError(what, remedy="Bring them into one of the forms that tools/refresh/recipes.py names.")


def _each(rows: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], Any]) -> Iterator[Any]:
    """Yield what is read of each row.

    Raises:
        UsageError: If a row lacks a field, or has one of another type.

    """
    for number, row in enumerate(rows):
        try:
            yield read(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise missing_field(number, error) from error


def missing_field(number: int, error: Exception) -> UsageError:
    """Return the error for a row of facts that could not be read."""
    why = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be read ({error})"
    return UsageError(f"Row {number} of the facts {why}.", remedy="Correct that row in the facts.")


def _of_cookbook(row: dict[str, Any]) -> dict[str, Any]:
    """Return a cell of SGLang's cookbook."""
    cell = {name: row[name] for name in ("strategy", "nodes", "gpus_per_node", "env", "argv", "status")}
    variant = row["variant"]
    if row.get("verified", row["status"] == "verified") != (row["status"] == "verified"):
        raise ValueError(f"verified is {json.dumps(row['verified'])}, and the status is {row['status']}")
    return cell | {
        "accelerator": row["hw"],
        "checkpoint": row["model_id"],
        "precision": row["quant"],
        "variant": None if variant == model_of(row["model_id"]) else variant,
        "image": row["docker_image"],
        "note": row.get("note"),
    }


def _of_vllm(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
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
    by_hand = {(row["accelerator"], row["checkpoint"]) for row in guides if not correction_of(row)}
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
    key = tables()["accelerators"].get(name, name)
    return key if key in accelerators() else re.sub(r"x\d+$", "", key)


def _vendor_of(name: str) -> str | None:
    row = accelerators().get(accelerator_of(name))
    return row.vendor if row else None


def correction_of(row: dict[str, Any]) -> Correction | None:
    """Return the correction of a vendor's row, None if it stands as it is."""
    rows = (Correction(**each) for each in tables()["corrections"])
    return next((each for each in rows if all(row.get(name) in wanted for name, wanted in each.when.items())), None)
