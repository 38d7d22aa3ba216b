"""The public names: what ``import seatrial`` gives, what it documents, and what it does not load."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import seatrial

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("plotly", "ipywidgets", "anywidget", "papermill", "torch", "aiohttp", "numpy", "rich", "IPython", "pynvml")


def test_all_is_sorted_and_complete():
    """``__all__`` is what can be reached: nothing missing, nothing hidden."""
    assert sorted(seatrial.__all__) == list(seatrial.__all__)
    assert len(set(seatrial.__all__)) == len(seatrial.__all__)
    assert set(seatrial.__all__) <= set(dir(seatrial))
    assert [] == [name for name in seatrial.__all__ if getattr(seatrial, name) is None]


def test_about_twenty_names():
    """Small enough to learn."""
    assert 10 <= len(seatrial.__all__) <= 30


def test_every_public_name_is_documented():
    """docs/api.md has a heading for each, and for nothing else; each has a docstring."""
    headings = re.findall(r"^### `(\w+)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert list(seatrial.__all__) == sorted(headings)
    assert [] == [name for name in seatrial.__all__ if not getattr(seatrial, name).__doc__]


@pytest.mark.parametrize("statement", ["import seatrial", "import seatrial.cli.main"])
def test_importing_is_light(statement):
    """No plots, widgets, notebooks, HTTP client or tensors before they are used."""
    code = f"{statement}\nimport sys\nprint(*sorted(set(sys.argv[1:]) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()


def test_an_unknown_name_is_an_attribute_error():
    """A mistyped name is an AttributeError."""
    with pytest.raises(AttributeError):
        _ = seatrial.no_such_name
