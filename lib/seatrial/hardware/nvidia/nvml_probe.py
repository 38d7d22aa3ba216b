"""Reads every NVIDIA GPU and prints one JSON line for each; runs as a program of its own.

A driver that hangs then only stops this program. Each line is flushed at once, so a reader that stops waiting keeps the
lines before. The program imports nothing of this kit, and starts in a few hundredths of a second.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pynvml

_MEMORY_CLOCK = 2
"""nvmlClockType_t NVML_CLOCK_MEM."""


class _Reader:
    """Calls NVML; a failed call returns None and is listed with its code and reason."""

    def __init__(self) -> None:
        self.failed: list[dict[str, Any]] = []

    def read(self, what: str, function: Callable[..., Any], *arguments: Any, silent: bool = False) -> Any:
        """Call a function of ``pynvml``; return None if it fails.

        Args:
            what: Name of the reading in messages.
            function: A function of ``pynvml``.
            arguments: Its arguments.
            silent: Do not list a failure: the reading is optional.

        """
        try:
            return function(*arguments)
        except pynvml.NVMLError as error:
            if not silent:
                self.failed.append({"reading": what, "code": error.value, "text": str(error)})
            return None


def _read_system() -> dict[str, Any]:
    """Read the driver and CUDA version."""
    reader = _Reader()
    return {
        "driver": reader.read("driver version", pynvml.nvmlSystemGetDriverVersion),
        "cuda": reader.read("CUDA version", pynvml.nvmlSystemGetCudaDriverVersion),
        "failed": reader.failed,
    }


def _read_gpu(index: int) -> dict[str, Any]:
    """Read one GPU and its MIG slices."""
    reader = _Reader()
    handle = reader.read("handle", pynvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        return {"index": index, "failed": reader.failed}
    return {
        "index": index,
        **_describe(reader, handle),
        "capability": reader.read("compute capability", pynvml.nvmlDeviceGetCudaComputeCapability, handle),
        "mig": _mig_mode(reader, handle),
        "memory_clock_mhz": reader.read(
            "memory clock", pynvml.nvmlDeviceGetMaxClockInfo, handle, _MEMORY_CLOCK, silent=True
        ),
        "bus_width_bits": reader.read("bus width", pynvml.nvmlDeviceGetMemoryBusWidth, handle, silent=True),
        "slices": [_describe(reader, part) for part in _mig_handles(handle)],
        "failed": reader.failed,
    }


def _mig_handles(handle: Any) -> list[Any]:
    """List the handles of a GPU's MIG slices; empty if MIG is off or unknown."""
    quiet = _Reader()
    handles = []
    for number in range(quiet.read("slices", pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = quiet.read("slice", pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is not None:  # a removed slice leaves a gap in the numbers
            handles.append(part)
    return handles


def _describe(reader: _Reader, handle: Any) -> dict[str, Any]:
    memory = reader.read("memory", pynvml.nvmlDeviceGetMemoryInfo, handle)
    return {
        "name": reader.read("name", pynvml.nvmlDeviceGetName, handle),
        "uuid": reader.read("UUID", pynvml.nvmlDeviceGetUUID, handle, silent=True),
        "memory_bytes": None if memory is None else memory.total,
        "memory_free_bytes": None if memory is None else memory.free,
    }


def _mig_mode(reader: _Reader, handle: Any) -> bool | None:
    """Return True if MIG is on, False also for a GPU without MIG, None if unknown."""
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError_NotSupported:
        return False
    except pynvml.NVMLError as error:
        reader.failed.append({"reading": "MIG mode", "code": error.value, "text": str(error)})
        return None
    return bool(current)


def main() -> None:
    """Print a line for the system, one for each GPU, and an end line."""
    reader = _Reader()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        _print("start", {"reading": "start", "code": error.value, "text": str(error)})
        return
    _print("system", _read_system())
    count = reader.read("number of GPUs", pynvml.nvmlDeviceGetCount)
    for index in range(count or 0):
        _print("gpu", _read_gpu(index))
    _print("end", {"failed": reader.failed})


def _print(kind: str, value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"kind": kind, **value}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
