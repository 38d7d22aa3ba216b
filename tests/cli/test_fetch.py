"""``seatrial fetch``: the path on stdout, everything else on stderr, the contract's exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def seatrial(tmp_path):
    """Run the command line in a process of its own, offline, with an empty cache."""

    def run(*words, **environment):
        settings = {
            "SEATRIAL_CACHE": str(tmp_path / "cache"),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "COLUMNS": "60",
        }
        command = [sys.executable, "-m", "seatrial", *words]
        environment = {**os.environ, **settings, **environment}
        environment.pop("PIP_FIND_LINKS", None)
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def test_the_path_is_all_of_stdout(seatrial, tmp_path):
    """One line, however narrow the terminal; size and free disk are said on stderr."""
    done = seatrial("fetch", "tiny-v4")
    path = tmp_path / "cache" / "models" / "tiny-v4--MXFP4" / "tiny-v4.gguf"
    assert (0, f"{path}\n") == (done.returncode, done.stdout)
    assert path.is_file()
    assert " free" in done.stderr


def test_json_is_one_document(seatrial):
    """Path, checkpoint and exact bytes."""
    done = seatrial("fetch", "tiny-v4", "--json")
    document = json.loads(done.stdout)
    assert {"checkpoint", "path", "size_bytes"} == set(document)
    assert Path(document["path"]).stat().st_size == document["size_bytes"]


def test_offline_is_one_message_without_a_traceback(seatrial):
    """Exit code 1, the host, and what to do; nothing on stdout."""
    done = seatrial("fetch", "smollm2", "--json")
    assert (1, "") == (done.returncode, done.stdout)
    assert "cannot be reached" in done.stderr
    assert "--source DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_little_disk_is_exit_code_three(seatrial):
    """Both numbers; /proc has no room for anything."""
    done = seatrial("fetch", "deepseek-ai/DeepSeek-V4-Pro-Base", SEATRIAL_CACHE="/proc/seatrial")
    assert (3, "") == (done.returncode, done.stdout)
    assert "are needed under /proc/seatrial" in done.stderr
    assert "too little" in done.stderr


def test_what_nothing_loads_is_exit_code_three(seatrial):
    """An MLX checkpoint of V4: refused with the reason that stands in the catalog."""
    done = seatrial("fetch", "mlx-community/DeepSeek-V4-Flash-4bit")
    assert 3 == done.returncode
    assert "deepseek_v4" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        [],
        ["tiny-v4", "--source", "/nowhere"],
        ["flash", "--for-hardware", "h100xx8"],
        ["deepseek", "--for-hardware", "cpu"],
        ["unsloth/DeepSeek-V4-Flash-GGUF"],
        ["file:///etc/passwd"],
    ],
)
def test_bad_input_is_exit_code_two(seatrial, tmp_path, words):
    """One message, nothing written."""
    done = seatrial("fetch", *words)
    assert (2, "") == (done.returncode, done.stdout)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_model_that_does_not_run_on_a_machine_is_not_downloaded(seatrial, tmp_path):
    """``--for-hardware`` asks the plan first: V4-Pro on a laptop."""
    done = seatrial("fetch", "pro", "--for-hardware", "m5-max-128gb")
    assert (3, "") == (done.returncode, done.stdout)
    assert "nothing is downloaded" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_for_a_machine_it_fits_the_planned_checkpoint_is_fetched(seatrial):
    """On eight H200 the plan's checkpoint is looked for on the hub, which is offline here."""
    done = seatrial("fetch", "flash", "--for-hardware", "h200x8", SEATRIAL_CACHE="/proc/seatrial")
    assert 3 == done.returncode
    assert "deepseek-ai--DeepSeek-V4-Flash" in done.stderr
