"""Reads this computer's limits besides memory: shared memory, open files, CUDA compiler, disk for caches."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from seatrial.environment import variable
from seatrial.hardware.host import disk_free
from seatrial.hardware.types import ProcessLimits
from seatrial.paths import home

_TIMEOUT_S = 10.0
_RELEASE = re.compile(r"release (\d+\.\d+)")


def read_limits(
    python: str | None = None, *, root: Path = Path("/"), environment: Mapping[str, str] | None = None
) -> ProcessLimits:
    """Read the limits of a process on this machine.

    Args:
        python: Python of the engine's environment, which may hold a compiler too.
        root: Folder of ``/dev`` and ``/usr``.
        environment: Environment variables, by default those of this process.

    """
    variables = os.environ if environment is None else environment
    nvcc = find_nvcc(python, root, variables)
    _, open_files_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    locked, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    library, glibc = platform.libc_ver()
    cache = Path(variable("XDG_CACHE_HOME", variables) or home() / ".cache")
    return ProcessLimits(
        system=sys.platform,
        machine=platform.machine(),
        python=platform.python_version(),
        glibc=glibc if library == "glibc" and glibc else None,
        nvcc_path=nvcc,
        nvcc=nvcc_release(nvcc) if nvcc else None,
        shared_memory_bytes=_size_of(root / "dev/shm"),
        open_files_most=_bounded(open_files_most),
        locked_memory_bytes=_bounded(locked),
        cache_free_bytes=disk_free(cache),
    )


def find_nvcc(python: str | None, root: Path, environment: Mapping[str, str]) -> str | None:
    """Find the CUDA compiler where the engines' JIT does: CUDA_HOME, PATH, /usr/local/cuda, their own packages."""
    for candidate in _nvcc_candidates(python, root, environment):
        if os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate)
    return None


def nvcc_release(nvcc: str) -> str | None:
    """Return the CUDA release of a compiler, None if it does not print one."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [nvcc, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
        if match := _RELEASE.search(done.stdout):
            return match[1]
    return None


def _nvcc_candidates(python: str | None, root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if folder := variable(name, environment):
            yield Path(folder) / "bin/nvcc"
    on_path = shutil.which("nvcc", path=environment.get("PATH", ""))
    if on_path:
        yield Path(on_path)
    yield root / "usr/local/cuda/bin/nvcc"
    if python:
        prefix = Path(python).parent.parent
        yield prefix / "bin/nvcc"
        yield from sorted(prefix.glob("lib/python3*/site-packages/nvidia/*/bin/nvcc"))


def _size_of(folder: Path) -> int | None:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).total
    return None


def _bounded(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit
