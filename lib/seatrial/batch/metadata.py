"""Mends the metadata of a notebook that other programs left odd: a run needs only the cells and their tags."""

from __future__ import annotations

from typing import Any

_FIRST_WITH_IDS = (4, 5)


def mended(document: Any) -> Any:
    """Return a notebook's JSON without the metadata that no notebook program would read.

    That is metadata of another type than the notebook format has, and papermill's own of an earlier run.
    """
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        return document  # of an older format, or no notebook
    metadata = _plain(document.get("metadata"))
    for name, needed in (("kernelspec", {"name", "display_name"}), ("language_info", {"name"})):
        described = metadata.get(name)
        if not (isinstance(described, dict) and all(isinstance(described.get(field), str) for field in needed)):
            metadata.pop(name, None)
    for name, kind in (("title", str), ("authors", list)):
        if not isinstance(metadata.get(name, kind()), kind):
            del metadata[name]
    version = (document.get("nbformat"), document.get("nbformat_minor"))
    with_ids = all(isinstance(part, int) for part in version) and version >= _FIRST_WITH_IDS
    cells = [_cell(cell, number if with_ids else None) for number, cell in enumerate(document["cells"])]
    return {**document, "metadata": metadata, "cells": cells}


def _cell(cell: Any, number: int | None) -> Any:
    if not isinstance(cell, dict):
        return cell
    metadata = _plain(cell.get("metadata"))
    tags = metadata.pop("tags", [])
    tags = [tags] if isinstance(tags, str) else tags if isinstance(tags, list) else []
    tags = list(dict.fromkeys(tag for tag in tags if isinstance(tag, str) and tag and "," not in tag))
    cell = {**cell, "metadata": {**metadata, **({"tags": tags} if tags else {})}}
    if cell.get("cell_type") == "code":
        cell = {"execution_count": None, **cell, "outputs": []}  # those of another run, which are not needed
    if number is not None and not isinstance(cell.get("id"), str):
        cell["id"] = f"cell-{number}"
    return cell


def _plain(metadata: Any) -> dict[str, Any]:
    return (
        {name: value for name, value in metadata.items() if name != "papermill"} if isinstance(metadata, dict) else {}
    )
