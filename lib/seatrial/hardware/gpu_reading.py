"""What is read of one GPU at one moment, and why a reading is missing."""

from __future__ import annotations

from typing import NamedTuple


class GpuReading(NamedTuple):
    """Load of one GPU at one moment; unknown readings are None."""

    used_memory_bytes: int | None = None  # by all processes
    utilization: float | None = None  # share of the last moments in which a kernel ran, 0 to 1
    power_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None  # of the compute units
    throttle: str | None = None  # why the clock is held down; empty if it is not
    processes: tuple[int, ...] | None = None  # ids of those that compute on it, as the driver numbers them


class MissingReadings:
    """Reasons why readings of some GPUs failed."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[int, str]] = {}
        self._none = ""

    def note(self, reading: str, gpu: int, reason: str) -> None:
        """Note why a reading of a GPU is missing; the latest reason counts."""
        self._reasons.setdefault(reading, {})[gpu] = reason

    def note_none(self, reason: str) -> None:
        """Note why no GPU was found."""
        self._none = reason

    def reasons(self) -> dict[str, str]:
        """Return the reasons by reading, each with the numbers of its GPUs; ``""`` is why no GPU was found."""
        none = {"": self._none} if self._none else {}
        return none | {reading: _with_numbers(dict(by_gpu)) for reading, by_gpu in list(self._reasons.items())}


def _with_numbers(by_gpu: dict[int, str]) -> str:
    numbers: dict[str, list[str]] = {}
    for gpu, reason in sorted(by_gpu.items()):
        numbers.setdefault(reason, []).append(str(gpu))
    return "; ".join(f"{reason} (GPU {', '.join(gpus)})" for reason, gpus in numbers.items())
