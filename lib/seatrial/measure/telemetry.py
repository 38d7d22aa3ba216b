"""Reads an engine, its GPUs and its machine while it is measured, twice a second.

A thread of its own reads them, so that a driver that hangs delays neither the load nor the clock.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from seatrial.hardware.gpu_reading import GpuReading
from seatrial.hardware.host_load import HostLoad
from seatrial.hardware.telemetry import GpuTelemetry
from seatrial.measure.gpu_processes import count_processes
from seatrial.measure.latest import Latest
from seatrial.measure.process_tree import ProcessTree

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.measure.metrics_page import MetricsPage
    from seatrial.server.metrics import ServerMetrics

_PERIOD_S = 0.5
_METRICS_PERIOD_S = 1.0  # seldom, since the engine answers beside its work
_FRESH_S = 2.0  # a reading is no older, or it is none
_ELSEWHERE = "the server's processes are not seen from here: it runs on another machine, or as another user"
_NO_ANSWER = "the driver of the GPUs does not answer"
_HIDDEN = "the driver does not show which processes use the GPUs, as in a container"
_TOO_SHORT = "the measurement ended before the second reading"


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of an engine, its GPUs and its machine at one instant; names and units as in ``Sample``."""

    cpu_share: float | None = None
    memory_bytes: int | None = None
    host_cpu_share: float | None = None
    host_memory_bytes: int | None = None
    gpu_memory_bytes: tuple[int | None, ...] = ()
    gpu_utilization: tuple[float | None, ...] = ()
    gpu_power_w: tuple[float | None, ...] = ()
    gpu_temperature_c: tuple[float | None, ...] = ()
    gpu_clock_mhz: tuple[float | None, ...] = ()
    gpu_throttle: tuple[str | None, ...] = ()
    gpu_engine_processes: tuple[int | None, ...] = ()
    gpu_other_processes: tuple[int | None, ...] = ()
    running_requests: int | None = None
    waiting_requests: int | None = None
    kv_cache_usage: float | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    cached_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None
    preemptions: int | None = None


_OF_GPU = {
    "gpu_memory_bytes": "used_memory_bytes",
    "gpu_utilization": "utilization",
    "gpu_power_w": "power_w",
    "gpu_temperature_c": "temperature_c",
    "gpu_clock_mhz": "clock_mhz",
    "gpu_throttle": "throttle",
}
"""Field of ``GpuReading`` for each field of ``Reading``."""
_OF_SERVER = {
    "running_requests": "running",
    "waiting_requests": "waiting",
    **{name: name for name in ("kv_cache_usage", "prompt_tokens", "generated_tokens", "cached_tokens")},
    **{name: name for name in ("drafted_tokens", "accepted_tokens", "preemptions")},
}
"""Field of ``ServerMetrics`` for each field of ``Reading``."""


class Telemetry:
    """Latest reading of an engine and its machine. A context manager.

    Args:
        pid: First process of the engine; None: it is not seen from here, and nothing is read of its machine.
        page: Asks the server itself; None: it shows no figures.

    """

    def __init__(self, pid: int | None, page: MetricsPage | None = None) -> None:
        self._page = page
        self._tree = None if pid is None else ProcessTree(pid)
        self._missing_of_gpus: dict[str, str] = {}
        self._answered = False  # by the server, with any figure
        self._host = self._gpus = self._server = None
        if pid is not None:
            self._host = Latest(self._read_host(HostLoad(process=str(pid))), "telemetry", _PERIOD_S, _FRESH_S)
            self._gpus = Latest(self._read_gpus(), "gpu telemetry", _PERIOD_S, _FRESH_S)
        if page is not None:
            self._server = Latest(self._read_server(page), "server telemetry", _METRICS_PERIOD_S, _FRESH_S)

    @property
    def latest(self) -> Reading:
        """Last complete reading; what is older than two seconds is left out."""
        figures: dict[str, Any] = dict(self._host.value or {}) if self._host else {}
        server = self._server.value if self._server else None
        if server is not None:
            figures |= {name: getattr(server, figure) for name, figure in _OF_SERVER.items()}
        gpus = (self._gpus.value if self._gpus else None) or []
        if gpus:
            figures |= {name: tuple(getattr(gpu, figure) for gpu in gpus) for name, figure in _OF_GPU.items()}
        if gpus and self._tree is not None:
            own, other = count_processes(gpus, self._tree)
            figures |= {"gpu_engine_processes": own, "gpu_other_processes": other}
        return Reading(**figures)

    def missing(self) -> dict[str, str]:
        """Return why a reading would be missing, by the field of ``Sample``."""
        gone = _ELSEWHERE if self._host is None else self._host.broken or _TOO_SHORT
        reasons = dict.fromkeys(("cpu_share", "memory_bytes", "host_cpu_share", "host_memory_bytes"), gone)
        of_gpus = self._missing_of_gpus
        if self._gpus is not None and self._gpus.broken:
            of_gpus = {"": self._gpus.broken}
        hidden = {"gpu_engine_processes": "processes", "gpu_other_processes": "processes"}
        for name, figure in (_OF_GPU | hidden).items():
            reasons[name] = of_gpus.get(figure) or of_gpus.get("") or (_HIDDEN if name in hidden else gone)
        for name, figure in _OF_SERVER.items():
            page = self._page
            reasons[name] = page.why_missing(figure, page=self._answered) if page else "the server shows no figures"
        return reasons

    def ask_server(self) -> None:
        """Begin to ask the server for its figures: it has shown that it is one."""
        if self._server is not None and not self._server.running:
            self._server.start()

    def __enter__(self) -> Self:
        for each in (self._host, self._gpus):
            if each is not None:
                each.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._host, self._gpus, self._server):
            if each is not None:
                each.stop()

    def _read_host(self, host: HostLoad) -> Generator[dict[str, Any]]:
        while self._tree is not None:
            share, resident = self._tree.read()
            yield {
                "cpu_share": share,
                "memory_bytes": resident,
                "host_cpu_share": host.cpu_share(),
                "host_memory_bytes": host.memory_bytes(),
            }

    def _read_gpus(self) -> Generator[list[GpuReading]]:
        self._missing_of_gpus = {"": _NO_ANSWER}  # until it does
        with GpuTelemetry() as gpus:
            while True:
                readings = gpus.read()
                missing = gpus.missing()
                why = missing.pop("", "")
                none = f"no GPU was found ({why})" if why else "no GPU was found"
                self._missing_of_gpus = missing if readings else {"": none}
                yield readings

    def _read_server(self, page: MetricsPage) -> Generator[ServerMetrics | None]:
        try:
            while True:
                figures = page.read()
                self._answered = self._answered or figures is not None
                yield figures
        finally:
            page.close()
