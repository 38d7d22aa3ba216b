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
    """One line, however narrow the terminal; size and free disk are on stderr."""
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
    """The message has both numbers; /proc has no space for anything."""
    done = seatrial("fetch", "deepseek-ai/DeepSeek-V4-Pro-Base", SEATRIAL_CACHE="/proc/seatrial")
    assert (3, "") == (done.returncode, done.stdout)
    assert "are needed under /proc/seatrial" in done.stderr
    assert "too little" in done.stderr


def test_what_nothing_loads_is_exit_code_three(seatrial):
    """An MLX checkpoint whose tensors MLX has no place for: refused with the reason that stands in the catalog."""
    done = seatrial("fetch", "mlx-community/deepseek-ai-DeepSeek-V4-Flash-8bit")
    assert 3 == done.returncode
    assert "mlx-vlm 0.7.10 has no place for its tensors" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        [],
        ["tiny-v4", "--source", "/nowhere"],
        ["deepseek"],
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


def test_a_bad_source_is_told_though_the_files_are_here(seatrial):
    """A mistyped path is an error even if the files are already fetched."""
    assert 0 == seatrial("fetch", "tiny-v4").returncode
    done = seatrial("fetch", "tiny-v4", "--source", "/nowhere")
    assert (2, "") == (done.returncode, done.stdout)
    assert "--source /nowhere is not a folder." in done.stderr


def test_a_model_that_does_not_run_here_is_not_downloaded(seatrial, tmp_path, machine):
    """The plan is asked first: Pro on one small GPU. Said with numbers, the smallest change, and the way for others."""
    done = seatrial("fetch", "pro", **machine("1xRTX4060TI8"))
    assert (3, "") == (done.returncode, done.stdout)
    assert "nothing is downloaded" in done.stderr
    assert "usable" in done.stderr
    assert "Smallest change" in done.stderr
    assert "--hardware NAME" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_without_an_engine_nothing_is_downloaded(seatrial, tmp_path, machine):
    """Eight H100 want SGLang, which is not here; too little host memory for the llama.cpp that is: exit code 4."""
    done = seatrial("fetch", "flash", **machine("8xH100"))
    if "with llamacpp" in done.stderr.partition("\n")[0]:
        pytest.skip("llama.cpp runs Flash on this machine's CPU")
    assert (4, "") == (done.returncode, done.stdout)
    assert "SEATRIAL_SGLANG_PYTHON" in done.stderr
    assert "seatrial fetch deepseek-ai/DeepSeek-V4-Flash" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_with_the_engine_the_planned_checkpoint_is_fetched(seatrial, machine, sglang):
    """Eight H100 with SGLang: one line names the choice and the reason, and the free disk is checked."""
    done = seatrial("fetch", "flash", SEATRIAL_CACHE="/proc/seatrial", **machine("8xH100", **sglang))
    chosen, refused = done.stderr.splitlines()[:2]
    assert 3 == done.returncode
    assert "deepseek-ai/DeepSeek-V4-Flash with sglang: the plan for h100x8 (a vendor ran exactly this)." == chosen
    assert "under /proc/seatrial/models/deepseek-ai--DeepSeek-V4-Flash, " in refused


def test_without_the_best_engine_an_installed_one_is_taken(seatrial, machine, llama_server):
    """Eight H100 with a native llama.cpp: its GGUF, and which engine would be better and how to get it."""
    done = seatrial("fetch", "flash", SEATRIAL_CACHE="/proc/seatrial", **machine("8xH100", **llama_server))
    chosen, refused = done.stderr.splitlines()[:2]
    assert 3 == done.returncode
    assert chosen.startswith("unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL with llamacpp")
    assert "prefers deepseek-ai/DeepSeek-V4-Flash with sglang, but sglang is not installed" in chosen
    assert "SEATRIAL_SGLANG_PYTHON" in chosen
    assert "unsloth--DeepSeek-V4-Flash-0731-GGUF" in refused


def test_a_checkpoint_is_fetched_whatever_runs_here(seatrial):
    """Its id is no model's name: no plan is asked, and exactly it is looked for."""
    done = seatrial("fetch", "deepseek-ai/DeepSeek-V4-Flash-0731", SEATRIAL_CACHE="/proc/seatrial")
    assert 3 == done.returncode
    assert "deepseek-ai--DeepSeek-V4-Flash-0731" in done.stderr
