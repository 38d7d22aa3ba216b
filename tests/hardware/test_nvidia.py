"""NVIDIA machines through the real binding: one failed reading stops no other, and nothing hangs."""

import psutil
import pytest
from tests.standin_nvml import standin_environment

from seatrial.hardware.nvidia.driver import check_library, run_probe
from seatrial.hardware.nvidia.problems import failed_readings, failed_start
from seatrial.hardware.types import Gpu, Host
from seatrial.units import MIB


def test_eight_h100(detect_nvidia):
    """The driver's readings, and the figures of the data file."""
    hardware = detect_nvidia("8xH100")
    assert ("h100x8", "580.95.05", "13.0", "measured", ()) == (
        hardware.name,
        hardware.driver,
        hardware.cuda,
        hardware.origin,
        hardware.problems,
    )
    memory = 81559 * MIB, 81555 * MIB
    h100 = Gpu("NVIDIA H100 80GB HBM3", "nvidia", "h100", *memory, 3350e9, 989e12, 1978e12, "9.0", mig=False)
    assert h100 == hardware.gpus[7]


def test_two_rtx_4090(detect_nvidia):
    """A card without MIG has it off, and that is no problem."""
    hardware = detect_nvidia("2xRTX4090")
    assert ("rtx4090x2", ()) == (hardware.name, hardware.problems)
    assert [(False, "8.9")] * 2 == [(gpu.mig, gpu.compute_capability) for gpu in hardware.gpus]


def test_mixed_machine(detect_nvidia):
    """The name has both kinds, in the driver's order."""
    assert "a100-80gbx4+l40sx1" == detect_nvidia("4xA100,1xL40S").name


