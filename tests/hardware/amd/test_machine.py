"""Whole machines: what detection makes of AMD GPUs beside others, and of this process's environment."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.amdgpu_files import PROCESSOR, gpu_files
from tests.standin_nvml import standin_environment

from seatrial.hardware import Gpu, Hardware
from seatrial.hardware.bandwidth.record import (
    BandwidthRecord,
    GpuBandwidth,
    kind_of,
    with_measured_bandwidth,
    write_record,
)
from seatrial.hardware.detect import read_machine
from seatrial.records import from_dict
from seatrial.units import GIB, MIB

READ = (
    "import json, pathlib, sys; from seatrial.hardware.detect import read_machine; from seatrial.records import to_dict\n"
    "print(json.dumps(to_dict(read_machine(pathlib.Path(sys.argv[1])))))"
)
R9700 = {"vram": 32768, "gtt": 94 * 1024, "device": "0x7551", "gfx": 120001}
DESKTOP = {"vram": 512, "gtt": 94 * 1024, "device": "0x164e", "gfx": 100306}


@pytest.mark.parametrize(
    ("files", "name", "said"),
    [
        (gpu_files(0, **DESKTOP), "h100x2", "HIP_VISIBLE_DEVICES=-1"),
        (gpu_files(0, **DESKTOP) | gpu_files(1, **R9700), "h100x2+amd-gpu-0x7551-gfx1201x1", "HIP_VISIBLE_DEVICES=1"),
    ],
)
def test_beside_nvidia_cards(tree, nvml_library, files, name, said):
    """The processor's GPU is not counted, and HIP does not show it."""
    command = [sys.executable, "-c", READ, str(tree(PROCESSOR | files))]
    environment = standin_environment(nvml_library, "2xH100", "")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    hardware = from_dict(Hardware, json.loads(done.stdout))
    assert (name, True) == (hardware.name, said in hardware.engine_env)
    assert "left out: AMD GPU (0x164e, gfx1036), inside the processor" in hardware.source


def test_this_processes_variables_count(tree, monkeypatch):
    """Detection reads the environment by itself."""
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "1")
    files = gpu_files(0, **R9700) | gpu_files(1, **R9700 | {"vram": 16384})
    hardware = read_machine(tree(PROCESSOR | files))
    assert [16384 * MIB] == [gpu.memory_bytes for gpu in hardware.gpus if gpu.vendor == "amd"]
    assert "ROCR_VISIBLE_DEVICES=1 leaves 1 of 2" in hardware.source


def test_measured_bandwidth_survives_a_new_kernel(tmp_path, monkeypatch):
    """The memory a GPU shares with the host differs by some MiB from boot to boot."""
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path))
    gpu = Gpu("Radeon 8060S", "amd", memory_bytes=round(125.4 * GIB), unified=True)
    hardware = Hardware("strix-halo-128gb", (gpu,), read_machine(tmp_path).host, None, None, "measured", "amdgpu sysfs")
    measured = (GpuBandwidth(gpu.name, gpu.memory_bytes, 215e9),)
    record = BandwidthRecord(
        1, "2026-11-30T12:00:00+00:00", "seatrial", kind_of(hardware.host), None, None, None, measured
    )
    write_record(record)
    later = replace(hardware, gpus=(replace(gpu, memory_bytes=gpu.memory_bytes - 7 * MIB),))
    assert [215e9] == [gpu.bandwidth_bytes_per_s for gpu in with_measured_bandwidth(later).gpus]
