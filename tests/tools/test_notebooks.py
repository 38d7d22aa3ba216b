"""The form tool: what is committed of a notebook, and what is not."""

import json
import subprocess
import sys

import pytest
from tests.conftest import ROOT

TOOL = ROOT / "tools" / "notebooks.py"

OUTPUT = {"output_type": "execute_result", "execution_count": 7, "metadata": {"x": 1}, "data": {"text/plain": "42"}}


@pytest.fixture
def notebook(tmp_path):
    """Return a notebook as JupyterLab saves it, with outputs, counts and metadata of its kernel."""
    code = {"cell_type": "code", "source": "6 * 7\n", "outputs": [OUTPUT], "execution_count": 7}
    document = {
        "cells": [
            {
                "cell_type": "markdown",
                "id": "title",
                "metadata": {"jp-MarkdownHeadingCollapsed": True},
                "source": "# A",
            },
            {**code, "id": "kept", "metadata": {"tags": ["keep_output"], "trusted": True}},
            {**code, "id": "dropped", "metadata": {"execution": {"iopub": "2026"}}},
        ],
        "metadata": {
            "kernelspec": {"name": "my-env", "display_name": "Mine"},
            "widgets": {"a": 1},
            "seatrial": {"alone": True},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(document))
    return path


def run(*words):
    """Run the tool and return its exit code and its output."""
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_outputs_go_and_kept_ones_stay(notebook):
    """A kept cell has its output and count 1, every other cell none; ids stay."""
    assert 0 == run(notebook)[0]
    cells = {cell["id"]: cell for cell in json.loads(notebook.read_text())["cells"]}
    assert (1, ["42"]) == (cells["kept"]["execution_count"], cells["kept"]["outputs"][0]["data"]["text/plain"])
    assert (None, []) == (cells["dropped"]["execution_count"], cells["dropped"]["outputs"])
    assert ["6 * 7"] == cells["kept"]["source"]


def test_only_metadata_that_matters_stays(notebook):
    """Kernel, language, tags and our own key; no widget state, no session, no timing."""
    run(notebook)
    document = json.loads(notebook.read_text())
    assert {"kernelspec", "language_info", "seatrial"} == set(document["metadata"])
    assert "python3" == document["metadata"]["kernelspec"]["name"]
    assert [{}, {"tags": ["keep_output"]}, {}] == [cell["metadata"] for cell in document["cells"]]


def test_check_changes_nothing_and_names_the_file(notebook):
    """Exit code 1 for a notebook out of form, 0 once it is in form."""
    before = notebook.read_text()
    code, printed = run("--check", notebook)
    assert (1, True, before) == (code, str(notebook) in printed, notebook.read_text())
    run(notebook)
    assert (0, "") == run("--check", notebook)


def test_forming_twice_is_forming_once(notebook):
    """The form is stable, so it makes no diffs by itself."""
    run(notebook)
    before = notebook.read_text()
    assert (0, "") == run(notebook)
    assert before == notebook.read_text()


@pytest.mark.notebook
def test_execute_renews_kept_outputs(notebook):
    """--execute runs the notebook and stores what kept cells show now."""
    notebook.write_text(notebook.read_text().replace("6 * 7", "6 * 8"))
    assert 0 == run("--execute", notebook)[0]
    cells = {cell["id"]: cell for cell in json.loads(notebook.read_text())["cells"]}
    assert ["48"] == cells["kept"]["outputs"][0]["data"]["text/plain"]
