"""The host: CPU, memory and disk that a process may use, in containers and outside."""

import os

import psutil
import pytest

from seatrial.hardware.host import disk_free, read_host
from seatrial.units import GIB, MIB

CGROUP = {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"}


def test_this_machine():
    """Every reading of the machine the tests run on makes sense."""
    host = read_host()
    assert psutil.virtual_memory().total == host.memory_bytes
    assert 0 < host.memory_available_bytes <= host.memory_bytes
    assert 1 <= host.cores <= os.cpu_count()
    assert host.disk_free_bytes > 0


def test_a_cgroup_limit_bounds_memory(tree):
    """100 MiB allowed, 40 used: 60 are available, whatever the computer has."""
    files = CGROUP | {"sys/fs/cgroup/memory.max": f"{100 * MIB}\n", "sys/fs/cgroup/memory.current": f"{40 * MIB}\n"}
    host = read_host(tree(files), {})
    assert (100 * MIB, 60 * MIB, 100 * MIB) == (
        host.memory_limit_bytes,
        host.memory_available_bytes,
        host.usable_memory_bytes,
    )


def test_a_limit_above_the_installed_memory_does_not_add_any(tree):
    """Without a limit, the computer's memory is the bound."""
    files = CGROUP | {"sys/fs/cgroup/memory.max": f"{1 << 50}\n", "sys/fs/cgroup/memory.current": "0\n"}
    host = read_host(tree(files), {})
    assert host.memory_available_bytes <= host.memory_bytes
    assert host.memory_bytes == host.usable_memory_bytes


def test_siblings_of_one_core_count_once(tree):
    """Hyper-threads share a core."""
    files = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": "all\n" for cpu in os.sched_getaffinity(0)
    }
    assert 1 == read_host(tree(files), {}).cores


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None)])
def test_a_cpu_quota_bounds_the_cores(tree, quota, cores):
    """Half a CPU is still one core to run on."""
    expected = len(os.sched_getaffinity(0)) if cores is None else cores
    assert expected == read_host(tree(CGROUP | {"sys/fs/cgroup/cpu.max": f"{quota}\n"}), {}).cores


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 9654 96-Core Processor\n", "AMD EPYC 9654 96-Core Processor"),
        ("processor\t: 0\nModel\t\t: Raspberry Pi 5 Model B\n", "Raspberry Pi 5 Model B"),
    ],
)
def test_cpu_name(tree, cpuinfo, name):
    """/proc/cpuinfo names it."""
    assert name == read_host(tree({"proc/cpuinfo": cpuinfo}), {}).cpu


@pytest.mark.parametrize(
    ("version", "wsl"),
    [
        ("Linux version 5.15.167.4-microsoft-standard-WSL2", True),
        ("Linux version 4.4.0-19041-Microsoft", True),
        ("Linux version 6.8.0-generic", False),
    ],
)
def test_wsl_is_told_by_the_kernel(tree, version, wsl):
    """Both generations of WSL."""
    assert wsl is read_host(tree({"proc/version": version}), {}).wsl


@pytest.mark.parametrize(
    ("files", "environment", "container"),
    [
        ({".dockerenv": ""}, {}, True),
        ({"run/.containerenv": ""}, {}, True),
        ({"proc/1/cgroup": "4:memory:/kubepods/burstable/pod1\n"}, {}, True),
        ({}, {"BINDER_LAUNCH_HOST": "https://mybinder.org/"}, True),
        ({}, {"container": "podman"}, True),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {"container": ""}, False),
    ],
)
def test_containers_are_told_by_their_marks(tree, files, environment, container):
    """Docker, Podman, Kubernetes, Binder; an ordinary machine has none."""
    assert container is read_host(tree(files), environment).container


def test_disk_is_measured_where_models_would_go(tmp_path, monkeypatch):
    """The folder need not exist; its nearest parent counts."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "not" / "yet"))
    free = psutil.disk_usage(str(tmp_path)).free
    assert read_host().disk_free_bytes == pytest.approx(free, abs=4 * GIB)
    assert not (tmp_path / "not").exists()
    assert disk_free(tmp_path / "a" / "b") is not None
