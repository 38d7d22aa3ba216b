"""Measured memory bandwidth: what is read, what is kept, and which records are not believed."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context

import pytest
from tests.standin_cuda import build_cuda, cuda_environment
from tests.standin_nvml import standin_environment

from seatrial.errors import UsageError
from seatrial.hardware import Gpu, Hardware, Host, detect_hardware
from seatrial.hardware.bandwidth import measure
from seatrial.hardware.bandwidth.host_probe import Llamacpp, llamacpp_library, read_bandwidth
from seatrial.hardware.bandwidth.record import (
    BandwidthRecord,
    GpuBandwidth,
    folder,
    kind_of,
    merged,
    record_path,
    with_measured_bandwidth,
    write_record,
)
from seatrial.records import from_dict, to_dict
from seatrial.units import GIB

HOST = Host(cpu="AMD EPYC 9334", cores=32, memory_bytes=256 * GIB)
H100 = Gpu("NVIDIA H100 80GB HBM3", "nvidia", "h100", 80 * GIB, bandwidth_bytes_per_s=3350e9)
MACHINE = Hardware("h100x2", (H100, H100), HOST, "580.95.05", "13.0", "measured", "NVML")
DAY = "2026-11-30T08:00:00+00:00"
RECORD = BandwidthRecord(
    1, DAY, "seatrial 0.1.0", kind_of(HOST), 2.1e11, 1.5e11, 2e12,
    (GpuBandwidth(H100.name, 80 * GIB, 2.9e12), GpuBandwidth(H100.name, 80 * GIB, 2.7e12)),
)  # fmt: skip


MEASURE = """
import json
from seatrial.hardware.bandwidth.measure import measure_bandwidth
from seatrial.records import to_dict
print(json.dumps(to_dict(measure_bandwidth(deadline_s={deadline_s}))))
"""


@pytest.fixture
def measure_with(require, tmp_path_factory):
    """Measure, in a process of its own, a machine whose drivers are the stand-ins."""
    require("compiler")
    libraries = tmp_path_factory.getbasetemp() / "standin-nvml"

    def run(machine, rates, errors="", free_bytes=None):
        variables = standin_environment(libraries, machine) | cuda_environment(rates, errors, free_bytes)
        # A machine that is busy with other tests may take longer than a person would wait.
        command = [sys.executable, "-c", MEASURE.format(deadline_s=10 if "HANG" in errors else 60)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        return from_dict(Hardware, json.loads(done.stdout))

    return run


@pytest.fixture(autouse=True)
def cuda_library(request):
    """Build the stand-in libcuda.so.1 beside the stand-in NVML, for tests that measure."""
    if "measure_with" in request.fixturenames:
        build_cuda(request.getfixturevalue("nvml_library"))


def gpu_problems(hardware):
    """Return what went wrong with GPUs."""
    return [problem.what for problem in hardware.problems if "GPU" in problem.what]


def test_each_gpu_is_measured_in_its_own_memory(measure_with):
    """The faster of copy and fill counts, and the next detection has the figures too."""
    hardware = measure_with("2xH100", "2900/2500,2000/2800")
    assert [pytest.approx(2900e9), pytest.approx(2800e9)] == [gpu.bandwidth_bytes_per_s for gpu in hardware.gpus]
    assert all(gpu.bandwidth_measured_at for gpu in hardware.gpus)
    assert [] == gpu_problems(hardware)


def test_a_gpu_that_fails_is_named_and_keeps_the_figure_of_its_data_sheet(measure_with):
    """One failed reading stops no other."""
    hardware = measure_with("2xH100", "2900/2500,2000/2800", errors="cuMemAlloc_v2@1=2")
    assert [pytest.approx(2900e9)] * 2 == [gpu.bandwidth_bytes_per_s for gpu in hardware.gpus]
    assert ["The bandwidth of GPU 1 could not be measured: cuMemAlloc_v2 returned 2."] == gpu_problems(hardware)


@pytest.mark.parametrize(
    ("rates", "errors", "free_bytes", "words"),
    [
        ("", "", None, "CUDA did not start"),
        ("2900/2500", "cuInit=999", None, "cuInit returned 999"),
        ("2900/2500", "cuMemcpyDtoDAsync_v2=719", None, "cuMemcpyDtoDAsync_v2 returned 719"),
        ("2900/2500", "", 1000, "only 1,000 bytes of its memory are free"),
        ("inf/inf", "", None, "took 0.0 ms"),
        ("2900/2500", "cuEventSynchronize=HANG", None, "took longer than"),
        ("0.000001/0.000001", "", None, "which no memory has"),
    ],
)
def test_whatever_the_driver_does_the_host_is_still_measured(measure_with, rates, errors, free_bytes, words):
    """A driver that fails, hangs or answers nonsense costs a problem line; the GPU keeps the data sheet's figure."""
    hardware = measure_with("1xH100", rates, errors, free_bytes)
    assert (3350e9, None) == (hardware.gpus[0].bandwidth_bytes_per_s, hardware.gpus[0].bandwidth_measured_at)
    assert hardware.host.bandwidth_measured_at
    assert [True] == [words in what for what in gpu_problems(hardware)]


