"""Load of the GPUs, through the real binding and through sysfs."""

import json
import struct
import subprocess
import sys

import pytest
from tests.amdgpu_files import gpu_files
from tests.standin_nvml import standin_environment

from seatrial.hardware.gpu_reading import GpuReading
from seatrial.hardware.telemetry import GpuTelemetry
from seatrial.units import MIB

READ = """
import json, sys
from seatrial.hardware.telemetry import GpuTelemetry
with GpuTelemetry() as t: print(json.dumps([[t.read() for _ in range(int(sys.argv[1]))][-1], t.missing()]))
"""
UNKNOWN = GpuReading()
DEVICE = "sys/class/drm/card0/device"


@pytest.fixture
def read_all(nvml_library, tmp_path):
    """Read the load of a machine that the stand-in plays, and what is missing, in a process of its own."""

    def run(machine, errors="", load="", times=1):
        state = tmp_path / "load"
        state.write_text(load)
        environment = standin_environment(nvml_library, machine, errors, state)
        done = subprocess.run(
            [sys.executable, "-c", READ, str(times)], env=environment, capture_output=True, text=True, check=True
        )
        readings, missing = json.loads(done.stdout)
        return [
            GpuReading(*values[:-1], values[-1] if values[-1] is None else tuple(values[-1])) for values in readings
        ], missing

    return run


@pytest.fixture
def read(read_all):
    """Read the load of a machine that the stand-in plays."""
    return lambda *arguments: read_all(*arguments)[0]


def test_every_reading(read):
    """In bytes, as a share, in watts, degrees and megahertz; the processes by their ids."""
    busy = GpuReading(40000 * MIB, 0.97, 612.5, 71.0, 1755.0, "power cap", (4711, 4712))
    idle = GpuReading(4 * MIB, 0.0, 70.0, 35.0, 345.0, "", ())
    assert [busy, idle] == read("2xH100", "", "0 40000 97 612.5 71 1755 4 4711,4712\n")


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ""),
        (0x1, ""),
        (0x2, "clock setting"),
        (0x28, "hardware slowdown, thermal slowdown by software"),
        (0x48, "hardware slowdown, thermal slowdown by hardware"),
        (0x88, "hardware slowdown, power brake"),
        (0x15, "power cap, sync boost"),
        (1 << 40, ""),
    ],
)
def test_why_a_clock_is_held_down(read, bits, words):
    """In words; an idle GPU is not held down, and a bit of a later driver says nothing."""
    assert [words] == [gpu.throttle for gpu in read("1xH100", "", f"0 4 0 70 35 345 {bits}\n")]


def test_a_reading_that_fails_is_none(read):
    """Power is not offered on GPU 1, memory not on GB10, utilization not with MIG on."""
    assert [70.0, None] == [gpu.power_w for gpu in read("2xH100", "nvmlDeviceGetPowerUsage@1=3")]
    assert [None] == [gpu.used_memory_bytes for gpu in read("1xGB10")]
    assert [None] == [gpu.utilization for gpu in read("1xH100:mig=7")]


def test_a_missing_reading_has_a_reason(read_all):
    """In NVML's words, and of which GPU."""
    errors = "nvmlDeviceGetPowerUsage@1=3,nvmlDeviceGetPowerUsage@2=3,nvmlDeviceGetClockInfo@0=4"
    assert {
        "power_w": "NVML says Not Supported (GPU 1, 2)",
        "clock_mhz": "NVML says Insufficient Permissions (GPU 0)",
    } == read_all("3xH100", errors)[1]
    assert {"utilization": "NVML does not tell the utilization of a GPU with MIG on (GPU 0)"} == read_all(
        "1xH100:mig=7"
    )[1]


def test_a_figure_that_cannot_be_right_is_none(read_all):
    """Drivers write all bits for a reading they do not have."""
    (gpu,), missing = read_all("1xH100", "", "0 4 120 4294967.295 4294967295 4294967295 0\n")
    assert (None, None, None, None) == (gpu.utilization, gpu.power_w, gpu.temperature_c, gpu.clock_mhz)
    assert {"utilization", "power_w", "temperature_c", "clock_mhz"} == set(missing)
    assert "NVML gave 1.2, which cannot be right (GPU 0)" == missing["utilization"]


@pytest.mark.parametrize(
    ("machine", "errors", "why"),
    [
        ("", "", {}),
        ("2xH100", "nvmlInitWithFlags=9", {"": "NVML says Driver Not Loaded"}),
        ("2xH100", "nvmlDeviceGetCount_v2=999", {"": "NVML says Unknown Error"}),
    ],
)
def test_without_gpus_there_is_nothing_to_read(read_all, machine, errors, why):
    """An empty list, no error."""
    assert ([], why) == read_all(machine, errors)


