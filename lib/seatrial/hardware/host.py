"""Reads the computer around the accelerators: CPU, cores, memory and its limits, disk, container."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from seatrial import paths
from seatrial.hardware import cgroup
from seatrial.hardware.apple import read_sysctl
from seatrial.hardware.kernel_files import read_text
from seatrial.hardware.types import Host

_CONTAINER_FILES = (".dockerenv", "run/.containerenv")
_CONTAINER_VARIABLES = ("container", "KUBERNETES_SERVICE_HOST", "BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST")
_CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "libpod", "lxc")


def read_host(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Host:
    """Read how much of this computer this process may use.

    Args:
        root: Folder of ``/proc``, ``/sys`` and ``/.dockerenv``.
        environment: Environment variables, by default those of this process.

    """
    memory = psutil.virtual_memory()
    left = cgroup.memory_left(root)
    return Host(
        cpu=_cpu_name(root),
        cores=_cores(root),
        memory_bytes=memory.total,
        memory_available_bytes=memory.available if left is None else min(memory.available, left),
        memory_limit_bytes=cgroup.memory_limit(root),
        disk_free_bytes=disk_free(paths.models_dir()),
        wsl="microsoft" in read_text(root / "proc/version").casefold(),
        container=_is_container(root, os.environ if environment is None else environment),
    )


def disk_free(folder: Path) -> int | None:
    """Return the free bytes of the disk of ``folder``, which need not exist yet; None if they cannot be read."""
    for existing in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(existing).free
    return None


def _cpu_name(root: Path) -> str | None:
    if sys.platform == "darwin":
        return read_sysctl("machdep.cpu.brand_string") or None
    for line in read_text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "cpu model"} and value.strip():
            return value.strip()
    # ARM servers have no name in cpuinfo; the board's name is the best available.
    return read_text(root / "proc/device-tree/model").strip("\0\n ") or platform.processor() or None


def _cores(root: Path) -> int | None:
    """Count the physical cores within the affinity mask and the CPU quota, at least 1."""
    if sys.platform == "linux":
        cores: int | None = _physical(root, os.sched_getaffinity(0))
    else:
        cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    quota = cgroup.cpu_quota(root)
    return cores if cores is None or quota is None else max(1, min(cores, int(quota)))


def _physical(root: Path, cpus: set[int]) -> int:
    """Count the physical cores of logical ``cpus``; without a topology, each CPU is a core."""
    cores = set()
    for cpu in cpus:
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        siblings = read_text(topology / "thread_siblings_list") or read_text(topology / "core_cpus_list")
        cores.add(siblings or f"cpu{cpu}")
    return len(cores)


def _is_container(root: Path, environment: Mapping[str, str]) -> bool:
    group = read_text(root / "proc/1/cgroup")
    return (
        any((root / name).exists() for name in _CONTAINER_FILES)
        or any(environment.get(name) for name in _CONTAINER_VARIABLES)
        or any(name in group for name in _CONTAINER_GROUPS)
    )