def test_mig_slices_share_what_the_driver_shows(measure_with):
    """CUDA shows a process one slice; equal slices have equal bandwidth."""
    hardware = measure_with("1xH100:mig=7", "400/390")
    assert [pytest.approx(400e9)] * 7 == [gpu.bandwidth_bytes_per_s for gpu in hardware.gpus]


def test_a_gpu_that_hangs_is_not_taken_for_one_that_the_driver_hides(measure_with):
    """The driver shows both, so the record has only the figure of the one that answered."""
    measure_with("2xH100", "2900/2500,2000/2800", errors="cuEventSynchronize@1=HANG")
    (path,) = folder().glob("*")
    assert [pytest.approx(2900e9)] == [gpu["bytes_per_s"] for gpu in json.loads(path.read_text())["gpus"]]


def test_more_gpus_than_were_detected_stay_unmeasured(measure_with):
    """Nothing tells which of them the machine's one is."""
    hardware = measure_with("1xH100", "2900/2500,2000/2800")
    assert [None] == [gpu.bandwidth_measured_at for gpu in hardware.gpus]
    assert ["CUDA shows 2 GPUs and detection 1, so nothing tells which were measured."] == gpu_problems(hardware)


def test_different_gpus_of_which_the_driver_shows_fewer_stay_unmeasured(measure_with):
    """Nothing tells which of them was measured."""
    hardware = measure_with("1xH100,1xL40S", "2900/2500")
    assert [None, None] == [gpu.bandwidth_measured_at for gpu in hardware.gpus]


def test_apple_gpus_are_not_measured_and_say_so():
    """There is no driver call that a program could time."""
    found, problems = measure._read_gpus("apple", [Gpu("Apple M3 Ultra", "apple")], 1.0)
    assert ([], True) == (found, "Apple M3 Ultra is not measured" in problems[0].what)


def test_amd_gpus_without_rocm_say_what_is_missing():
    """The library is part of ROCm, which detection does not need."""
    found, problems = measure._read_gpus("amd", [Gpu("AMD Instinct MI300X", "amd")], 5.0)
    assert ([], True) == (found, "ROCm did not start" in problems[0].what)


def test_the_host_is_read_with_a_plain_kernel():
    """Some gigabytes a second on any machine; more threads read the same buffer."""
    assert 1e8 < read_bandwidth(1, 64 << 20, 0.05) < 1e13
    assert 1e8 < read_bandwidth(3, 64 << 20, 0.05) < 1e13


