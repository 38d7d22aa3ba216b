"""Small notebooks, written on the spot, for runs that take a second."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """\
hardware: str = "auto"  # which machine
context_tokens: int = 8192  # tokens of each request
fast: bool = False  # whether to hurry
rate: float = 1.5  # requests per second"""

ECHO = """\
from seatrial.records import record
record("echo", {"hardware": hardware, "context_tokens": context_tokens, "fast": fast, "rate": rate})"""


@pytest.fixture
def write_notebook(tmp_path):
    """Return a function that writes a notebook with the usual parameters and the given cells, and returns its path."""

    def write(name, *cells, alone=False, parameters=PARAMETERS):
        code = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(cells)]
        notebook = new_notebook(
            cells=[
                new_markdown_cell(f"# {name.title()}", id="title"),
                new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
                *code,
            ],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        if alone:
            notebook.metadata["seatrial"] = {"alone": True}
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture
def echo(write_notebook):
    """Write a notebook that records its parameters."""
    return write_notebook("echo", ECHO)
