"""Measures the memory bandwidth of this machine in a few seconds, and keeps it for later plans."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial import __version__, paths
from seatrial.hardware.bandwidth.record import (
    FORMAT,
    BandwidthRecord,
    GpuBandwidth,
    folder,
    is_plausible,
    kind_of,
    merged,
    with_measured_bandwidth,
    write_record,
)
from seatrial.hardware.detect import read_machine
from seatrial.hardware.probe_process import ProbeOutput, run_probe_program
from seatrial.hardware.types import Gpu, Hardware, Host, Problem
from seatrial.units import counted

DEADLINE_S = 4.5
"""For the readings of host and GPUs together. Detection comes before and takes well under a second, unless a driver hangs."""
_HOST_S, _GPU_S = 1.2, 0.4
_HOST_SHARE = 0.6
"""Share of the deadline that the host may take if there are GPUs."""
_THREAD_BYTES = 128 << 20
_LEAST_BUFFER, _MOST_BUFFER = 256 << 20, 2 << 30
"""A buffer of so many bytes a thread is larger than the caches; a quarter of the free memory if that is less."""
_TRY_AGAIN = "Measure again when the machine is less busy; until then plans use the figure of the data sheet."
_DRIVER_REMEDY = (
    "Plans use the figure of the data sheet. Free some memory of the GPU, or update its driver, and measure again."
)
_DRIVERS = {"nvidia": ("cuda", "CUDA"), "amd": ("hip", "ROCm")}


def measure_bandwidth(hardware: Hardware | None = None, *, deadline_s: float = DEADLINE_S) -> Hardware:
    """Measure how fast this machine's cores and each of its GPUs read memory; later plans here use the figures.

    Args:
        hardware: This machine, by default detected now. A machine that is only named comes back unchanged.
        deadline_s: Seconds all readings may take together.

    Returns:
        This machine with the measured figures. A reading that failed is one of its ``problems``.

    Raises:
        UsageError: If the state folder cannot be written.

    """
    if hardware is not None and hardware.origin != "measured":
        return hardware
    paths.private_dir(folder())
    hardware = hardware or read_machine()
    until = time.monotonic() + deadline_s
    figures, problems = _read_host(hardware.host, deadline_s * (_HOST_SHARE if hardware.gpus else 1))
    measured: list[GpuBandwidth] = []
    for vendor in dict.fromkeys(gpu.vendor for gpu in hardware.gpus):
        gpus = [gpu for gpu in hardware.gpus if gpu.vendor == vendor]
        environment = {**os.environ, **dict(setting.split("=", 1) for setting in hardware.engine_env)}
        found, failed = _read_gpus(vendor, gpus, max(0.0, until - time.monotonic()), environment)
        measured += found
        problems += failed
    record = BandwidthRecord(
        format=FORMAT,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=f"seatrial {__version__}",
        host=kind_of(hardware.host),
        read_bytes_per_s=figures.get("read"),
        decode_bytes_per_s=figures.get("decode"),
        prompt_flops=figures.get("prompt"),
        gpus=tuple(measured),
    )
    if figures or measured:
        write_record(merged(record))
        hardware = with_measured_bandwidth(hardware)
    return replace(hardware, problems=(*hardware.problems, *problems))


def _read_host(host: Host, deadline_s: float) -> tuple[dict[str, float], list[Problem]]:
    """Return the figures of the host by kind, with as many threads as llama.cpp gets, and the problems."""
    threads, free = host.llamacpp_threads or 1, host.memory_available_bytes
    wanted = min(max(_LEAST_BUFFER, threads * _THREAD_BYTES), _MOST_BUFFER)
    arguments = (str(threads), str(wanted if free is None else min(wanted, free // 4)), str(_HOST_S))
    done = run_probe_program(Path(__file__).with_name("host_probe.py"), *arguments, deadline_s=deadline_s)
    figures = {
        line["kind"]: line["per_s"] for line in done.lines if is_plausible(line.get("per_s") or 0.0) and "kind" in line
    }
    if done.late or done.code:
        what = "Timing llama.cpp's kernel on the host" if figures else "Measuring the memory bandwidth of the host"
        return figures, [Problem(f"{what} {_ending(done, deadline_s)}.", _TRY_AGAIN)]
    return figures, []


def _read_gpus(
    vendor: str, gpus: Sequence[Gpu], deadline_s: float, environment: Mapping[str, str] | None = None
) -> tuple[list[GpuBandwidth], list[Problem]]:
    """Return the bandwidth of each GPU of a vendor, and the problems of those without."""
    if vendor not in _DRIVERS:
        what = f"The memory bandwidth of {gpus[0].name} is not measured: Metal has no copy that a program can time."
        return [], [Problem(what, "Nothing to do: plans use the figure of the data sheet.")]
    driver, name = _DRIVERS[vendor]
    seconds = min(_GPU_S, deadline_s / 4)
    program = Path(__file__).with_name("gpu_probe.py")
    done = run_probe_program(program, driver, str(seconds), deadline_s=deadline_s, environment=environment)
    problems, rates = [], {}
    shown = sum(line.get("count", 0) for line in done.lines)
    for line in (line for line in done.lines if "count" not in line):
        rate = line.get("bytes_per_s", 0.0)
        if is_plausible(rate):
            rates[line["index"]] = rate
        else:
            why = line.get("failed", f"{rate:g} bytes a second by its own clock, which no memory has")
            what = f"The bandwidth of {_subject(line, name)} could not be measured: {why}."
            problems.append(Problem(what, _DRIVER_REMEDY))
    if done.late or done.code:
        problems.append(Problem(f"Measuring the GPUs through {name} {_ending(done, deadline_s)}.", _TRY_AGAIN))
    if shown > len(gpus):
        what = f"{name} shows {counted(shown, 'GPU')} and detection {len(gpus)}, so nothing tells which were measured."
        return [], [*problems, Problem(what, _DRIVER_REMEDY)]
    return _attribute(gpus, rates, shown), problems


def _attribute(gpus: Sequence[Gpu], rates: dict[int, float], shown: int) -> list[GpuBandwidth]:
    """Give each measured bandwidth to its GPU.

    The driver's order is that of the detected GPUs. If it shows fewer (it shows a process one MIG slice), the least
    bandwidth is that of all, provided that all are of one kind.
    """
    if shown < len(gpus):
        same = len({(gpu.name, gpu.memory_bytes) for gpu in gpus}) == 1
        rates = dict.fromkeys(range(len(gpus)), min(rates.values())) if same and rates else {}
    return [GpuBandwidth(gpus[index].name, gpus[index].memory_bytes, rate) for index, rate in sorted(rates.items())]


def _subject(line: dict[str, Any], driver: str) -> str:
    return f"the GPUs ({driver} did not start)" if line["index"] is None else f"GPU {line['index']}"


def _ending(done: ProbeOutput, deadline_s: float) -> str:
    if done.late:
        return f"took longer than {deadline_s:.1f} s"
    return f"ended with code {done.code}{': ' if done.last_error else ''}{done.last_error}"
