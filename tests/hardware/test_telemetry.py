"""Load of the GPUs, through the real binding and through sysfs."""

import json
import subprocess
import sys

import pytest
from tests.amdgpu_files import gpu_files
from tests.standin_nvml import standin_environment

from seatrial.hardware.telemetry import GpuReading, GpuTelemetry
from seatrial.units import MIB

READ = "import json; from seatrial.hardware.telemetry import *\nwith GpuTelemetry() as t: print(json.dumps(t.read()))"


@pytest.fixture
def read(nvml_library, tmp_path):
    """Read the load of a machine that the stand-in plays, in a process of its own."""

    def run(machine, errors="", load=""):
        state = tmp_path / "load"
        state.write_text(load)
        environment = standin_environment(nvml_library, machine, errors, state)
        done = subprocess.run([sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=True)
        return [GpuReading(*values) for values in json.loads(done.stdout)]

    return run


def test_memory_utilization_and_power(read):
    """In bytes, as a share, in watts."""
    assert [GpuReading(40000 * MIB, 0.97, 612.5), GpuReading(4 * MIB, 0.0, 70.0)] == read(
        "2xH100", "", "0 40000 97 612.5\n"
    )


def test_a_reading_that_fails_is_none(read):
    """Power is not offered on GPU 1, memory not on GB10, utilization not with MIG on."""
    assert [70.0, None] == [gpu.power_w for gpu in read("2xH100", "nvmlDeviceGetPowerUsage@1=3")]
    assert [None] == [gpu.used_memory_bytes for gpu in read("1xGB10")]
    assert [None] == [gpu.utilization for gpu in read("1xH100:mig=7")]


@pytest.mark.parametrize(
    ("machine", "errors"), [("", ""), ("2xH100", "nvmlInitWithFlags=9"), ("2xH100", "nvmlDeviceGetCount_v2=999")]
)
def test_without_gpus_there_is_nothing_to_read(read, machine, errors):
    """An empty list, no error."""
    assert [] == read(machine, errors)


def test_a_lost_gpu_is_left_out(read):
    """The others are read."""
    assert 2 == len(read("3xH100", "nvmlDeviceGetHandleByIndex_v2@1=15"))


def test_amd_by_sysfs(tree):
    """Memory, load and power of an AMD GPU; a missing file is None."""
    device = "sys/class/drm/card0/device"
    root = tree(
        {
            f"{device}/vendor": "0x1002\n",
            f"{device}/mem_info_vram_used": "1000\n",
            f"{device}/gpu_busy_percent": "50\n",
            f"{device}/hwmon/hwmon3/power1_average": "120000000\n",
            "sys/class/drm/card1/device/vendor": "0x1002\n",
        }
    )
    with GpuTelemetry(root) as telemetry:
        readings = telemetry.read()
    assert [GpuReading(1000, 0.5, 120.0), GpuReading(None, None, None)] == readings[-2:]


def test_memory_of_a_gpu_inside_the_processor(tree):
    """What it maps of the host's memory is in use too."""
    strix = gpu_files(0, vram=512, used=100, gtt=64000, gtt_used=50000, device="0x1586", gfx=110501)
    with GpuTelemetry(tree(strix)) as telemetry:
        assert [50100 * MIB] == [gpu.used_memory_bytes for gpu in telemetry.read()]


def test_the_gpu_inside_the_processor_is_not_read_beside_a_card(tree):
    """The readings are of the GPUs that the plan counts."""
    card = gpu_files(0, vram=32768, used=20000, gtt=64000, device="0x7551", gfx=120001)
    small = gpu_files(1, vram=512, used=100, gtt=64000, device="0x164e", gfx=100306)
    with GpuTelemetry(tree(card | small)) as telemetry:
        assert [20000 * MIB] == [gpu.used_memory_bytes for gpu in telemetry.read()]
