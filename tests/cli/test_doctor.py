"""``seatrial doctor``: what is missing here, one remedy each."""

import json
import os
import resource
import subprocess
import sys

import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.cli.checks import (
    check_disk,
    check_folders,
    check_open_files,
    check_packages,
    check_shared_memory,
    run_checks,
)
from seatrial.cli.main import main


def test_this_machine_can_be_used(capsys):
    """The environment of the tests has everything that is needed."""
    assert 0 == main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert (True, 0) == (document["usable"], document["problems"])
    names = {check["name"] for check in document["checks"]}
    assert {
        "Python",
        "Packages of seatrial",
        "llama.cpp",
        "Accelerators",
        "Memory",
        "Stand-in model",
        "Servers",
    } <= names


def test_everything_that_is_not_right_has_a_remedy():
    """One each; what is right needs none."""
    assert [] == [check.name for check in run_checks() if check.status != "ok" and not check.remedy]


def test_people_read_a_table(capsys):
    """The verdict is the title."""
    assert 0 == main(["doctor"])
    assert "seatrial can be used on this machine: 0 problem(s)" in capsys.readouterr().out


def test_packages_of_every_extra_are_looked_at():
    """The library's own first."""
    names = [check.name for check in check_packages()]
    assert "Packages of seatrial" == names[0]
    assert {"Packages of seatrial[measure]", "Packages of seatrial[llamacpp]"} <= set(names)


def test_a_gpu_problem_is_a_warning(require, tmp_path):
    """A lost GPU shows up with its remedy; the rest works."""
    require("compiler")
    environment = standin_environment(build_standin(tmp_path), "2xH100", "nvmlDeviceGetHandleByIndex_v2@1=15")
    command = [sys.executable, "-m", "seatrial", "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = [check["found"] for check in json.loads(done.stdout)["checks"] if check["name"] == "Accelerators"]
    assert ["h100x1: NVIDIA H100 80GB HBM3", "GPU 1 is lost: it has fallen off the bus."] == found


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, capsys):
    """Exit code 1, and the setting that moves the folder."""
    monkeypatch.setenv("SEATRIAL_CACHE", os.devnull + "/cache")
    assert ["problem", "ok"] == [check.status for check in check_folders()]
    assert ["SEATRIAL_CACHE" in check.remedy for check in check_folders()] == [True, False]
    assert 1 == main(["doctor", "--json"])
    assert not json.loads(capsys.readouterr().out)["usable"]


def test_looking_at_folders_leaves_nothing(monkeypatch, tmp_path):
    """Neither a file nor the folder."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    assert ["ok", "ok"] == [check.status for check in check_folders()]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "status"), [(10**6, "problem"), (10**12, "ok"), (None, "warning")])
def test_disk(free, status):
    """Room for the smallest model is the least."""
    assert [status] == [check.status for check in check_disk(free)]


def test_shared_memory_matters_to_several_gpus(tmp_path):
    """One GPU needs none; a system without the folder has nothing to look at."""
    assert ["ok"] == [check.status for check in check_shared_memory(1, tmp_path)]
    assert [] == list(check_shared_memory(8, tmp_path / "missing"))


def test_a_low_limit_of_open_files_is_a_warning():
    """As macOS has it by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        checks = list(check_open_files())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ["warning"] == [check.status for check in checks]
    assert ("ulimit -n" if hard == resource.RLIM_INFINITY or hard >= 4096 else "limits.conf") in checks[0].remedy


def test_a_low_hard_limit_of_open_files_has_another_remedy():
    """A shell cannot raise it: ulimit would only say so."""
    code = (
        "import resource; from seatrial.cli.checks import check_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); print([each.remedy for each in check_open_files()])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert (True, False) == ("limits.conf" in printed, "ulimit -n" in printed)