def test_llamacpps_own_kernel_multiplies_four_bit_weights(require):
    """The library of xllamacpp exports ggml, which is called as the engine calls it."""
    require("xllamacpp")
    kernel = Llamacpp(llamacpp_library(), threads=1)
    assert 1e7 < kernel.decode_bytes_per_s(8 << 20, 0.05) < 1e13
    assert 1e7 < kernel.prompt_flops(0.05) < 1e16


def test_llamacpps_kernel_can_be_called_as_often_as_it_is(require):
    """Each call takes memory of ggml's context, which ends the process if it has none left."""
    require("xllamacpp")
    assert Llamacpp(llamacpp_library(), threads=2).decode_bytes_per_s(1 << 20, 3600) > 0
    assert Llamacpp(llamacpp_library(), threads=2).prompt_flops(3600) > 0


def test_a_product_that_llamacpp_could_not_compute_has_no_speed(require):
    """The status says so; the time of nothing would be a very good figure."""
    require("xllamacpp")
    kernel = Llamacpp(llamacpp_library(), threads=1)
    kernel._compute = lambda *_: -1
    with pytest.raises(RuntimeError, match="ggml_graph_compute_with_ctx returned -1"):
        kernel.prompt_flops(0.05)


def test_a_host_that_takes_too_long_is_a_problem():
    """A deadline of nothing at all: no figure, no record, one line with a remedy."""
    hardware = measure.measure_bandwidth(deadline_s=0.001)
    assert None is hardware.host.bandwidth_measured_at
    assert "took longer than" in hardware.problems[0].what
    assert not list(folder().glob("*"))


def test_a_record_is_found_again_for_the_same_machine():
    """Host and GPUs get their own figures and the day; everything else stays."""
    write_record(RECORD)
    found = with_measured_bandwidth(MACHINE)
    assert (2.1e11, 1.5e11, 2e12, DAY) == (
        found.host.bandwidth_bytes_per_s,
        found.host.decode_bytes_per_s,
        found.host.prompt_flops,
        found.host.bandwidth_measured_at,
    )
    assert [2.9e12, 2.7e12] == [gpu.bandwidth_bytes_per_s for gpu in found.gpus]
    assert (MACHINE.name, ()) == (found.name, found.problems)


@pytest.mark.parametrize(
    ("lost", "fields"),
    [
        ("GPUs", {"gpus": ()}),
        ("host", {"read_bytes_per_s": None, "decode_bytes_per_s": None, "prompt_flops": None}),
        ("kernel", {"decode_bytes_per_s": None, "prompt_flops": None}),
    ],
)
def test_a_reading_that_failed_keeps_the_earlier_figure(lost, fields):
    """What was measured now counts, what was not stays as it was stored, and nothing counts as newer than it is."""
    write_record(RECORD)
    now = replace(RECORD, measured_at="2026-12-01T08:00:00+00:00", read_bytes_per_s=3e11)
    assert replace(RECORD, read_bytes_per_s=2.1e11 if lost == "host" else 3e11) == merged(replace(now, **fields))
    assert now == merged(now)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_without_a_record_that_can_be_used_nothing_is_added(text):
    """Another host has another file; a damaged one is replaced."""
    if text is not None:
        write_record(RECORD).write_text(text, encoding="utf-8")
    write_record(replace(RECORD, host=kind_of(replace(HOST, cores=8))))
    assert replace(RECORD, gpus=()) == merged(replace(RECORD, gpus=()))


def test_some_of_the_gpus_get_the_least_figure_of_their_kind():
    """CUDA_VISIBLE_DEVICES may hide some, and nothing says which are left."""
    write_record(RECORD)
    assert [2.7e12] == [
        gpu.bandwidth_bytes_per_s for gpu in with_measured_bandwidth(replace(MACHINE, gpus=(H100,))).gpus
    ]


