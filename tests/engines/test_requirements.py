"""Requirements of engines against described machines: the reading, the bound and one remedy."""

from dataclasses import replace

import pytest

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.engines.requirements import READINGS, CheckedMachine, check_requirements
from seatrial.hardware import detect_hardware
from seatrial.hardware.limits import find_nvcc, nvcc_release, read_limits
from seatrial.hardware.types import ProcessLimits

GIB = 1 << 30
GOOD = ProcessLimits(
    system="linux",
    machine="x86_64",
    python="3.12.3",
    glibc="2.39",
    nvcc_path="/usr/local/cuda/bin/nvcc",
    nvcc="13.0",
    shared_memory_bytes=64 * GIB,
    open_files_most=1 << 20,
    locked_memory_bytes=None,
    cache_free_bytes=100 * GIB,
)
"""A machine that lacks nothing."""


def machine(name, driver="580.95.05", version=None, nodes=1, wsl=False, **lacking):
    """Return a named machine with a driver, and with limits that differ from the good ones."""
    hardware = detect_hardware(name)
    host = replace(hardware.host, wsl=wsl)
    gpus = bool(hardware.gpus)
    return CheckedMachine(
        replace(hardware, host=host, driver=driver if gpus else None), replace(GOOD, **lacking), nodes, version
    )


def wrong(engine, here, **wish):
    """Return the readings that are not right, with their status."""
    return {
        check.name.partition(": ")[2]: check.status
        for check in check_requirements(engine, here, **wish)
        if check.status != "ok"
    }


@pytest.mark.parametrize("engine", engine_ids())
@pytest.mark.parametrize("name", ["h100x8", "h200x4", "gb10x1", "b200x8", "rtx4090x2", "cpu", "m3-ultra-512gb"])
def test_a_machine_that_lacks_nothing_passes(engine, name):
    """No engine finds anything, whatever the GPUs."""
    assert {} == wrong(engine, machine(name))


@pytest.mark.parametrize("engine", engine_ids())
def test_requirements_are_about_readings_there_are(engine):
    """Every row names a reading and selects by readings; it has a bound, a source and one remedy."""
    for row in engine_facts(engine).requires:
        assert {row.what, *row.on} <= set(READINGS)
        assert row.least is not None or row.most or row.one_of
        assert row.source
        assert row.checked
        assert row.remedy.endswith(".")


@pytest.mark.parametrize(
    ("driver", "version", "expected"),
    [
        ("535.129.03", None, {"NVIDIA driver": "problem"}),
        ("535.129.03", "0.33.0", {"NVIDIA driver": "problem"}),
        ("575.51.03", "0.33.0", {"NVIDIA driver": "problem"}),
        ("580.65.06", "0.33.0", {}),
        ("580.65", "0.33.0", {"NVIDIA driver": "problem"}),
        ("590.10", "0.33.0", {}),
        ("535.129.03", "0.33.0+cu129", {}),
        ("525.60.13", "0.33.0+cu129", {}),
        ("515.65.01", "0.33.0+cu129", {"NVIDIA driver": "problem"}),
        (None, "0.33.0", {}),
    ],
)
def test_the_driver_must_suit_the_cuda_line(driver, version, expected):
    """NVIDIA's table: 580.65.06 for CUDA 13, 525.60.13 for CUDA 12; a build says its line in its version."""
    assert expected == wrong("vllm", machine("h100x8", driver, version))


def test_a_driver_that_is_too_old_says_both_numbers_and_what_to_do():
    """One sentence, one remedy."""
    (found,) = [
        check for check in check_requirements("sglang", machine("h100x8", "535.129.03")) if check.status == "problem"
    ]
    expected = (
        "On this machine the NVIDIA driver is 535.129.03, but SGLang needs 580.65.06 or newer: it is built for CUDA 13",
        "Update the NVIDIA driver, or use llama.cpp, which any driver runs.",
    )
    assert expected == (found.found, found.remedy)


def test_inside_windows_it_is_the_driver_of_windows():
    """A driver installed inside WSL would break it."""
    here = machine("rtx4090x2", "535.129.03", wsl=True)
    (found,) = [check for check in check_requirements("vllm", here) if check.status == "problem"]
    assert "driver of Windows" in found.remedy


