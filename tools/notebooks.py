"""Bring notebooks into the form they are committed in, so that a diff shows what a person changed.

  python tools/notebooks.py              rewrite notebooks/*.ipynb if needed
  python tools/notebooks.py --check      change nothing; exit 1 and name those not in form
  python tools/notebooks.py --execute    run them first, to renew the outputs that are kept

Outputs are dropped, except those of cells tagged ``keep_output``: these depend only on parameters,
a reader on a code host sees them, and nbval compares them (it compares a cell only if
the cell has an execution count, so kept cells have count 1 and all others none). Metadata of one
person's editor is dropped; cell ids stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from seatrial.writing import write_text

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
KEEP = "keep_output"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python"}


def formed(notebook: dict[str, Any]) -> str:
    """Return the text of a notebook in committed form."""
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    if "seatrial" in notebook["metadata"]:
        metadata["seatrial"] = notebook["metadata"]["seatrial"]
    document = {
        "cells": [_cell(cell) for cell in notebook["cells"]],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    tags = sorted(cell["metadata"].get("tags", ()))
    kept = {
        "cell_type": cell["cell_type"],
        "id": cell["id"],
        "metadata": {"tags": tags} if tags else {},
        "source": _lines(cell["source"]),
    }
    if cell["cell_type"] == "code":
        keeps = KEEP in tags
        outputs = [_output(output) for output in cell["outputs"]] if keeps else []
        kept |= {"execution_count": 1 if keeps and outputs else None, "outputs": outputs}
    return kept


def _output(output: dict[str, Any]) -> dict[str, Any]:
    cleaned = dict(output)
    if "data" in output:
        cleaned["metadata"] = {}
        cleaned["data"] = {
            kind: _lines(value) if isinstance(value, str | list) else value for kind, value in output["data"].items()
        }
    if "text" in output:
        cleaned["text"] = _lines(output["text"])
    if output["output_type"] == "execute_result":
        cleaned["execution_count"] = 1
    return cleaned


def _lines(text: str | list[str]) -> list[str]:
    """Return text as in a notebook file: a list of lines, without blank ends."""
    joined = text if isinstance(text, str) else "".join(text)
    return joined.rstrip().splitlines(keepends=True)


def execute(path: Path) -> dict[str, Any]:
    """Run a notebook with its default parameters and return it with its outputs."""
    from seatrial.batch import run_notebooks

    with tempfile.TemporaryDirectory() as folder:
        run = run_notebooks([path], output=folder)
        if run.failure:
            sys.exit(f"{path.name} failed: {run.failure.error}")
        executed: dict[str, Any] = json.loads((Path(folder) / path.name).read_text(encoding="utf-8"))
        return executed


def main() -> int:
    """Form, check or execute the notebooks; return 1 if a check found one out of form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all in notebooks/)")
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if something would change")
    parser.add_argument("--execute", action="store_true", help="run them and renew the kept outputs")
    arguments = parser.parse_args()
    out_of_form = 0
    for path in arguments.paths or sorted(NOTEBOOKS.glob("*.ipynb")):
        before = path.read_text(encoding="utf-8")
        notebook = execute(path) if arguments.execute and not path.name.startswith("_") else json.loads(before)
        after = formed(notebook)
        if after == before:
            continue
        out_of_form += 1
        if arguments.check:
            print(f"{path}: not in committed form; run python tools/notebooks.py")
        else:
            write_text(path, after)
            print(f"{path}: rewritten")
    return 1 if arguments.check and out_of_form else 0


if __name__ == "__main__":
    sys.exit(main())
