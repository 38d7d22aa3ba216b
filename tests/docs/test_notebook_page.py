"""docs/notebooks.md: every parameter of every notebook, with its meaning and its default."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
PARAMETER = re.compile(
    r"^(?P<name>[a-z][a-z0-9_]*): (?P<type>str|int|float|bool) = (?P<default>.+?)  # (?P<meaning>.+)$"
)
ROW = re.compile(r"^\| `(?P<name>[a-z0-9_]+)` \| `(?P<default>.+?)` \| (?P<meaning>.+?) \| (?P<where>[^|]+) \|$")


def parameters(path):
    """Return every parameter of a notebook: (name, default as written, meaning)."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if "parameters" in cell.metadata.get("tags", [])]
    assert 1 == len(cells)
    found = [PARAMETER.match(line) for line in cells[0].source.splitlines() if line and not line.startswith("#")]
    assert None not in found
    return [(match["name"], match["default"], match["meaning"]) for match in found]


@pytest.fixture(scope="session")
def rows():
    """Return the table of docs/notebooks.md, by parameter."""
    found = [ROW.match(line) for line in (ROOT / "docs" / "notebooks.md").read_text().splitlines()]
    return {match["name"]: match for match in found if match}


def test_there_are_notebooks():
    """Otherwise the tests below would compare nothing."""
    assert 6 <= len(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_is_documented(path, rows):
    """Name, default and meaning as the notebook has them, and the notebook's number beside them."""
    for name, default, meaning in parameters(path):
        assert name in rows, f"{path.name}: {name} is not in docs/notebooks.md"
        assert (default, meaning) == (rows[name]["default"], rows[name]["meaning"])
        assert path.name[:2] in rows[name]["where"].split(", ")


def test_nothing_documented_is_gone(rows):
    """Every row names a parameter that its notebooks have."""
    documented = {(number, name) for name, row in rows.items() for number in row["where"].split(", ")}
    real = {(path.name[:2], name) for path in NOTEBOOKS for name, _, _ in parameters(path)}
    assert real == documented


def test_a_name_means_the_same_everywhere():
    """Same parameter, same default, same meaning in every notebook."""
    seen = {}
    for path in NOTEBOOKS:
        for name, default, meaning in parameters(path):
            assert (default, meaning) == seen.setdefault(name, (default, meaning)), f"{path.name}: {name}"
