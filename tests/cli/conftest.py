"""Machines and engines that are not installed: a driver's look-alike, and programs that print a version."""

import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.catalog.engine_facts import engine_facts

OURS = ("LD_LIBRARY_PATH", "STANDIN_NVML", "STANDIN_NVML_ERRORS")


@pytest.fixture
def machine(require, tmp_path_factory):
    """Return a function that gives the environment of a process with GPUs such as "8xH100" and only the given engines."""
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
    """Return a function that writes a program of shell lines and gives its path."""

    def write(name, body):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def scripted(program):
    """Return a function that writes a program which prints a text, and gives its path."""
    return lambda name, text: program(name, f"cat <<'END'\n{text}\nEND")


@pytest.fixture
def sglang(scripted):
    """Return a setting with a python that prints a safe version of SGLang and serves nothing."""
    return {"SEATRIAL_SGLANG_PYTHON": scripted("python", f"\n{engine_facts('sglang').versions.safe}")}


@pytest.fixture
def llama_server(scripted):
    """Return a setting with a native llama.cpp that prints a new version and serves nothing."""
    return {"SEATRIAL_LLAMA_SERVER": scripted("llama-server", "version: 99999 (made up)")}
