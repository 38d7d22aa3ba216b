"""A real Slurm on this machine: one for all tests, so a plugin (what a folder imports it would have once more)."""

import pytest
from tests.scale.one_box_slurm import one_box_slurm


@pytest.fixture(scope="session")
def slurm_environment(tmp_path_factory):
    """Run Slurm for as long as the tests run; yield its environment."""
    with one_box_slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def slurm(require, request, monkeypatch):
    """Give the test two idle nodes, n0 and n1, with eight GPUs each."""
    require("slurm")
    environment = request.getfixturevalue("slurm_environment")
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, environment[name])
