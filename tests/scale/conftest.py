"""A real Slurm on this machine."""

import pytest
from tests.conftest import PARTS
from tests.scale.one_box_slurm import one_box_slurm


@pytest.fixture(scope="session")
def slurm_environment(tmp_path_factory):
    """Environment of a Slurm that runs for as long as the tests do; None where none can be started."""
    if not PARTS["slurm"]():
        yield None
        return
    with one_box_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def slurm(require, slurm_environment, monkeypatch):
    """Two idle nodes, n0 and n1, with eight GPUs each."""
    require("slurm")
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm_environment[name])
