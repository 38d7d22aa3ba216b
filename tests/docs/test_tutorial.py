"""docs/tutorial.md and the README: every example runs, and prints what the page shows."""

import os
import re
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.docs.examples import run_examples

from seatrial.server import list_servers


@pytest.fixture
def clone(require, monkeypatch, tmp_path):
    """Enter a folder like a clone after ``make run``: with its notebooks, its programs on PATH and the stand-in."""
    require("xllamacpp")
    require("stand-in model")
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield tmp_path
    for server in list_servers():
        server.stop()


@pytest.mark.engine
@pytest.mark.usefixtures("clone")
def test_the_readme_runs():
    """The Python on its first screen works on any machine, and leaves nothing running."""
    names = run_examples(ROOT / "README.md")
    assert {"plan", "server"} <= names.keys()
    assert [] == list_servers()


@pytest.mark.engine
def test_the_tutorial_runs(clone):
    """From the first step to the last, in Python and on the command line, with the outputs it shows."""
    names = run_examples(ROOT / "docs" / "tutorial.md")
    assert {"hardware", "plan", "server", "measurement"} <= names.keys()
    assert (clone / "runs" / "first" / "report.html").is_file()
    assert [] == list_servers()


def test_the_first_screen_of_the_readme_has_python():
    """Code that runs comes before anything that must be read."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert "```python" in lines[:20]


def test_the_tutorial_opens_with_code():
    """The first thing after its title and two lines is a command or code, with its output."""
    opening = (ROOT / "docs" / "tutorial.md").read_text()[:700]
    assert re.search(r"^```(python|console)\n", opening, re.MULTILINE)