def test_mig_shows_its_slices(detect_nvidia):
    """Seven slices with their own memory and a share of bandwidth and rate; no recipe of the GPU applies."""
    hardware = detect_nvidia("1xH100:mig=7")
    assert "h100-80gb-hbm3-mig-1g.10gbx7" == hardware.name
    assert 7 == len(hardware.gpus)
    gpu = hardware.gpus[0]
    assert (True, None, 81559 // 8 * MIB, "9.0") == (gpu.mig, gpu.accelerator, gpu.memory_bytes, gpu.compute_capability)
    assert gpu.bandwidth_bytes_per_s == pytest.approx(3350e9 / 8, rel=0.01)
    assert gpu.bf16_flops == pytest.approx(989e12 / 7)


def test_mig_on_some_gpus(detect_nvidia):
    """The list holds full GPUs and slices."""
    assert [False, True, True] == [gpu.mig for gpu in detect_nvidia("1xH100,1xH100:mig=2").gpus]


def test_gb10_shares_the_host_memory(detect_nvidia):
    """The driver reports no memory; the GPU uses the host's, and that is no problem."""
    hardware = detect_nvidia("1xGB10")
    assert ("gb10x1", ()) == (hardware.name, hardware.problems)
    assert (True, psutil.virtual_memory().total) == (hardware.gpus[0].unified, hardware.gpus[0].memory_bytes)


def test_an_unlisted_gpu_keeps_the_driver_s_readings(detect_nvidia):
    """Bandwidth follows from clock and bus width; rates stay unknown."""
    hardware = detect_nvidia("1xRTX4060TI8")
    gpu = hardware.gpus[0]
    assert ("geforce-rtx-4060-tix1", None, None) == (hardware.name, gpu.accelerator, gpu.bf16_flops)
    assert gpu.bandwidth_bytes_per_s == pytest.approx(288e9, rel=0.01)


def test_a_driver_without_gpus(detect_nvidia):
    """No GPU is no problem."""
    hardware = detect_nvidia("")
    assert ("cpu", (), ()) == (hardware.name, hardware.gpus, hardware.problems)


@pytest.mark.parametrize(
    ("code", "what", "remedy"),
    [
        (9, "not loaded", "modprobe"),
        (18, "different versions", ""),
        (4, "may not open", "permissions"),
        (12, "stub", "LD_LIBRARY_PATH"),
        (999, "Unknown Error", ""),
    ],
)
def test_a_driver_that_does_not_start_leaves_the_cpu(detect_nvidia, code, what, remedy):
    """The machine is described without GPUs, with the reason."""
    hardware = detect_nvidia("2xH100", f"nvmlInitWithFlags={code}")
    assert "cpu" == hardware.name
    assert [True] == [what in problem.what and remedy in problem.remedy for problem in hardware.problems]


@pytest.mark.parametrize(
    ("code", "host", "words"),
    [
        (999, Host(), "Reboot"),
        (18, Host(), "Reboot"),
        (9, Host(), "modprobe"),
        (999, Host(container=True), "Start the container anew: its devices are lost"),
        (18, Host(container=True), "Start the container anew"),
        (9, Host(container=True), "on the host"),
        (1, Host(container=True), "Start the container anew"),
        (17, Host(container=True), "--gpus all"),
        (999, Host(wsl=True), "wsl --shutdown"),
    ],
)
def test_the_remedy_is_the_cheapest_that_mends_it_here(code, host, words):
    """A container is started anew; whoever sits at the host itself may have to reboot."""
    problem = failed_start({"code": code, "text": "Unknown Error"}, host, {})
    assert words in problem.remedy
    assert ("Reboot" in problem.remedy) == ("Reboot" == words)


@pytest.mark.parametrize("container", [True, False])
def test_a_stub_of_the_library_is_taken_out_of_the_path(container, tmp_path):
    """The folder is named: the toolkit's stubs, or else the first with a copy of the library, such as conda's."""
    copy = tmp_path / "conda"
    copy.mkdir()
    (copy / "libnvidia-ml.so").touch()

    def remedy(path):
        environment = {} if path is None else {"LD_LIBRARY_PATH": path}
        return failed_start({"code": 12, "text": ""}, Host(container=container), environment).remedy

    assert "Take /usr/local/cuda/lib64/stubs, " in remedy(f"{copy}:/usr/local/cuda/lib64/stubs")
    assert f"Take {copy}, " in remedy(f"/nowhere::{copy}")
    assert "Take the folder of stubs" in remedy(None)
    assert "eboot" not in remedy("/a:/b")


@pytest.mark.parametrize(
    ("indexes", "code", "container", "what"),
    [
        (range(8), 999, True, "This container has lost its access to GPUs 0 to 7 (NVML: Unknown Error)."),
        ((1, 4), 999, True, "This container has lost its access to GPUs 1, 4 (NVML: Unknown Error)."),
        ((None,), 999, True, "This container has lost its access to the NVIDIA driver (NVML: Unknown Error)."),
        (range(8), 999, False, "GPUs 0 to 7: handle could not be read (Unknown Error)."),
        ((0, 1), 15, False, "GPUs 0, 1 are lost: each has fallen off the bus."),
        ((3,), 16, False, "GPU 3 is to be reset before it can be used."),
    ],
)
def test_what_fails_the_same_way_everywhere_is_one_problem(indexes, code, container, what):
    """Eight GPUs that fail alike have one cause."""
    failure = {"reading": "handle", "code": code, "text": "Unknown Error"}
    problems = list(failed_readings([(index, failure) for index in indexes], Host(container=container)))
    assert [what] == [problem.what for problem in problems]
    assert container == ("Start the container anew" in problems[0].remedy)


def test_different_failures_stay_apart():
    """Each reading of a GPU has its own remedy."""
    failures = [
        (0, {"reading": "memory", "code": 3, "text": "Not Supported"}),
        (1, {"reading": "memory", "code": 3, "text": "Not Supported"}),
        (1, {"reading": "name", "code": 3, "text": "Not Supported"}),
        (2, {"reading": "memory", "code": 4, "text": "Insufficient Permissions"}),
    ]
    assert ["GPUs 0, 1: memory", "GPU 1: name", "GPU 2: memory"] == [
        problem.what.partition(" could")[0] for problem in failed_readings(failures, Host())
    ]


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMemoryInfo"])
def test_a_lost_gpu_leaves_the_others(detect_nvidia, function):
    """Three of four remain, and the fourth is named."""
    hardware = detect_nvidia("4xH100", f"{function}@2=15")
    assert "h100x3" == hardware.name
    assert ["GPU 2 is lost: it has fallen off the bus."] == [problem.what for problem in hardware.problems]


@pytest.mark.parametrize(
    ("function", "reading", "field"),
    [
        ("nvmlDeviceGetMemoryInfo", "memory", "memory_bytes"),
        ("nvmlDeviceGetMigMode", "MIG mode", "mig"),
        ("nvmlDeviceGetName", "name", "accelerator"),
    ],
)
def test_one_failing_reading_is_unknown_and_named(detect_nvidia, function, reading, field):
    """Nothing else is lost."""
    hardware = detect_nvidia("2xH100", f"{function}@1=4")
    assert [False, True] == [getattr(gpu, field) is None for gpu in hardware.gpus]
    assert [f"GPU 1: {reading} could not be read (Insufficient Permissions)."] == [
        problem.what for problem in hardware.problems
    ]


def test_a_failing_capability_comes_from_the_data_file(detect_nvidia):
    """The accelerator is known, so its architecture is."""
    hardware = detect_nvidia("1xH100", "nvmlDeviceGetCudaComputeCapability=3")
    assert ("9.0", 1) == (hardware.gpus[0].compute_capability, len(hardware.problems))


@pytest.mark.parametrize(
    ("function", "field"), [("nvmlSystemGetDriverVersion", "driver"), ("nvmlSystemGetCudaDriverVersion", "cuda")]
)
def test_a_failing_version_is_unknown_and_named(detect_nvidia, function, field):
    """The GPUs are all there."""
    hardware = detect_nvidia("2xH100", f"{function}=999")
    assert ("h100x2", None, 1) == (hardware.name, getattr(hardware, field), len(hardware.problems))


def test_a_count_that_fails_is_a_problem(detect_nvidia):
    """No GPU is listed, and a problem gives the reason."""
    hardware = detect_nvidia("2xH100", "nvmlDeviceGetCount_v2=4")
    assert ["The NVIDIA driver: number of GPUs could not be read (Insufficient Permissions)."] == [
        problem.what for problem in hardware.problems
    ]


def test_a_listed_gpu_without_memory_reading_is_not_taken_for_unified(detect_nvidia):
    """An H100 has memory of its own, whatever the driver reports."""
    hardware = detect_nvidia("1xH100", "nvmlDeviceGetMemoryInfo=3")
    assert (None, False, 1) == (hardware.gpus[0].memory_bytes, hardware.gpus[0].unified, len(hardware.problems))


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("0,2", "h100x1+l40sx1"),
        ("2", "l40sx1"),
        ("GPU-00000001", "h100x1"),
        ("0,9,1", "h100x1"),
        ("", "cpu"),
        ("-1", "cpu"),
    ],
)
def test_cuda_visible_devices_is_respected(detect_nvidia, setting, name):
    """An engine uses only these GPUs; the source or a problem names the variable."""
    hardware = detect_nvidia("2xH100,1xL40S", CUDA_VISIBLE_DEVICES=setting)
    assert name == hardware.name
    assert "CUDA_VISIBLE_DEVICES" in hardware.source
    assert (name == "cpu") == bool(hardware.problems)


