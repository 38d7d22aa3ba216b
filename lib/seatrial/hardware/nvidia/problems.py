"""Explains NVML's error codes to a person, each with the remedy that costs least on this computer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.hardware.types import Host, Problem

# nvmlReturn_t, https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
NOT_SUPPORTED = 3
_NO_PERMISSION = 4
_DRIVER_NOT_LOADED = 9
_LIBRARY_NOT_FOUND = 12
_FUNCTION_NOT_FOUND = 13
_GPU_IS_LOST = 15
_RESET_REQUIRED = 16
_OPERATING_SYSTEM = 17
_VERSION_MISMATCH = 18
_UNKNOWN = 999

Failure = tuple[int | None, dict[str, Any]]
"""A failed reading and the number of its GPU, None for the driver."""

_START = {
    _NO_PERMISSION: (
        "this user may not open the NVIDIA devices",
        "Check the permissions of /dev/nvidia*, or add the user to the group video.",
    ),
    _DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded",
        "Load it with 'sudo modprobe nvidia'; if that fails, reinstall the driver and reboot.",
    ),
    _OPERATING_SYSTEM: (
        "the operating system blocks the NVIDIA devices",
        "In a container or batch job, ask for the GPU (docker run --gpus all, sbatch --gres=gpu:1).",
    ),
    _VERSION_MISMATCH: (
        "the loaded NVIDIA driver and its library have different versions",
        "Reboot: the driver was updated while the old one was running.",
    ),
}
_DEVICES_TAKEN = (
    "Start the container anew: its devices are lost, and the host's driver is fine. On the host 'systemctl daemon-reload' takes "
    "the devices of running containers (NVIDIA/nvidia-container-toolkit#251)."
)
_IN_CONTAINER = {
    _DRIVER_NOT_LOADED: (
        "the NVIDIA driver is not loaded on the container's host",
        "Load it on the host: 'sudo modprobe nvidia'. Then start the container anew.",
    ),
    _VERSION_MISMATCH: (
        "the container's NVIDIA library and the host's driver have different versions",
        "Start the container anew, so that it gets the library of the driver that is loaded now.",
    ),
    _UNKNOWN: ("this container has lost its access to the GPUs (NVML: Unknown Error)", _DEVICES_TAKEN),
}
_ELSE_IN_CONTAINER = (
    "Start the container anew; if it persists, run nvidia-smi on the host: its driver may not work there either."
)
_IN_WSL = "Run 'wsl --shutdown' in Windows and start again; if it persists, update the NVIDIA driver of Windows."

_READING = {
    NOT_SUPPORTED: "The GPU or its driver does not offer this reading; results show it as unknown.",
    _NO_PERMISSION: "Run with the rights to read it; until then results show it as unknown.",
    _FUNCTION_NOT_FOUND: "Update the NVIDIA driver: this version is too old for it.",
}

_LOST = {
    _GPU_IS_LOST: (
        "lost: {it} has fallen off the bus",
        "Reboot; if it happens again, check its power, seat and cooling.",
    ),
    _RESET_REQUIRED: (
        "to be reset before {it} can be used",
        "Reset it with 'sudo nvidia-smi --gpu-reset', or reboot.",
    ),
}


def is_lost(failure: dict[str, Any]) -> bool:
    """Return True if a failed reading means that the GPU is unusable."""
    return failure["code"] in _LOST


def failed_start(failure: dict[str, Any], host: Host, environment: Mapping[str, str]) -> Problem:
    """Explain why NVML did not start.

    Args:
        failure: NVML's code and text.
        host: The computer, which may be a container or WSL.
        environment: Environment variables; LD_LIBRARY_PATH may name a folder of stubs.

    """
    code = failure["code"]
    if code == _LIBRARY_NOT_FOUND:
        what, remedy = "the library found in place of the driver's is a stub", _without_stubs(environment)
    else:
        unknown = (f"NVML reports: {failure['text']}", "Reboot; if it persists, reinstall the NVIDIA driver.")
        what, remedy = _START.get(code, unknown)
        if host.container:
            what, remedy = _IN_CONTAINER.get(code, (what, remedy if code in _START else _ELSE_IN_CONTAINER))
        elif host.wsl:
            remedy = _IN_WSL
    return Problem(f"NVIDIA GPUs cannot be read: {what}.", remedy)


def _without_stubs(environment: Mapping[str, str]) -> str:
    """Name the folder in LD_LIBRARY_PATH that holds a copy of NVML."""
    folders = [folder for folder in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    holding = [folder for folder in folders if any(Path(folder).glob("libnvidia-ml.so*"))]
    stubs = next(iter([folder for folder in folders if "stubs" in Path(folder).parts] or holding), None)
    named = f"{stubs}, a folder of stubs or of conda's copy," if stubs else "the folder of stubs, or of conda's copy,"
    return f"Take {named} out of LD_LIBRARY_PATH, so that the driver's own libnvidia-ml.so.1 is found."


def failed_readings(failures: Sequence[Failure], host: Host) -> Iterator[Problem]:
    """Explain failed readings: what fails the same way on several GPUs is one problem."""
    groups: dict[tuple[Any, ...], list[Failure]] = {}
    for index, failure in failures:
        one_cause = failure["code"] in _LOST or (host.container and failure["code"] == _UNKNOWN)
        key = (failure["code"],) if one_cause else (failure["code"], failure["reading"], failure["text"], index is None)
        groups.setdefault(key, []).append((index, failure))
    for group in groups.values():
        yield _failed_reading(group, host)


def _failed_reading(group: Sequence[Failure], host: Host) -> Problem:
    indexes = list(dict.fromkeys(index for index, _ in group if index is not None))
    failure = group[0][1]
    device = _named(indexes) if indexes else "The NVIDIA driver"
    if host.container and failure["code"] == _UNKNOWN:
        to_what = device if indexes else "the NVIDIA driver"
        return Problem(f"This container has lost its access to {to_what} (NVML: Unknown Error).", _DEVICES_TAKEN)
    if failure["code"] in _LOST:
        what, remedy = _LOST[failure["code"]]
        verb, it = ("is", "it") if len(indexes) == 1 else ("are", "each")
        return Problem(f"{device} {verb} {what.format(it=it)}.", remedy)
    remedy = _READING.get(failure["code"], "Try again; if it persists, update the NVIDIA driver.")
    return Problem(f"{device}: {failure['reading']} could not be read ({failure['text']}).", remedy)


def _named(indexes: Sequence[int]) -> str:
    """Return ``GPU 3``, ``GPUs 0 to 7`` or ``GPUs 1, 4, 6``."""
    if len(indexes) == 1:
        return f"GPU {indexes[0]}"
    if len(indexes) > 2 and indexes == list(range(indexes[0], indexes[-1] + 1)):  # noqa: PLR2004 -- two are listed
        return f"GPUs {indexes[0]} to {indexes[-1]}"
    return f"GPUs {', '.join(map(str, indexes))}"
