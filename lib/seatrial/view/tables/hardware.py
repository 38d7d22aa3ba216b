"""A machine as tables: its accelerators, its host, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from seatrial.hardware import Gpu, Hardware, Host, Problem, accelerators
from seatrial.units import counted, format_gib, to_gb
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import PlainText

_FEW_GB = 100
"""A bandwidth of fewer GB/s is shown with a decimal."""
_ORIGINS = {
    "measured": "Read on this machine",
    "derived": "Read on another machine or at another time",
    "assumed": "Described by its name, not read on a machine",
}


def tables_hardware(hardware: Hardware) -> list[Table]:
    """Return accelerators, host and problems of a machine, without empty tables."""
    tables = [table_accelerators(hardware)] if hardware.gpus else []
    tables.append(table_host(hardware))
    return [*tables, *([table_problems(hardware.problems)] if hardware.problems else [])]


def table_accelerators(hardware: Hardware) -> Table:
    """Return a row for each kind of accelerator; of equal ones the least free memory."""
    kinds = Counter(map(_kind, hardware.gpus))
    total = _total([gpu.memory_bytes for gpu in hardware.gpus])
    return Table(
        title=f"{hardware.name}: {counted(len(hardware.gpus), 'accelerator')}, {format_gib(total)} of memory",
        columns=("Count>", "Accelerator", "Memory>", "Free>", "Bandwidth>", "Arch", "Kind"),
        rows=tuple(_accelerator_row(kind, count, hardware.gpus) for kind, count in kinds.items()),
        note=f"Memory and bandwidth are those of each. {_source(hardware)}",
    )


def _kind(gpu: Gpu) -> Gpu:
    """Return a GPU without the readings in which equal GPUs differ."""
    bandwidth = None if gpu.bandwidth_measured_at else gpu.bandwidth_bytes_per_s
    return replace(gpu, memory_free_bytes=None, bandwidth_bytes_per_s=bandwidth)


def _accelerator_row(kind: Gpu, count: int, gpus: Sequence[Gpu]) -> Row:
    equal = [gpu for gpu in gpus if _kind(gpu) == kind]
    free = min((gpu.memory_free_bytes for gpu in equal if gpu.memory_free_bytes is not None), default=None)
    return (
        str(count),
        kind.name,
        format_gib(kind.memory_bytes),
        format_gib(free),
        _bandwidth([gpu.bandwidth_bytes_per_s for gpu in equal], kind.bandwidth_measured_at),
        kind.compute_capability or "unknown",
        "MIG slice" if kind.mig else _unified(kind) if kind.unified else "GPU",
    )


def _unified(gpu: Gpu) -> str:
    limit = gpu.memory_limit_bytes
    return "unified" if limit is None else f"unified, at most {format_gib(limit)}"


def _bandwidth(rates: Sequence[float | None], measured_at: str | None) -> str:
    """Return one bandwidth, or the range of several measured ones."""
    known = [rate for rate in rates if rate is not None]
    if not known:
        return "unknown"
    low, high = (f"{to_gb(rate):,.{int(to_gb(rate) < _FEW_GB)}f}" for rate in (min(known), max(known)))
    text = f"{low} GB/s" if low == high else f"{low} to {high} GB/s"
    return f"{text}, measured {measured_at[:10]}" if measured_at else text


def table_host(hardware: Hardware) -> Table:
    """Return CPU, memory, disk and driver, a row each."""
    host = hardware.host
    places = [name for name, true in (("container", host.container), ("WSL", host.wsl)) if true]
    rows = [
        ("CPU", host.cpu or "unknown"),
        ("Physical cores", "unknown" if host.cores is None else str(host.cores)),
        ("Memory", format_gib(host.memory_bytes)),
        ("Memory bandwidth", _bandwidth([host.bandwidth_bytes_per_s], host.bandwidth_measured_at)),
        *([] if host.decode_bytes_per_s is None else [("llama.cpp reads weights", _decode(host))]),
        ("Memory available", format_gib(host.memory_available_bytes)),
        ("Memory limit", "none" if host.memory_limit_bytes is None else format_gib(host.memory_limit_bytes)),
        ("Disk free for models", format_gib(host.disk_free_bytes)),
        ("Runs in", ", ".join(places) or "no container"),
        ("GPU driver", hardware.driver or "none"),
        ("CUDA, at most", hardware.cuda or "none"),
    ]
    if hardware.origin == "assumed":  # of a named machine only the memory is known, if anything
        rows = [row for row in rows if row[0] == "Memory"]
    title = f"Host of {hardware.name}" if hardware.gpus else "No accelerators: models run on the CPU"
    return Table(
        title=title,
        columns=("Host", "Value"),
        rows=tuple(rows),
        note="" if hardware.gpus else _source(hardware),
    )


def _decode(host: Host) -> str:
    rate = _bandwidth([host.decode_bytes_per_s], host.bandwidth_measured_at)
    return f"{rate}, {counted(host.llamacpp_threads or 1, 'thread')}"


def show_bandwidth(hardware: Hardware) -> PlainText:
    """Return what was measured of a machine's memory, each figure against its data sheet, in a sentence or two."""
    host, day = hardware.host, hardware.host.bandwidth_measured_at
    sentences = [
        text for gpu, count in Counter(map(_kind, hardware.gpus)).items() if (text := _measured(gpu, count, hardware))
    ]
    if day:
        threads = counted(host.llamacpp_threads or 1, "thread")
        sentences.append(
            f"The host's memory is read with {_bandwidth([host.bandwidth_bytes_per_s], None)} by {threads}."
        )
    if host.decode_bytes_per_s:
        rate = _bandwidth([host.decode_bytes_per_s], None)
        sentences.append(f"llama.cpp, which also has to multiply, gets through {rate} of four-bit weights.")
    if not sentences:
        here = hardware.origin == "measured"
        sentences = [
            "Nothing was measured: "
            + (
                "see the problems."
                if here
                else f"{hardware.name} is {'described by a file' if hardware.from_file else 'only named'}."
            )
        ]
    return PlainText(" ".join(sentences), title="Memory bandwidth, measured" if day else "Memory bandwidth")


def _measured(kind: Gpu, count: int, hardware: Hardware) -> str:
    """Return a sentence on the measured GPUs of a kind, empty if they were not measured."""
    if not kind.bandwidth_measured_at:
        return ""
    rates = [gpu.bandwidth_bytes_per_s for gpu in hardware.gpus if _kind(gpu) == kind]
    listed = accelerators()[kind.accelerator].bandwidth_gb_s if kind.accelerator else None
    text = f"{count} x {kind.name}: {_bandwidth(rates, None)}"
    least = min(rate for rate in rates if rate is not None)
    share = f", {to_gb(least) / listed:.0%} of the {listed:,.0f} GB/s of the data sheet" if listed else ""
    return f"{text}{share}."


def table_problems(problems: Sequence[Problem]) -> Table:
    """Return what could not be read or is wrong, and how to mend it."""
    return Table(
        title=counted(len(problems), "problem"),
        columns=("What", "What to do"),
        rows=tuple((problem.what, problem.remedy) for problem in problems),
    )


def _source(hardware: Hardware) -> str:
    return f"{_ORIGINS.get(hardware.origin, hardware.origin)}: {hardware.source}."


def _total(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
