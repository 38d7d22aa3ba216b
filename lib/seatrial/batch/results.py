"""Reads what an executed notebook recorded, and tells a complete one from a damaged one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seatrial.batch.outputs import is_record
from seatrial.batch.sources import Source, cells_of
from seatrial.errors import UsageError
from seatrial.records import RECORD_MIME, read_json

_INJECTED = "injected-parameters"
"""Tag of the cell that papermill adds."""


def read_results(path: Path) -> dict[str, Any]:
    """Return the values that a notebook recorded which was executed just now; of equal names the last.

    Raises:
        UsageError: If the file cannot be read.

    """
    return _results(read_json(path))


def kept_results(path: Path, source: Source) -> dict[str, Any] | None:
    """Return the values that an earlier run of ``source`` recorded; None if the file is not what a whole run leaves."""
    try:
        document = read_json(path)
        cells = [cell for cell in document["cells"] if _INJECTED not in cell["metadata"].get("tags", ())]
        ran = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        whole = all(isinstance(cell["execution_count"], int) for cell in ran) and cells_of(cells) == source.cells
        return _results(document) if whole else None
    except (UsageError, KeyError, TypeError, AttributeError):
        return None


def _results(document: Any) -> dict[str, Any]:
    outputs = [output for cell in document["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]
    bundles = [output["data"][RECORD_MIME] for output in outputs if RECORD_MIME in output.get("data", {})]
    return {bundle["name"]: bundle["value"] for bundle in bundles if is_record(bundle)}
