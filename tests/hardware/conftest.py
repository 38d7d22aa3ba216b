"""Fixtures for machines to detect: a stand-in NVIDIA driver under the real binding, and made-up /proc and /sys."""

import json
import subprocess
import sys

import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.hardware import Hardware
from seatrial.records import from_dict


@pytest.fixture
def nvml_library(require, tmp_path_factory):
    """Build the stand-in libnvidia-ml.so.1 once, and return its folder."""
    require("compiler")
    folder = tmp_path_factory.getbasetemp() / "standin-nvml"
    folder.mkdir(exist_ok=True)
    return build_standin(folder)


@pytest.fixture
def detect_nvidia(nvml_library):
    """Detect, in a process of its own, a machine that the stand-in plays."""

    def detect(machine, errors="", **environment):
        command = [sys.executable, "-m", "seatrial", "detect", "--json"]
        variables = standin_environment(nvml_library, machine, errors) | environment
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return from_dict(Hardware, json.loads(done.stdout))

    return detect


@pytest.fixture
def tree(tmp_path):
    """Write files below a made-up root: ``tree({"proc/version": "..."})`` returns the root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write
