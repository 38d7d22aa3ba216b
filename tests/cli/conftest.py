"""Machines and engines that are not here: a driver's look-alike, and programs that say their version."""

import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.catalog.engine_facts import engine_facts

OURS = ("LD_LIBRARY_PATH", "STANDIN_NVML", "STANDIN_NVML_ERRORS")


@pytest.fixture
def machine(require, tmp_path_factory):
    """Environment of a process that meets GPUs such as "8xH100", and of engines only those given."""
    require("compiler")
    folder = tmp_path_factory.getbasetemp() / "standin-nvml"
    folder.mkdir(exist_ok=True)
    build_standin(folder)

    def describe(gpus, **environment):
        described = standin_environment(folder, gpus)
        return {name: described[name] for name in OURS} | environment

    return describe


@pytest.fixture
def program(tmp_path):
    """Write a program, as lines of a shell; gives its path."""

    def write(name, body):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def scripted(program):
    """Write a program that says something; gives its path."""
    return lambda name, says: program(name, f"cat <<'END'\n{says}\nEND")


@pytest.fixture
def sglang(scripted):
    """Setting that points to a python which says that it has a safe SGLang; it serves nothing."""
    return {"SEATRIAL_SGLANG_PYTHON": scripted("python", f"\n{engine_facts('sglang').versions.safe}")}


@pytest.fixture
def llama_server(scripted):
    """Setting that points to a native llama.cpp that says a new version; it serves nothing."""
    return {"SEATRIAL_LLAMA_SERVER": scripted("llama-server", "version: 99999 (made up)")}
