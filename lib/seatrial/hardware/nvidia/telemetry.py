"""Reads the load of NVIDIA GPUs through NVML."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from seatrial.hardware.gpu_reading import GpuReading, MissingReadings

_PROCESSES_PERIOD_S = 5.0  # a driver takes long to list them
_COMPUTE_CLOCK = 1
"""nvmlClockType_t NVML_CLOCK_SM."""
_GPU_SENSOR = 0
"""nvmlTemperatureSensors_t NVML_TEMPERATURE_GPU."""
_THROTTLED = {
    0x002: "clock setting",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "thermal slowdown by software",
    0x040: "thermal slowdown by hardware",
    0x080: "power brake",
    0x100: "display clock setting",
}
"""Bits of nvmlClocksEventReasons (nvml.h) by their meaning; an idle GPU (0x1) is not held down."""
_MOST = {"used_memory_bytes": 1 << 50, "utilization": 1.0, "power_w": 1e5, "temperature_c": 200.0, "clock_mhz": 1e5}
"""Above, a figure is the driver's word for unknown: all bits set."""


class NvmlTelemetry:
    """The GPUs that NVML lists, in its order. A context manager, for one thread."""

    def __init__(self) -> None:
        self.missing = MissingReadings()
        self.gpus: list[Any] = []  # a handle each; None for one that is lost
        self._nvml: Any = None
        self._given_up: set[tuple[int, str]] = set()
        self._processes: list[tuple[int, ...] | None] = []
        self._processes_at = -_PROCESSES_PERIOD_S

    def __enter__(self) -> Self:
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self.missing.note_none(_said(error))
            return self
        self._nvml = pynvml
        try:
            self.gpus = [self._handle(index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            self.missing.note_none(_said(error))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._nvml, self.gpus = None, []

    def read(self) -> list[GpuReading]:
        """Read every GPU, a lost one too: the place in the list is its number."""
        now = time.monotonic()
        if now - self._processes_at >= _PROCESSES_PERIOD_S:
            self._processes = [self._ask(gpu, "processes") for gpu in range(len(self.gpus))]
            self._processes_at = now
        return [self._read_gpu(gpu) for gpu in range(len(self.gpus))]

    def _read_gpu(self, gpu: int) -> GpuReading:
        often = {name: self._ask(gpu, name) for name in _READINGS if name != "processes"}
        return GpuReading(**often, processes=self._processes[gpu])

    def _handle(self, index: int) -> Any:
        try:
            return self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError as error:
            for name in _READINGS:
                self.missing.note(name, index, _said(error))
            return None

    def _ask(self, gpu: int, name: str) -> Any:
        if self.gpus[gpu] is None or (gpu, name) in self._given_up:
            return None
        try:
            value = _first(self._nvml, self.gpus[gpu], _READINGS[name])
        except self._nvml.NVMLError as error:
            self.missing.note(name, gpu, self._reason(error, gpu, name))
            if isinstance(error, self._nvml.NVMLError_GpuIsLost):
                self._lose(gpu, error)
            elif isinstance(error, self._nvml.NVMLError_NotSupported | self._nvml.NVMLError_FunctionNotFound):
                self._given_up.add((gpu, name))
            return None
        if name in _MOST and not 0 <= value <= _MOST[name]:
            self.missing.note(name, gpu, f"NVML gave {value:,g}, which cannot be right")
            return None
        return value

    def _lose(self, gpu: int, error: Exception) -> None:
        """Ask a GPU that is lost nothing more: each call may take seconds."""
        self.gpus[gpu] = None
        for name in _READINGS:
            self.missing.note(name, gpu, _said(error))

    def _reason(self, error: Exception, gpu: int, name: str) -> str:
        if name == "utilization" and isinstance(error, self._nvml.NVMLError_NotSupported):
            with contextlib.suppress(self._nvml.NVMLError):
                if self._nvml.nvmlDeviceGetMigMode(self.gpus[gpu])[0]:
                    return "NVML does not tell the utilization of a GPU with MIG on"
        return _said(error)


def _first(nvml: Any, gpu: Any, ways: tuple[_Way, ...]) -> Any:
    """Return what the first way gives that this binding and this driver have."""
    for way in ways[:-1]:
        with contextlib.suppress(AttributeError, nvml.NVMLError_FunctionNotFound):
            return way(nvml, gpu)
    return ways[-1](nvml, gpu)


_Way = Callable[[Any, Any], Any]
_READINGS: dict[str, tuple[_Way, ...]] = {
    "used_memory_bytes": (lambda nvml, gpu: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),),
    "utilization": (lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,),
    "power_w": (lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,),
    "temperature_c": (
        lambda nvml, gpu: float(nvml.nvmlDeviceGetTemperatureV(gpu, _GPU_SENSOR)),
        lambda nvml, gpu: float(nvml.nvmlDeviceGetTemperature(gpu, _GPU_SENSOR)),  # drivers before CUDA 13
    ),
    "clock_mhz": (lambda nvml, gpu: float(nvml.nvmlDeviceGetClockInfo(gpu, _COMPUTE_CLOCK)),),
    "throttle": (
        lambda nvml, gpu: _words(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)),
        lambda nvml, gpu: _words(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)),  # drivers before 535
    ),
    "processes": (lambda nvml, gpu: tuple(one.pid for one in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)),),
}
"""Ways to ask for each field of ``GpuReading``, in its order."""


def _words(bits: int) -> str:
    return ", ".join(word for bit, word in _THROTTLED.items() if bits & bit)


def _said(error: Exception) -> str:
    return f"NVML says {error}"
