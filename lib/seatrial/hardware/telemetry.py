"""Reads what every GPU does while a measurement runs: memory, utilization, power, temperature, clock, throttling."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from seatrial.hardware import amd
from seatrial.hardware.amd.telemetry import AmdTelemetry
from seatrial.hardware.apple_telemetry import AppleTelemetry
from seatrial.hardware.gpu_reading import GpuReading, MissingReadings
from seatrial.hardware.nvidia.telemetry import NvmlTelemetry


class GpuTelemetry:
    """Reads the load of every GPU repeatedly and cheaply.

    Use it as a context manager, from one thread. A driver that hangs blocks ``read``, so the caller's clock should run
    in another thread.

    Args:
        root: Folder of ``/sys``, for AMD GPUs.

    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._open = ExitStack()
        self._readers: list[NvmlTelemetry | AmdTelemetry | AppleTelemetry] = []
        self._missing: list[MissingReadings] = []
        self._nvml = NvmlTelemetry()

    def __enter__(self) -> Self:
        nvml = self._open.enter_context(self._nvml)
        cards = amd.serving(amd.cards(self._root), beside_cards=bool(nvml.gpus))
        self._readers = [nvml, AmdTelemetry(cards)]
        if sys.platform == "darwin":
            self._readers.append(AppleTelemetry())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()
        self._readers = []

    def read(self) -> list[GpuReading]:
        """Read every GPU, NVIDIA first; a GPU with MIG slices counts as one. Empty without GPUs."""
        return [reading for reader in self._readers for reading in reader.read()]

    def missing(self) -> dict[str, str]:
        """Return why readings are missing, by the field of ``GpuReading``; ``""`` is why no GPU was found."""
        found: dict[str, str] = {}
        for reader in self._readers:
            for name, reason in reader.missing.reasons().items():
                found[name] = f"{found[name]}; {reason}" if name in found else reason
        return found
