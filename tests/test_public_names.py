"""The names people import are the same for Python, editors and type checkers."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

PACKAGES = ("seatrial", "seatrial.view")


def stub(name):
    """What the package's stub declares: its ``__all__``, and where each name comes from."""
    path = Path(import_module(name).__file__).with_suffix(".pyi")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    (names,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    return names, imports


@pytest.mark.parametrize("name", PACKAGES)
def test_the_stub_and_the_package_agree(name):
    """Editors and type checkers see exactly the names that can be imported, from the same place."""
    package = import_module(name)
    names, imports = stub(name)
    assert sorted(package._PLACES) == names == sorted(imports)
    assert {one: f"{name}.{place}" for one, place in package._PLACES.items()} == imports


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_can_be_imported(name):
    """Each name leads to something, and is listed."""
    package = import_module(name)
    for one in package._PLACES:
        assert getattr(package, one) is not None
        assert one in dir(package)
