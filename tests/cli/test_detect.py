"""``seatrial detect``: the document programs read and the tables people read."""

import json
import subprocess
import sys

import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.cli.main import main
from seatrial.hardware.bandwidth.measure import measure_bandwidth
from seatrial.hardware.bandwidth.record import folder

GPU_KEYS = {
    "name",
    "vendor",
    "memory_bytes",
    "memory_free_bytes",
    "bandwidth_bytes_per_s",
    "compute_capability",
    "mig",
    "unified",
}
HOST_KEYS = {
    "cpu",
    "cores",
    "memory_bytes",
    "memory_available_bytes",
    "memory_limit_bytes",
    "disk_free_bytes",
    "wsl",
    "container",
}


def test_the_document_has_the_keys_of_the_contract(capsys):
    """Nothing but JSON on stdout, with every key that is promised."""
    assert 0 == main(["detect", "--hardware", "h100x8", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert {"gpus", "host", "driver", "cuda", "origin", "problems"} <= set(document)
    assert set(document["gpus"][0]) >= GPU_KEYS
    assert set(document["host"]) >= HOST_KEYS
    assert 8 == len(document["gpus"])


def test_this_machine_is_measured(capsys):
    """Without options it is this machine that is described."""
    assert 0 == main(["detect", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert "measured" == document["origin"]
    assert document["host"]["memory_bytes"] > 0


def test_problems_are_part_of_the_document(require, tmp_path):
    """What and remedy, and exit code 0: the description is complete as far as it goes."""
    require("compiler")
    environment = standin_environment(build_standin(tmp_path), "4xH100", "nvmlDeviceGetHandleByIndex_v2@2=15")
    command = [sys.executable, "-m", "seatrial", "detect", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert [{"what", "remedy"}] == [set(problem) for problem in document["problems"]]
    assert "h100x3" == document["name"]
    assert "" == done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hardware", "h100x8"], ["8 accelerators", "637.2 GiB", "3,350 GB/s", "not read"]),
        (["--hardware", "m3-ultra-512gb"], ["1 accelerator,", "unified"]),
        (["--hardware", "cpu", "--host-memory-gib", "192"], ["No accelerators", "192.0 GiB"]),
        ([], ["Physical cores", "Disk free for models"]),
    ],
)
def test_people_read_tables(capsys, options, words):
    """The finding stands in the title; figures have units."""
    assert 0 == main(["detect", *options])
    text = " ".join(capsys.readouterr().out.split())
    assert [] == [word for word in words if word not in text]


@pytest.mark.parametrize(
    "options",
    [
        ["--hardware", "nope"],
        ["--hardware", "h100x0"],
        ["--hardware", "h100x1000000000"],
        ["--hardware", "m3-ultra-500gb"],
        ["--hardware", "m4-ultra-512gb"],
        ["--hardware", "m3-ultra-512gb", "--host-memory-gib", "64"],
        ["--host-memory-gib", "0"],
        ["--host-memory-gib", "nan"],
        ["--host-memory-gib", "many"],
        ["--measure", "--hardware", "h200x8"],
        ["--measure", "--hardware", "cpu"],
        ["--measure", "--host-memory-gib", "64"],
        ["--measure=soon"],
        ["--no-such-option"],
        ["unexpected"],
    ],
)
def test_bad_input_ends_with_2_and_one_message(capsys, options):
    """No traceback, nothing on stdout."""
    assert 2 == main(["detect", "--json", *options])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "Traceback" not in captured.err
    assert captured.err.strip()


def test_another_host_memory_makes_this_machine_an_assumed_one(capsys):
    """To ask whether it would run here with 128 GiB is to describe another machine."""
    assert 0 == main(["detect", "--json", "--host-memory-gib", "128"])
    document = json.loads(capsys.readouterr().out)
    assert ("assumed", 128 << 30) == (document["origin"], document["host"]["memory_bytes"])


def test_what_was_measured_is_shown_and_used_from_then_on(capsys):
    """The table names the day; the next detection and the next plan have the figure, and the plan says so."""
    assert 0 == main(["detect", "--measure"])
    measure_bandwidth(deadline_s=60)  # on a busy machine, the five seconds of the command may be too short
    assert 0 == main(["detect"])
    shown = capsys.readouterr().out
    assert "GB/s, measured 20" in shown
    assert 0 == main(["detect", "--json"])
    host = json.loads(capsys.readouterr().out)["host"]
    assert host["bandwidth_bytes_per_s"] > 0
    assert f"measured {host['bandwidth_measured_at'][:10]}" in shown
    assert 0 == main(["plan", "--model", "smollm2", "--engine", "llamacpp", "--json"])
    basis = json.loads(capsys.readouterr().out)["prediction"]["basis"]
    assert f"on {host['bandwidth_measured_at'][:10]}" in basis


def test_a_damaged_record_is_one_line_and_never_in_the_way(capsys):
    """Plans go on with the figures of the data sheets, and detect says what to do."""
    measure_bandwidth(deadline_s=60)
    (record,) = folder().glob("*.json")
    record.write_text("{")
    assert 0 == main(["plan", "--model", "smollm2", "--engine", "llamacpp", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert "measured" not in document["prediction"]["basis"]
    assert ["Measure again: seatrial detect --measure."] == [
        problem["remedy"] for problem in document["hardware"]["problems"]
    ]
