"""The names people import are the same for Python, editors and type checkers: one stub serves all."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = ("seatrial", "seatrial.view")


def stub(name):
    """Return what the package's stub declares: its ``__all__``, and the names it imports."""
    path = Path(import_module(name).__file__).with_suffix(".pyi")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return names, imported


@pytest.mark.parametrize("name", PACKAGES)
def test_the_stub_and_the_package_agree(name):
    """Editors and type checkers see exactly the names that can be imported."""
    names, imported = stub(name)
    assert sorted(import_module(name).__all__) == names == sorted(imported)


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_can_be_imported(name):
    """Each name leads to something, and is listed."""
    package = import_module(name)
    for one in package.__all__:
        assert getattr(package, one) is not None
        assert one in dir(package)
