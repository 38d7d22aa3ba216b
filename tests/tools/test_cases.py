"""Described machines are laid out, detected and planned for; a description that makes no sense is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "cases.py"
KFD = "sys/class/kfd/kfd/topology/nodes"
CARD = "sys/class/drm/card0/device"
RADEON = {
    f"{KFD}/0/properties": "cpu_cores_count 16\ngfx_target_version 0\n",
    f"{KFD}/1/properties": "simd_count 96\ngfx_target_version 110000\ndrm_render_minor 128\n",
    f"{CARD}/vendor": "0x1002\n",
    f"{CARD}/device": "0x744c\n",
    f"{CARD}/mem_info_vram_total": "25753026560\n",
    f"{CARD}/mem_info_vram_used": "0\n",
    f"{CARD}/drm/renderD128/dev": "226:128\n",
}


@pytest.fixture
def play(tmp_path):
    """Write a document, play it, and return exit code, lines and stderr."""

    def run(document, *words, **environment):
        path = tmp_path / "machines.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        command = [sys.executable, SCRIPT, path, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def test_machines_are_detected_and_planned_for(play, require):
    """NVIDIA through NVML, Radeon through the kernel's files and a Mac through its programs, each with all plans."""
    require("compiler")
    card = {"name": "NVIDIA GeForce RTX 5090", "memory_mib": 32607, "compute_capability": "12.0"}
    code, lines, said = play(
        {
            "machines": [
                {"name": "a card", "nvidia": [card, card], "environment": {"CUDA_VISIBLE_DEVICES": "1"}},
                {"name": "a Radeon", "files": RADEON, "host": {"memory_gib": 94, "available_gib": 90}},
                {"name": "m3-ultra-96gb, new", "hw_memsize": 96 << 30},
                {"name": "a log", "log": "nothing to play"},
            ]
        },
        CUDA_VISIBLE_DEVICES="7",  # of whoever plays: no machine has it
    )
    assert (0, ["a card", "a Radeon", "m3-ultra-96gb, new"]) == (code, [line["name"] for line in lines])
    assert ["rtx5090x1", "m3-ultra-96gb"] == [lines[at]["hardware"]["name"] for at in (0, 2)]
    assert [25753026560] == [gpu["memory_bytes"] for gpu in lines[1]["hardware"]["gpus"]]
    hosts = [line["hardware"]["host"] for line in lines]
    assert [(64 << 30, 64 << 30), (94 << 30, 90 << 30), (96 << 30, 96 << 30)] == [
        (host["memory_bytes"], host["memory_available_bytes"]) for host in hosts
    ]
    assert all(["llamacpp", "mlx", "sglang", "vllm"] == sorted(line["plans"]) for line in lines)
    plan = lines[1]["plans"]["llamacpp"]
    assert ("fits", "llamacpp", "xllamacpp_server") == (plan["verdict"], plan["engine"], plan["argv"][2].split(".")[1])
    assert "left out, a log" in said


def test_errors_of_nvml_and_a_container_are_played(play, require):
    """The codes come from NVML's start or from every handle; the container is recognised by its file."""
    require("compiler")
    code, lines, _ = play(
        {
            "machines": [
                {"name": "start", "init": 9},
                {"name": "gone", "handle": 15, "nvidia_count": 2, "container": True},
            ]
        }
    )
    assert (0, [1, 1]) == (code, [len(line["hardware"]["problems"]) for line in lines])
    assert [False, True] == [line["hardware"]["host"]["container"] for line in lines]


def test_one_machine_can_be_chosen(play):
    """By a part of its name."""
    machine = {"host": {"memory_gib": 8}}
    code, lines, _ = play({"machines": [machine | {"name": "small"}, machine | {"name": "other"}]}, "--only", "mal")
    assert (0, ["small"]) == (code, [line["name"] for line in lines])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "not JSON"),
        ("[1, 2]", "lists no machines"),
        ({"groups": []}, "lists no machines"),
        ({"machines": ["a"]}, "lists no machines"),
        ({"machines": [{"host": {}}]}, "missing required field `name`"),
        ({"machines": [{"name": "a", "files": {"../x": ""}}]}, "no path below the root"),
        ({"machines": [{"name": "a", "files": {"/etc/x": ""}}]}, "no path below the root"),
        ({"machines": [{"name": "a", "files": {"": ""}}]}, "no path below the root"),
        ({"machines": [{"name": "a", "files": {"x": None}}]}, "$.files"),
        ({"machines": [{"name": "a", "files": {"x": "", "x/y": ""}}]}, "cannot be written"),
        ({"machines": [{"name": "a", "nvidia": [{"memory_mib": 1}]}]}, "missing required field `name`"),
        ({"machines": [{"name": "a", "nvidia": [{"name": "x\ty"}]}]}, "no name"),
        ({"machines": [{"name": "a", "nvidia": [{"name": "x", "compute_capability": "9"}]}]}, "no compute capability"),
        ({"machines": [{"name": "a", "nvidia": [{"name": "x", "memory_mib": -1}]}]}, "makes no sense"),
        ({"machines": [{"name": "a", "nvidia_count": 33}]}, "cannot be played"),
        ('{"machines": [{"name": "a", "host": {"memory_gib": NaN}}]}', "NaN"),
        ({"machines": [{"name": "a", "host": {"memory_gib": -4}}]}, "makes no sense"),
        ({"machines": [{"name": "a", "hw_memsize": 0}]}, "makes no sense"),
        ({"machines": [{"name": "a", "init": 9, "environment": {"A=B": ""}}]}, "no environment variable"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(play, document, words):
    """One message names the file or the machine; no traceback."""
    code, lines, said = play(document)
    assert (2, []) == (code, lines)
    assert words in said
    assert "Traceback" not in said