def test_one_mig_slice_may_be_visible(detect_nvidia):
    """By its UUID."""
    hardware = detect_nvidia("1xH100:mig=7", CUDA_VISIBLE_DEVICES="MIG-00000000-0000-4000-8000-000000000003")
    assert 1 == len(hardware.gpus)


@pytest.fixture
def standin(nvml_library, monkeypatch):
    """Let the processes of a test load the stand-in."""

    def play(machine, errors=""):
        for name, value in standin_environment(nvml_library, machine, errors).items():
            monkeypatch.setenv(name, value)

    return play


def test_a_driver_that_hangs_is_left_at_the_deadline(standin):
    """The lines before the hang remain, a problem gives the reason, and no process remains."""
    standin("3xH100", "nvmlDeviceGetName@1=HANG")
    lines, problems = run_probe(deadline_s=4)
    assert ["system", "gpu"] == [line["kind"] for line in lines]
    assert ["The NVIDIA driver did not answer within 4 s."] == [problem.what for problem in problems]
    assert [] == [child for child in psutil.Process().children() if "nvml_probe" in " ".join(child.cmdline())]


def test_a_driver_that_crashes_is_a_problem(standin):
    """The crash stays in the child."""
    standin("1xNOSUCHGPU")
    lines, problems = run_probe(deadline_s=10)
    assert [] == lines
    assert ["code -6"] == [problem.what.partition("ended with ")[2].partition(":")[0] for problem in problems]


def test_a_machine_without_nvidia_has_no_problem(tmp_path):
    """No library, no device: nothing is wrong."""
    assert () == check_library(tmp_path, "libnot-there.so.1")


@pytest.mark.parametrize("sign", ["proc/driver/nvidia/version", "dev/nvidia0"])
def test_a_driver_without_its_library_is_a_problem(tree, sign):
    """Typical of a container that was started without the toolkit."""
    problems = check_library(tree({sign: ""}), "libnot-there.so.1")
    assert [True] == ["not found" in problem.what and "--gpus all" in problem.remedy for problem in problems]


def test_a_gpu_without_driver_is_a_problem(tree):
    """The card is on the bus without a driver."""
    device = "sys/bus/pci/devices/0000:01:00.0"
    problems = check_library(
        tree({f"{device}/vendor": "0x10de\n", f"{device}/class": "0x030000\n"}), "libnot-there.so.1"
    )
    assert [True] == ["no NVIDIA driver" in problem.what for problem in problems]


def test_an_nvidia_network_card_is_no_gpu(tree):
    """Mellanox and audio functions share the vendor id."""
    device = "sys/bus/pci/devices/0000:01:00.1"
    assert () == check_library(
        tree({f"{device}/vendor": "0x10de\n", f"{device}/class": "0x040300\n"}), "libnot-there.so.1"
    )


def test_a_broken_library_is_a_problem(tmp_path):
    """Neither silence nor a crash."""
    library = tmp_path / "libbroken.so"
    library.write_text("not a library")
    problems = check_library(tmp_path, str(library))
    assert [True] == ["cannot be loaded" in problem.what for problem in problems]
