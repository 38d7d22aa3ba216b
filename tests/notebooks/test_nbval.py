"""nbval runs every notebook with its default parameters and compares the outputs that are kept."""

import os
import shutil
import subprocess
import sys

import pytest
from tests.conftest import ROOT

LAUNCHING = {"04_launch_llamacpp", "05_live_throughput"}


@pytest.mark.notebook
def test_kept_outputs_are_what_the_cells_show(lesson, require):
    """Every cell runs without error, and each kept output is reproduced exactly."""
    if lesson.stem in LAUNCHING:
        require("xllamacpp")
        require("stand-in model")
    done = run_nbval(lesson)
    assert 0 == done.returncode, done.stdout[-4000:]


@pytest.mark.notebook
def test_a_changed_output_is_noticed(tmp_path):
    """The comparison is real: an altered kept output fails."""
    path = tmp_path / "00_start_here.ipynb"
    shutil.copy(ROOT / "notebooks" / path.name, path)
    text = path.read_text(encoding="utf-8")
    assert "11.2 GB" in text
    path.write_text(text.replace("11.2 GB", "12.1 GB"), encoding="utf-8")
    done = run_nbval(path)
    assert 1 == done.returncode
    assert "12.1 GB" in done.stdout


def run_nbval(path):
    """Run pytest with only nbval on one notebook, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "--nbval-current-env", "--color=no", "-q",
               "-p", "no:cacheprovider", "-W", "default", "-o", "addopts=", path]  # fmt: skip
    environment = os.environ | {"SEATRIAL_HEADLESS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
