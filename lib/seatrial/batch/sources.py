"""Reads the notebooks of a run, and refuses a wrong one before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.batch.parameters import Parameter, read_parameters
from seatrial.environment import is_text
from seatrial.errors import UnknownNameError, UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.printable import LINE, shortened


@dataclass(frozen=True, slots=True)
class Source:
    """A notebook as it was read before anything ran."""

    path: Path
    title: str
    parameters: dict[str, Parameter]
    code_cells: int
    sha256: str
    alone: bool  # must not run beside another


def read_sources(paths: Sequence[Path | str]) -> list[Source]:
    """Read every notebook of a run.

    Raises:
        UsageError: If there is none, two have one file name, or one is missing or no Python notebook.

    """
    sources = [_read_notebook(Path(path)) for path in paths]
    names = [source.path.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        what = f"The notebook {twice[0]} is named twice." if twice else "No notebook was named."
        raise UsageError(what, remedy="Name each notebook once; use --grid to run it with several values.")
    return sources


def _read_notebook(path: Path) -> Source:
    if not is_text(str(path)):  # neither a record nor the executed notebook could name it
        raise UsageError(f"{str(path)!a} is not UTF-8 text.", remedy="Rename the notebook.")
    notebook = _opened(path)
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise UsageError(f"{path} is a notebook for {language}.", remedy="Only Python notebooks can be run.")
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    cells = json.dumps([[cell.cell_type, cell.source] for cell in notebook.cells])
    return Source(
        path=path,
        title=_title(notebook) or path.stem,
        parameters=read_parameters(notebook),
        code_cells=len(code),
        sha256=hashlib.sha256(cells.encode()).hexdigest(),
        alone=bool(notebook.metadata.get("seatrial", {}).get("alone", False)),
    )


def _opened(path: Path) -> Any:
    if path.suffix != ".ipynb":
        raise UsageError(
            f"{path} is not a notebook (.ipynb).", remedy="Name notebook files, such as notebooks/*.ipynb."
        )
    if not path.exists():
        raise _missing(path)
    import nbformat

    invalid = (OSError, ValueError, TypeError, AttributeError, nbformat.ValidationError)  # nbformat raises all of these
    try:
        text = path.read_text(encoding="utf-8")
        parse_json(text)  # nbformat's own reader takes more, and overflows its stack
        notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
    except invalid as error:
        reason = shortened((str(error) or type(error).__name__).splitlines()[0], 4 * LINE)
        reason = f"it {reason}" if isinstance(error, JsonError) else reason
        raise UsageError(
            f"{path} cannot be read as a notebook: {reason}", remedy="Save it again in JupyterLab."
        ) from error
    return notebook


def _missing(path: Path) -> UsageError:
    """Return the error for a missing notebook: with the nearest names beside it, or with the series."""
    beside = sorted(map(str, path.parent.glob("*.ipynb")))
    if beside:
        return UnknownNameError("notebook", str(path), beside)
    series = sorted(map(str, Path("notebooks").glob("[0-9]*.ipynb")))
    offered = f"There are {', '.join(series)}." if series else "Name one that exists, such as notebooks/*.ipynb."
    folder = path.absolute().parent
    empty = "has no notebooks" if folder.is_dir() else "is no folder"
    return UsageError(f"There is no notebook {path}: {folder} {empty}.", remedy=offered)


def groups_of(todo: Sequence[int], sources: Sequence[Source]) -> Iterator[list[int]]:
    """Yield notebooks that may run at the same time, in order; one that must run alone is a group of its own."""
    group: list[int] = []
    for index in todo:
        if sources[index].alone:
            if group:
                yield group
            yield [index]
            group = []
        else:
            group.append(index)
    if group:
        yield group


def _title(notebook: Any) -> str:
    for cell in notebook.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return str(line[2:].strip())
    return ""