def test_exchanged_gpus_keep_their_data_sheets_figure_and_that_is_said():
    """What was measured was another GPU."""
    write_record(RECORD)
    found = with_measured_bandwidth(replace(MACHINE, gpus=(replace(H100, name="NVIDIA L40S"),)))
    assert [(3350e9, None)] == [(gpu.bandwidth_bytes_per_s, gpu.bandwidth_measured_at) for gpu in found.gpus]
    assert [f"The bandwidth of NVIDIA L40S is the data sheet's: on 2026-11-30 this machine had {H100.name}."] == [
        problem.what for problem in found.problems
    ]


@pytest.mark.parametrize(
    "host",
    [replace(HOST, cores=16), replace(HOST, cpu="AMD EPYC 9654"), replace(HOST, memory_limit_bytes=64 * GIB), Host()],
    ids=["cores", "CPU", "container", "unknown"],
)
def test_other_hardware_does_not_find_the_record(host):
    """Another CPU, other cores, or a container's limit: the figures were measured without it."""
    write_record(RECORD)
    assert replace(MACHINE, host=host) == with_measured_bandwidth(replace(MACHINE, host=host))


def edited(**fields):
    """Return the record's document with other fields."""
    return json.dumps(to_dict(RECORD) | fields)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        (edited()[:200], "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "is not a BandwidthRecord"),
        ("{}", "is not a BandwidthRecord"),
        ("\x00\xff", "is not"),
        (edited(format=2), "has format 2, and this version reads 1"),
        (edited(read_bytes_per_s="fast"), "is not a BandwidthRecord"),
        (edited(read_bytes_per_s=math.nan), "holds NaN, which is no JSON number"),
        (edited(decode_bytes_per_s=-1.0), "no machine has -1 a second"),
        (edited(prompt_flops=1e300), "no machine has 1e+300 a second"),
        (edited(gpus=[{"name": "x", "memory_bytes": 1, "bytes_per_s": 0}]), "no machine has 0 a second"),
        (edited(read_bytes_per_s=10**400), "out of range"),
        (edited(measured_at="yesterday"), "'yesterday' is not a date"),
        (edited(host=to_dict(kind_of(replace(HOST, cores=8)))), "was measured on another machine"),
        ("1" * 5000, "digits"),
        ('"' + "x" * (2 << 20) + '"', "more than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:30],
)
def test_a_record_that_cannot_be_believed_is_one_problem(text, words):
    """The figures of the data sheets stay, and the remedy is to measure again."""
    path = write_record(RECORD)
    path.write_text(text, encoding="utf-8")
    found = with_measured_bandwidth(MACHINE)
    assert replace(MACHINE, problems=found.problems) == found
    (problem,) = found.problems
    assert words in problem.what
    assert "seatrial detect --measure" in problem.remedy


def test_a_folder_in_the_records_place_is_one_problem():
    """Detection goes on."""
    record_path(kind_of(HOST)).mkdir(parents=True)
    assert [True] == ["cannot be read" in problem.what for problem in with_measured_bandwidth(MACHINE).problems]


def test_a_state_folder_that_cannot_be_made_is_bad_input(monkeypatch, tmp_path):
    """Before anything is measured: the figures could not be kept."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="SEATRIAL_STATE"):
        measure.measure_bandwidth()
    assert () == detect_hardware().problems


def _write_many(rate):
    for _ in range(20):
        write_record(replace(RECORD, read_bytes_per_s=rate))


def test_writers_at_the_same_time_leave_a_whole_record():
    """The last one wins; nobody reads a part."""
    context = get_context("fork" if sys.platform == "linux" else "spawn")
    writers = [context.Process(target=_write_many, args=(rate,)) for rate in (1e11, 2e11)]
    for writer in writers:
        writer.start()
    write_record(RECORD)
    seen = {with_measured_bandwidth(MACHINE).host.bandwidth_bytes_per_s for _ in range(50)}
    for writer in writers:
        writer.join()
    assert seen <= {1e11, 2e11, 2.1e11}
    assert [0o600] == [path.stat().st_mode & 0o777 for path in folder().glob("*")]
