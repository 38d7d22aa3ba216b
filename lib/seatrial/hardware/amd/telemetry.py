"""Reads the load of AMD GPUs from sysfs, as amdgpu writes it there."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from seatrial.hardware.amd.cards import Card
from seatrial.hardware.amd.integrated import is_integrated
from seatrial.hardware.amd.shared_memory import used_bytes
from seatrial.hardware.gpu_reading import GpuReading, MissingReadings
from seatrial.hardware.kernel_files import read_number, read_start, read_text

_FILES = {
    "used_memory_bytes": "no mem_info_vram_used",
    "utilization": "no gpu_busy_percent",
    "power_w": "no power sensor under hwmon",
    "temperature_c": "no temperature sensor under hwmon",
    "clock_mhz": "no sclk sensor under hwmon",
    "processes": "amdgpu does not list them in sysfs",
}
"""Why a reading is missing if its file is."""
_SENSORS = ("edge", "junction", "")
"""Temperatures by their label, the preferred first: cards of data centers have no edge sensor."""
_POWER = ("power1_average", "power1_input")
_STATUS_AT: dict[tuple[int, ...], int] = {(1, 3): 112, (2, 2): 120, (2, 3): 120, (2, 4): 120}
"""Byte of ``indep_throttle_status`` in each revision of gpu_metrics that has it (kgd_pp_interface.h)."""
_STATUS = struct.Struct("<Q")
_STATUS_END = max(_STATUS_AT.values()) + _STATUS.size
_UNKNOWN = (1 << 64) - 1
_THROTTLED = {
    "power cap": range(8),
    "current limit": range(16, 24),
    "thermal slowdown": range(32, 46),
    "hardware slowdown": range(46, 48),
    "other": range(56, 58),
}
"""Bits of that status by their meaning: SMU_THROTTLER_*_BIT of amdgpu_smu.h."""


class AmdTelemetry:
    """The GPUs of the amdgpu driver that serve a model."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.missing = MissingReadings()
        self._cards = [_Sensors(card) for card in cards]

    def read(self) -> list[GpuReading]:
        """Read every GPU."""
        readings = [card.read() for card in self._cards]
        for gpu, (card, reading) in enumerate(zip(self._cards, readings, strict=True)):
            for name, value in reading._asdict().items():
                if value is None:
                    self.missing.note(name, gpu, card.why_missing(name))
        return readings


class _Sensors:
    """The files of one card, which are looked up once."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._integrated = is_integrated(card)
        folders = sorted((card.device / "hwmon").glob("hwmon*"))
        self._temperature = _sensor(folders, "temp", _SENSORS)
        self._clock = _sensor(folders, "freq", ("sclk",))
        self._power = next((path for folder in folders for name in _POWER if (path := folder / name).exists()), None)
        self._metrics = card.device / "gpu_metrics"

    def read(self) -> GpuReading:
        """Read them."""
        card = self._card
        busy = card.number("gpu_busy_percent")
        return GpuReading(
            used_bytes(card) if self._integrated else card.number("mem_info_vram_used"),
            None if busy is None or busy > 100 else busy / 100,  # noqa: PLR2004 -- percent
            _scaled(self._power, 1e6),
            _scaled(self._temperature, 1e3),
            _scaled(self._clock, 1e6),
            self._throttle(),
        )

    def why_missing(self, name: str) -> str:
        """Return why a reading is missing."""
        if name != "throttle":
            return f"amdgpu: {_FILES[name]}"
        revision = ".".join(map(str, read_start(self._metrics, 4)[2:4]))
        return f"amdgpu: no throttle status in gpu_metrics {revision}" if revision else "amdgpu: no gpu_metrics"

    def _throttle(self) -> str | None:
        table = read_start(self._metrics, _STATUS_END)
        at = _STATUS_AT.get(tuple(table[2:4]))
        if at is None or len(table) < at + _STATUS.size:
            return None
        (status,) = _STATUS.unpack_from(table, at)
        if status == _UNKNOWN:
            return None
        return ", ".join(word for word, bits in _THROTTLED.items() if any(status >> bit & 1 for bit in bits))


def _sensor(folders: Iterable[Path], kind: str, labels: Sequence[str]) -> Path | None:
    """Return the input file of the sensor with the first of these labels; "" is one without a label."""
    found = {
        read_text(path.with_name(path.name.replace("_input", "_label"))): path
        for folder in folders
        for path in sorted(folder.glob(f"{kind}*_input"), reverse=True)
    }
    return next((found[label] for label in labels if label in found), None)


def _scaled(path: Path | None, unit: float) -> float | None:
    value = None if path is None else read_number(path)
    return None if value is None else value / unit
