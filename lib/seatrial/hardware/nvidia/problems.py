"""Explains NVML's error codes to a person, each with a remedy."""

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
    _NO_PERMISSION: "Run with the rights to read it; until then results show it as unknown.",
    _FUNCTION_NOT_FOUND: "Update the NVIDIA driver: this version is too old for it.",
}

_LOST = {
    _GPU_IS_LOST: (
        "is lost: it has fallen off the bus",
        "Reboot; if it happens again, check its power, seat and cooling.",
    ),
    _RESET_REQUIRED: ("needs a reset before it can be used", "Reset it with 'sudo nvidia-smi --gpu-reset', or reboot."),
}


def is_lost(failure: dict[str, Any]) -> bool:
    """Return True if a failed reading means that the GPU is unusable."""
    return failure["code"] in _LOST


def failed_start(failure: dict[str, Any]) -> Problem:
    """Explain why NVML did not start."""
    what, remedy = _START.get(
        failure["code"], (f"NVML reports: {failure['text']}", "Reboot; if it persists, reinstall the NVIDIA driver.")
    )
    return Problem(f"NVIDIA GPUs cannot be read: {what}.", remedy)


def failed_reading(failure: dict[str, Any], index: int | None) -> Problem:
    """Explain a failed reading of one GPU, or of the driver if ``index`` is None."""
    device = "The NVIDIA driver" if index is None else f"GPU {index}"
    if failure["code"] in _LOST:
        what, remedy = _LOST[failure["code"]]
        return Problem(f"{device} {what}.", remedy)
    remedy = _READING.get(failure["code"], "Try again; if it persists, update the NVIDIA driver.")
    return Problem(f"{device}: {failure['reading']} could not be read ({failure['text']}).", remedy)
