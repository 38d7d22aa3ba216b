"""What NVML's error codes mean for a person, and the one thing that mends each."""

from __future__ import annotations

from typing import Any

from seatrial.hardware.types import Problem

# nvmlReturn_t, https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
NOT_SUPPORTED = 3
_NO_PERMISSION = 4
_DRIVER_NOT_LOADED = 9
_FUNCTION_NOT_FOUND = 13
_GPU_IS_LOST = 15
_RESET_REQUIRED = 16
_OPERATING_SYSTEM = 17
_VERSION_MISMATCH = 18

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

_READING = {
    NOT_SUPPORTED: "The GPU or its driver does not offer this reading; results show it as unknown.",
    _NO_PERMISSION: "Run with the rights to read it; results show it as unknown until then.",
    _FUNCTION_NOT_FOUND: "Update the NVIDIA driver: this one is too old to tell.",
}

_LOST = {
    _GPU_IS_LOST: (
        "is lost: it has fallen off the bus",
        "Reboot; if it happens again check its power, seat and cooling.",
    ),
    _RESET_REQUIRED: ("needs a reset before it can be used", "Reset it with 'sudo nvidia-smi --gpu-reset', or reboot."),
}


def is_lost(failure: dict[str, Any]) -> bool:
    """Whether a failed reading means that the whole GPU is unusable."""
    return failure["code"] in _LOST


def failed_start(failure: dict[str, Any]) -> Problem:
    """NVML could not be started at all."""
    what, remedy = _START.get(
        failure["code"], (f"NVML said: {failure['text']}", "Reboot; if it persists reinstall the NVIDIA driver.")
    )
    return Problem(f"NVIDIA GPUs cannot be read: {what}.", remedy)


def failed_reading(failure: dict[str, Any], index: int | None) -> Problem:
    """One reading failed, of one GPU or (index None) of the driver."""
    whose = "The NVIDIA driver" if index is None else f"GPU {index}"
    if failure["code"] in _LOST:
        what, remedy = _LOST[failure["code"]]
        return Problem(f"{whose} {what}.", remedy)
    remedy = _READING.get(failure["code"], "Try again; if it persists update the NVIDIA driver.")
    return Problem(f"{whose}: {failure['reading']} could not be read ({failure['text']}).", remedy)