def test_a_lost_gpu_keeps_its_place(read_all):
    """The others are read, and each stays at its number."""
    readings, missing = read_all("3xH100", "nvmlDeviceGetHandleByIndex_v2@1=15")
    assert [False, True, False] == [gpu == UNKNOWN for gpu in readings]
    assert "NVML says GPU is lost (GPU 1)" == missing["power_w"]


def test_a_gpu_that_is_lost_while_it_is_read(read_all):
    """Nothing more is asked of it: each call may take seconds."""
    readings, missing = read_all("2xH100", "nvmlDeviceGetUtilizationRates@0=15", "", 2)
    assert [UNKNOWN, 70.0] == [readings[0]._replace(processes=None), readings[1].power_w]
    assert "NVML says GPU is lost (GPU 0)" == missing["used_memory_bytes"]


def amd_files(**files):
    """Return the files of one AMD GPU."""
    return {f"{DEVICE}/vendor": "0x1002\n"} | {f"{DEVICE}/{name}": text for name, text in files.items()}


def amd_reading(tree, files, metrics=None):
    """Read the GPU of these files, and what is missing of it."""
    root = tree(files)
    if metrics is not None:
        (root / DEVICE / "gpu_metrics").write_bytes(metrics)
    with GpuTelemetry(root) as telemetry:
        return telemetry.read()[-1], telemetry.missing()


def metrics_table(status, revision=(1, 3), at=112, size=120):
    """Return a table of the driver with a throttle status."""
    table = bytearray(size)
    table[:4] = struct.pack("<HBB", size, *revision)
    table[at : at + 8] = struct.pack("<Q", status)
    return bytes(table)


def test_amd_by_sysfs(tree):
    """Memory, load, power, temperature and clock of an AMD GPU."""
    hwmon = "hwmon/hwmon3"
    files = {
        "mem_info_vram_used": "1000\n",
        "gpu_busy_percent": "50\n",
        f"{hwmon}/power1_average": "120000000\n",
        f"{hwmon}/temp1_input": "61000\n",
        f"{hwmon}/temp1_label": "edge\n",
        f"{hwmon}/temp2_input": "78000\n",
        f"{hwmon}/temp2_label": "junction\n",
        f"{hwmon}/freq1_input": "2100000000\n",
        f"{hwmon}/freq1_label": "sclk\n",
        f"{hwmon}/freq2_input": "1300000000\n",
        f"{hwmon}/freq2_label": "mclk\n",
    }
    reading, missing = amd_reading(tree, amd_files(**files), metrics_table(0))
    assert GpuReading(1000, 0.5, 120.0, 61.0, 2100.0, "") == reading
    assert "amdgpu does not list them in sysfs (GPU 0)" in missing["processes"]


def test_amd_without_files(tree):
    """A missing file is None, with the reason."""
    reading, missing = amd_reading(tree, amd_files())
    assert UNKNOWN == reading
    assert "amdgpu: no gpu_busy_percent (GPU 0)" == missing["utilization"]
    assert "amdgpu: no gpu_metrics (GPU 0)" == missing["throttle"]


def test_a_card_of_a_data_center_has_no_edge_sensor(tree):
    """The hottest spot counts."""
    sensors = {"hwmon/hwmon1/temp2_input": "66000\n", "hwmon/hwmon1/temp2_label": "junction\n"}
    assert 66.0 == amd_reading(tree, amd_files(**sensors))[0].temperature_c


@pytest.mark.parametrize("text", ["", "-5\n", "nan\n", "999\n", "busy\n"])
def test_an_odd_number_of_sysfs_is_none(tree, text):
    """A share is from 0 to 100 percent, or unknown."""
    assert amd_reading(tree, amd_files(gpu_busy_percent=text))[0].utilization is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ""),
        (1 << 1, "power cap"),
        (1 << 16 | 1 << 36, "current limit, thermal slowdown"),
        (1 << 47, "hardware slowdown"),
        (1 << 56, "other"),
        ((1 << 64) - 1, None),
    ],
)
def test_amd_throttle_status(tree, status, words):
    """The status that means the same on every chip, in words; all bits are unknown."""
    assert words == amd_reading(tree, amd_files(), metrics_table(status))[0].throttle


@pytest.mark.parametrize("revision", [(2, 2), (2, 3), (2, 4)])
def test_throttle_status_of_a_gpu_inside_the_processor(tree, revision):
    """Its table has another form."""
    table = metrics_table(1 << 32, revision, 120, 152)
    assert "thermal slowdown" == amd_reading(tree, amd_files(), table)[0].throttle


@pytest.mark.parametrize(
    "table", [b"", b"\1", metrics_table(1)[:115], metrics_table(1, (1, 6)), metrics_table(1, (9, 9))]
)
def test_no_throttle_status(tree, table):
    """A table that is cut or of another revision has none, which is said."""
    reading, missing = amd_reading(tree, amd_files(), table)
    assert reading.throttle is None
    assert "gpu_metrics" in missing["throttle"]


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