@pytest.mark.parametrize(
    ("name", "nvcc", "expected"),
    [
        ("h100x8", "12.3", {}),
        ("h100x8", "12.2", {"CUDA compiler (nvcc)": "warning"}),
        ("b200x8", "12.8", {"CUDA compiler (nvcc)": "warning"}),
        ("gb10x1", "12.9", {}),
        ("gb10x1", "12.8", {"CUDA compiler (nvcc)": "warning"}),
        ("rtx4090x2", "11.0", {}),
    ],
)
def test_the_compiler_must_know_the_gpu(name, nvcc, expected):
    """DeepGEMM wants 12.3 on Hopper and 12.9 on Blackwell; where nothing is compiled none is wanted."""
    assert expected == wrong("sglang", machine(name, nvcc=nvcc))


def test_no_compiler_is_told_from_one_that_says_nothing():
    """Missing is missing; one whose release could not be read is passed over."""
    assert {"CUDA compiler (nvcc)": "warning"} == wrong("sglang", machine("h100x8", nvcc_path=None, nvcc=None))
    assert {} == wrong("sglang", machine("h100x8", nvcc=None))


@pytest.mark.parametrize(
    ("lacking", "reading"),
    [
        ({"shared_memory_bytes": 64 << 20}, "shared memory (/dev/shm)"),
        ({"open_files_most": 1024}, "open files a process may ask for"),
        ({"cache_free_bytes": GIB}, "free disk for compiled kernels"),
    ],
)
def test_what_is_too_small_is_a_warning(lacking, reading):
    """It may fail under load, so it is said before anything is downloaded."""
    assert {reading: "warning"} == wrong("vllm", machine("h100x8", **lacking))


def test_one_gpu_needs_no_shared_memory_and_one_machine_no_locked_memory():
    """They matter between GPUs, and between machines."""
    small = {"shared_memory_bytes": 64 << 20, "locked_memory_bytes": 8 << 20}
    assert {} == wrong("sglang", machine("h200x1", **small))
    assert {"shared memory (/dev/shm)": "warning", "memory a process may lock": "warning"} == wrong(
        "sglang", machine("h200x8", nodes=2, **small)
    )


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ({"glibc": "2.31"}, {"C library (glibc)": "problem"}),
        ({"glibc": None}, {}),
        ({"python": "3.14.0"}, {"Python": "warning"}),
        ({"python": "3.13.7"}, {}),
        ({"python": "3.10.2"}, {"Python": "warning"}),
        ({"machine": "riscv64"}, {"processor architecture": "problem"}),
        ({"system": "darwin", "machine": "arm64", "glibc": None}, {"operating system": "problem"}),
    ],
)
def test_what_matters_for_installing_alone_is_asked_then_alone(lacking, expected):
    """Wheels are for some systems, C libraries and Pythons; an engine that is installed has found its own."""
    here = machine("h100x8", **lacking)
    assert expected == wrong("sglang", here, installing=True)
    assert {} == wrong("sglang", here)


def test_installing_without_a_gpu_is_said_and_not_refused():
    """Clusters install on login nodes."""
    assert {"GPU vendor": "warning"} == wrong("vllm", machine("cpu"), installing=True)


def test_the_compiler_is_looked_for_where_the_engines_do(tmp_path):
    """CUDA_HOME first, then PATH, then /usr/local/cuda, then the packages of the engine's environment."""

    def make(*parts):
        path = tmp_path.joinpath(*parts, "nvcc")
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.9, V12.9.41'\n")
        path.chmod(0o755)
        return str(path)

    root = tmp_path / "root"
    python = str(tmp_path / "env" / "bin" / "python")
    assert find_nvcc(python, root, {}) is None
    packaged = make("env", "lib", "python3.12", "site-packages", "nvidia", "cu13", "bin")
    assert packaged == find_nvcc(python, root, {})
    usual = make("root", "usr", "local", "cuda", "bin")
    assert usual == find_nvcc(python, root, {})
    on_path = make("tools")
    assert on_path == find_nvcc(python, root, {"PATH": str(tmp_path / "tools")})
    named = make("toolkit", "bin")
    assert named == find_nvcc(python, root, {"PATH": str(tmp_path / "tools"), "CUDA_HOME": str(tmp_path / "toolkit")})
    assert "12.9" == nvcc_release(named)


def test_this_machine_is_read():
    """Nothing fails, and what every Linux has is there."""
    limits = read_limits()
    assert limits.python
    assert limits.system
    assert limits.cache_free_bytes is None or limits.cache_free_bytes > 0
