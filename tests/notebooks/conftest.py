"""The committed notebooks, read once."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SERIES = sorted(FOLDER.glob("[0-9]*.ipynb"))
ALL = sorted(FOLDER.glob("*.ipynb"))


def pytest_generate_tests(metafunc):
    """``notebook``: each committed notebook; ``lesson``: each that is part of the series."""
    for name, paths in (("notebook", ALL), ("lesson", SERIES)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, paths, ids=[path.stem for path in paths], indirect=True)


@pytest.fixture
def notebook(request):
    """Return a committed notebook's document."""
    return nbformat.read(request.param, as_version=4)


@pytest.fixture
def lesson(request):
    """Return the path of a notebook of the series."""
    return request.param


@pytest.fixture(scope="session")
def series():
    """Return the documents of the series, by file name."""
    return {path.name: nbformat.read(path, as_version=4) for path in SERIES}
