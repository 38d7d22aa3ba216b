"""The names people import: all there, sorted, the same for type checkers, and light to import."""

import ast
import subprocess
import sys
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


def test_a_wrong_name_is_an_attribute_error():
    """A typo fails as everywhere in Python."""
    with pytest.raises(AttributeError, match="detect_hardwear"):
        import_module("seatrial").detect_hardwear  # noqa: B018 -- the look-up is the test


def test_importing_is_light():
    """No heavy part is loaded before it is used."""
    heavy = "{'plotly', 'ipywidgets', 'papermill', 'nbformat', 'aiohttp', 'torch', 'rich', 'psutil', 'IPython'}"
    code = f"import sys, seatrial, seatrial.view; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
