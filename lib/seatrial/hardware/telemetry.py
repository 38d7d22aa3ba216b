"""Reads memory in use, utilization and power of every GPU while a measurement runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from seatrial.hardware import amd


class GpuReading(NamedTuple):
    """Load of one GPU at one moment; unknown readings are None."""

    used_memory_bytes: int | None  # by all processes
    utilization: float | None  # share of the last moments in which a kernel ran, 0 to 1
    power_w: float | None


class GpuTelemetry:
    """Reads the load of every GPU repeatedly and cheaply.

    Use it as a context manager, from one thread. A driver that hangs blocks ``read``, so the caller's clock should run
    in another thread.

    Args:
        root: Folder of ``/sys``, for AMD GPUs.

    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._nvml: Any = None
        self._handles: list[Any] = []
        self._cards: list[amd.Card] = []

    def __enter__(self) -> Self:
        self._read_nvml()
        self._cards = amd.serving(amd.cards(self._root), beside_cards=bool(self._handles))
        return self

    def _read_nvml(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:  # no driver, no library: nothing to read
            return
        self._nvml = pynvml
        with contextlib.suppress(pynvml.NVMLError):
            for index in range(pynvml.nvmlDeviceGetCount()):
                with contextlib.suppress(pynvml.NVMLError):  # a lost GPU has no handle
                    self._handles.append(pynvml.nvmlDeviceGetHandleByIndex(index))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._nvml, self._handles, self._cards = None, [], []

    def read(self) -> list[GpuReading]:
        """Read every GPU, NVIDIA first; a GPU with MIG slices counts as one. Empty without GPUs."""
        return [*map(self._read_nvidia, self._handles), *map(_read_amd, self._cards)]

    def _read_nvidia(self, handle: Any) -> GpuReading:
        memory = self._ask(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = self._ask(self._nvml.nvmlDeviceGetPowerUsage, handle)
        return GpuReading(
            None if memory is None else int(memory.used),
            None if rates is None else rates.gpu / 100,
            None if milliwatts is None else milliwatts / 1000,
        )

    def _ask(self, function: Callable[[Any], Any], handle: Any) -> Any:
        try:
            return function(handle)
        except self._nvml.NVMLError:
            return None


def _read_amd(card: amd.Card) -> GpuReading:
    busy = card.number("gpu_busy_percent")
    used = amd.used_bytes(card) if amd.is_integrated(card) else card.number("mem_info_vram_used")
    return GpuReading(used, None if busy is None else busy / 100, card.power_w)
