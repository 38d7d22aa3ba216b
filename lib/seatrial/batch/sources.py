"""Reads the notebooks of a run, and refuses a wrong one before anything runs."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.batch.metadata import mended
from seatrial.batch.parameters import Parameter, read_parameters
from seatrial.environment import is_text
from seatrial.errors import UnknownNameError, UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.printable import printable, shortened

Cells = list[tuple[str, str]]

_MOST_BYTES = 256 << 20
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Source:
    """A notebook as it was read before anything ran."""

    path: Path
    title: str
    parameters: dict[str, Parameter]
    code_cells: int
    cells: Cells  # kind and text of each
    sha256: str  # of these
    alone: bool  # must not run beside another
    notebook: Any  # an nbformat node


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


def cells_of(cells: Sequence[Any]) -> Cells:
    """Return kind and text of each cell; a file has the text as lines."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


def _read_notebook(path: Path) -> Source:
    if not is_text(str(path)):  # neither a record nor the executed notebook could name it
        raise UsageError(f"{str(path)!a} is not UTF-8 text.", remedy="Rename the notebook.")
    notebook = _opened(path)
    metadata = notebook.metadata
    language = metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name")
    if language and str(language).casefold() not in {"python", "ipython"}:
        raise UsageError(f"{path} is a notebook for {language}.", remedy="Only Python notebooks can be run.")
    cells = cells_of(notebook.cells)
    own = metadata.get("seatrial")
    return Source(
        path=path,
        title=shortened(printable(_title(notebook) or path.stem)),
        parameters=read_parameters(notebook),
        code_cells=sum(kind == "code" and bool(text.strip()) for kind, text in cells),
        cells=cells,
        sha256=hashlib.sha256(json.dumps(cells).encode()).hexdigest(),
        alone=isinstance(own, dict) and bool(own.get("alone", False)),
        notebook=notebook,
    )


def _opened(path: Path) -> Any:
    if path.suffix != ".ipynb":
        raise UsageError(
            f"{path} is not a notebook (.ipynb).", remedy="Name notebook files, such as notebooks/*.ipynb."
        )
    if not path.exists():
        raise _missing(path)
    import nbformat

    try:
        text = json.dumps(mended(parse_json(_content(path), mend_numbers=True)))
        with warnings.catch_warnings(action="ignore"):  # about ids, which are made here
            notebook = nbformat.convert(nbformat.reader.reads(text), 4)  # type: ignore[no-untyped-call]
            nbformat.validate(notebook)
    except Exception as error:
        # nbformat raises whatever its versions stumble over: KeyError, AttributeError, RecursionError, its own ...
        raise UsageError(
            f"{path} cannot be read as a notebook: {_reason(error)}", remedy="Save it again in JupyterLab."
        ) from error
    return notebook


def _content(path: Path) -> bytes:
    """Return the content of an ordinary file."""
    if not path.is_file():  # a pipe would be waited for
        raise OSError("it is no ordinary file")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(f"it has more than {_MOST_BYTES:,} bytes")
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, JsonError):
        return f"it {error}"
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    place = ".".join(map(str, getattr(error, "absolute_path", ())))
    return shortened(f"{place}: {text}" if place else text, _LONGEST)


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
