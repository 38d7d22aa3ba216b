"""Queries the NVIDIA driver in a process of its own, so that a driver that hangs does not stop this one."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from pathlib import Path
from typing import Any

from seatrial.hardware.probe_process import run_probe_program
from seatrial.hardware.types import Problem

_LIBRARY = "libnvidia-ml.so.1"
DEADLINE_S = 5.0
_NVIDIA_PCI_VENDOR = "0x10de"
_DISPLAY_PCI_CLASS = "0x03"


def run_probe(deadline_s: float) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Run ``nvml_probe``, and return its lines before the deadline and the problems."""
    done = run_probe_program(Path(__file__).with_name("nvml_probe.py"), deadline_s=deadline_s)
    problems = []
    if done.late:
        problems.append(
            Problem(
                f"The NVIDIA driver did not answer within {deadline_s:g} s.",
                "Look for Xid errors with dmesg; a reboot usually helps.",
            )
        )
    if done.code:
        said = f": {done.last_error}" if done.last_error else "."
        problems.append(
            Problem(
                f"Reading the NVIDIA GPUs ended with code {done.code}{said}",
                "Reinstall the NVIDIA driver and the package nvidia-ml-py.",
            )
        )
    return done.lines, problems


def check_library(root: Path = Path("/"), library: str = _LIBRARY) -> tuple[Problem, ...] | None:
    """Return None if NVML can be loaded, else the problems; there are none on a machine without an NVIDIA GPU."""
    if sys.platform != "linux":
        return ()
    try:
        ctypes.CDLL(library)
    except OSError as error:
        if "No such file" not in str(error):
            return (Problem(f"The NVIDIA driver library cannot be loaded: {error}.", "Reinstall the NVIDIA driver."),)
    else:
        return None
    if (root / "proc/driver/nvidia").exists() or any((root / "dev").glob("nvidia*")):
        return (
            Problem(
                f"The NVIDIA driver is loaded, but its library {library} is not found.",
                "Start a container with the NVIDIA Container Toolkit (docker run --gpus all); "
                "on other machines install the driver's library package (libnvidia-compute).",
            ),
        )
    if _on_pci_bus(root):
        return (
            Problem(
                "An NVIDIA GPU is on the PCI bus, but no NVIDIA driver is installed.",
                "Install the NVIDIA driver of your distribution and reboot.",
            ),
        )
    return ()


def _on_pci_bus(root: Path) -> bool:
    for device in (root / "sys/bus/pci/devices").glob("*"):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
            if vendor == _NVIDIA_PCI_VENDOR and kind.startswith(_DISPLAY_PCI_CLASS):
                return True
    return False
