"""Notebooks as other programs leave them: odd metadata is mended, what is no notebook is one clear error."""

import json
import os
import warnings

import pytest

from seatrial.batch import run_notebooks
from seatrial.batch.sources import read_sources
from seatrial.errors import UsageError

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Odd"},
        {
            "cell_type": "code",
            "id": "parameters",
            "metadata": {"tags": ["parameters"]},
            "source": 'hardware: str = "auto"  # which',
            "outputs": [],
            "execution_count": None,
        },
        {"cell_type": "code", "id": "one", "metadata": {}, "source": "1", "outputs": [], "execution_count": None},
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a changed notebook and reads it as a source, without a warning."""

    def write_and_read(change, encoding="utf-8"):
        document = json.loads(json.dumps(NOTEBOOK))
        change(document)
        path = tmp_path / "odd.ipynb"
        path.write_text(json.dumps(document), encoding=encoding)
        with warnings.catch_warnings(action="error"):
            return read_sources([path])[0]

    return write_and_read


def metadata(**values):
    """Return a change of the notebook's metadata."""
    return lambda document: document["metadata"].update(values)


def cell(**values):
    """Return a change of the parameters cell; ``...`` removes a field."""

    def change(document):
        document["cells"][1].update(values)
        document["cells"][1] = {name: value for name, value in document["cells"][1].items() if value is not ...}

    return change


@pytest.mark.parametrize(
    "change",
    [
        metadata(), metadata(kernelspec=None), metadata(kernelspec="python3"), metadata(kernelspec={}), metadata(kernelspec=[1]),
        metadata(kernelspec={"name": 5, "display_name": None}), metadata(language_info="python"), metadata(language_info={}),
        metadata(kernelspec={"name": "x", "display_name": "x", "language": "Python"}), metadata(language_info={"name": "ipython"}),
        metadata(papermill="x"), metadata(papermill=None), metadata(seatrial="alone"), metadata(seatrial=None),
        metadata(widgets=None), metadata(title=5),
        lambda document: document.update(metadata=None), lambda document: document.update(metadata=[]),
        lambda document: document.pop("metadata"),
        cell(id=...), cell(id=5), cell(metadata={"tags": "parameters"}), cell(metadata={"tags": ["parameters", 5, None]}),
        cell(metadata={"tags": ["parameters", "parameters"]}), cell(metadata={"tags": ["parameters"], "papermill": 5}),
        cell(outputs=...), cell(execution_count=...), cell(outputs=[{"output_type": "stream"}]), cell(outputs=None),
        cell(source=['hardware: str = "auto"  # which']),
        lambda document: document["cells"][2].update(id="parameters"),
    ],
    ids=range(31),
)  # fmt: skip
def test_odd_metadata_does_not_keep_a_notebook_from_running(read, change):
    """Cells and tags are all a run needs."""
    source = read(change)
    assert (["hardware"], "Odd", 2, False) == (list(source.parameters), source.title, source.code_cells, source.alone)


@pytest.mark.parametrize("tags", [None, 5, {}, [], [[]], [None], ""])
def test_tags_that_are_none_mark_no_cell(read, tags):
    """The notebook has no parameters then."""
    assert {} == read(cell(metadata={"tags": tags})).parameters
    assert {} == read(cell(metadata=None)).parameters


def test_a_byte_order_mark_is_no_content(read):
    """Editors of Windows begin a file with one."""
    assert "Odd" == read(metadata(), encoding="utf-8-sig").title


def test_an_older_format_is_read(tmp_path):
    """Version 3 has worksheets."""
    sheet = {"cells": [{"cell_type": "code", "input": "1", "language": "python", "outputs": [], "collapsed": False}]}
    document = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [sheet]}
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(document))
    assert 1 == read_sources([path])[0].code_cells


@pytest.mark.parametrize(
    "change",
    [
        metadata(kernelspec={"name": "ir", "display_name": "R", "language": "R"}),
        metadata(language_info={"name": "julia"}),
        metadata(
            kernelspec={"name": "ijava", "display_name": "Java", "language": "java"}, language_info={"name": "python"}
        ),
    ],
)
def test_another_language_is_refused(read, change):
    """Whichever field names it."""
    with pytest.raises(UsageError, match="is a notebook for"):
        read(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("cells"), lambda document: document.update(cells=None),
        lambda document: document.update(cells=[None]), lambda document: document.update(cells=[{}]),
        lambda document: document.update(nbformat=5), lambda document: document.update(nbformat="4"),
        lambda document: document.update(nbformat=None), lambda document: document.pop("nbformat"),
        lambda document: document.update(nbformat_minor="x"),
        cell(source=...), cell(source=None), cell(source=5), cell(source=[5]), cell(source="'\ud800'"), cell(cell_type="poem"),
        cell(cell_type=...),
    ],
    ids=range(16),
)  # fmt: skip
def test_what_is_no_notebook_is_one_clear_error(read, change):
    """Never a traceback, whatever the notebook library stumbles over."""
    with pytest.raises(UsageError, match=r"cannot be read as a notebook: \S") as caught:
        read(change)
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 100_000, b"\x00", b"nan", b'{"cells": ' + b"9" * 5000 + b"}"])
def test_bytes_that_are_no_notebook_are_one_clear_error(tmp_path, content):
    """Another encoding, endless nesting, endless digits."""
    path = tmp_path / "bytes.ipynb"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as a notebook"):
        read_sources([path])


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe and a folder."""
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    for name in ("pipe.ipynb", "folder.ipynb"):
        with pytest.raises(UsageError, match="it is no ordinary file"):
            read_sources([tmp_path / name])


def test_a_title_is_shown_short_and_escaped(read):
    """A terminal obeys nothing in it; without a title the file's name is."""
    hostile = "# \x1b]0;OWNED\x07\u202e" + "x" * 500
    title = read(lambda document: document["cells"][0].update(source=hostile)).title
    assert title.startswith("\\x1b]0;OWNED\\x07\\u202exxx")
    assert 80 == len(title)
    assert "odd" == read(lambda document: document["cells"].pop(0)).title


@pytest.mark.notebook
def test_an_odd_notebook_with_a_name_that_is_no_utf_8_runs(tmp_path):
    """Braces and bytes in its name are a name, and its odd metadata is not written again."""
    document = {**NOTEBOOK, "metadata": {"papermill": "x", "kernelspec": []}}
    path = tmp_path / "{x}.ipynb"
    path.write_text(json.dumps(document), encoding="utf-8-sig")
    run = run_notebooks([path], output=tmp_path / "run", parameters={"hardware": "cpu"})
    assert "completed" == run.notebooks[0].status, run.notebooks[0].error
    saved = json.loads((tmp_path / "run" / "{x}.ipynb").read_text(encoding="utf-8"))
    assert str(path) == saved["metadata"]["papermill"]["input_path"]
