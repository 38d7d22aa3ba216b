"""Every version of Python that a page or make names is one that the package declares."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def declared():
    """Return the minor versions among the package's classifiers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name.rpartition(" ")[2] for name in project["classifiers"] if "Python :: 3." in name}


def test_make_looks_for_the_declared_versions():
    """A version that make would take is a version the package declares, and the other way round."""
    assert declared() == set(re.findall(r"python(3\.\d+)", (ROOT / "Makefile").read_text(encoding="utf-8")))


def test_versions_that_were_run_are_declared():
    """The package declares every version that the README lists as run."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert declared() >= set(re.findall(r"\b3\.\d+\b", re.search(r"\(Python (.*?)\)", readme)[1]))
