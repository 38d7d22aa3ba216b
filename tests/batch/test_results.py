"""A run that is picked up again keeps what is whole, and runs again what is damaged."""

import json
import os

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from seatrial.batch import run_notebooks
from seatrial.batch.results import kept_results, read_results
from seatrial.batch.sources import read_sources
from seatrial.errors import UsageError
from seatrial.records import RECORD_MIME

BUNDLE = {RECORD_MIME: {"name": "a", "value": 1}, "text/plain": "recorded: a"}


@pytest.fixture
def source(write_notebook):
    """Read a small notebook."""
    return read_sources([write_notebook("small", "record('a', 1)")])[0]


@pytest.fixture
def executed(source):
    """Return the JSON of that notebook when every cell has run."""
    document = json.loads(json.dumps(source.notebook))
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"] = 1
    outputs = [{"output_type": "display_data", "data": BUNDLE, "metadata": {}}]
    document["cells"][-1]["outputs"] = outputs
    document["cells"].insert(2, {**new_code_cell("hardware = 1"), "execution_count": 2})
    document["cells"][2]["metadata"] = {"tags": ["injected-parameters"]}
    return document


def test_a_whole_notebook_is_kept_with_its_results(source, executed, tmp_path):
    """The cell that papermill adds is none of its own."""
    path = tmp_path / "kept.ipynb"
    path.write_text(json.dumps(executed))
    assert {"a": 1} == kept_results(path, source) == read_results(path)


def test_lines_are_text(source, executed, tmp_path):
    """A saved notebook has the text of a cell as a list of lines."""
    for cell in executed["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)
    path = tmp_path / "kept.ipynb"
    path.write_text(json.dumps(executed))
    assert {"a": 1} == kept_results(path, source)


def change(where, value):
    """Return a function that puts a value somewhere into a document; ``...`` removes what is there."""

    def changed(document):
        *way, last = where
        for step in way:
            document = document[step]
        if value is ...:
            del document[last]
        else:
            document[last] = value

    return changed


@pytest.mark.parametrize(
    "damage",
    [
        change(["cells"], None), change(["cells"], []), change(["cells"], {}), change(["cells"], ...),
        change(["cells", 0], None), change(["cells", -1], ...), change(["cells", -1, "outputs"], None),
        change(["cells", -1, "outputs"], ...), change(["cells", -1, "outputs"], "x"), change(["cells", -1, "outputs"], [None]),
        change(["cells", -1, "outputs", 0, "data"], None), change(["cells", -1, "outputs", 0, "data"], 5),
        change(["cells", -1, "execution_count"], None), change(["cells", -1, "execution_count"], ...),
        change(["cells", -1, "source"], "other()"), change(["cells", -1, "source"], None), change(["cells", -1, "metadata"], None),
        change(["cells", -1, "metadata", "tags"], 5), change(["cells", -1, "cell_type"], "raw"), change(["cells", -1, "cell_type"], ...),
    ],
    ids=range(20),
)  # fmt: skip
def test_a_damaged_notebook_is_not_kept(source, executed, tmp_path, damage):
    """Cut, emptied, or odd inside: one that never could come from a whole run."""
    damage(executed)
    path = tmp_path / "kept.ipynb"
    path.write_text(json.dumps(executed))
    assert kept_results(path, source) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b'{"cells": [{}]}', b"5"]
)
def test_what_is_no_notebook_is_not_kept(source, tmp_path, content):
    """Nothing of it is read."""
    path = tmp_path / "kept.ipynb"
    path.write_bytes(content)
    assert kept_results(path, source) is None


def test_a_file_that_is_gone_or_no_file_is_not_kept(source, tmp_path):
    """Missing, a folder, a pipe."""
    assert kept_results(tmp_path / "missing.ipynb", source) is None
    assert kept_results(tmp_path, source) is None
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert kept_results(tmp_path / "pipe.ipynb", source) is None


@pytest.mark.notebook
def test_only_the_damaged_one_runs_again(write_notebook, tmp_path):
    """The other is kept, and all results are there again; a folder in its place is refused before anything runs."""
    code = "from seatrial.records import record\nrecord({0!r}, 1)".format
    paths = [write_notebook(name, code(name)) for name in ("first", "second")]
    folder = tmp_path / "run"
    before = run_notebooks(paths, output=folder)
    (folder / "second.ipynb").write_text((folder / "second.ipynb").read_text()[:300])
    again = run_notebooks(paths, output=folder)
    assert ([True, False], before.results) == ([one.kept for one in again.notebooks], again.results)
    (folder / "second.ipynb").unlink()
    (folder / "second.ipynb").mkdir()
    with pytest.raises(UsageError, match=r"second\.ipynb is a folder"):
        run_notebooks(paths, output=folder)
    assert [folder / "second.ipynb"] == [path for path in folder.iterdir() if path.is_dir()]


def test_an_empty_notebook_is_whole_when_nothing_had_to_run(tmp_path):
    """No cell, no results."""
    path = tmp_path / "none.ipynb"
    path.write_text(json.dumps(new_notebook()))
    (source,) = read_sources([path])
    assert {} == kept_results(path, source)
