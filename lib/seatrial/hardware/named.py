"""Describes a machine by its name: ``h100x8``, ``rtx4090x2``, ``m3-ultra-512gb``, ``h100x4+l40sx1``."""

from __future__ import annotations

import re
from collections import Counter

from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware.accelerators import DATA_FILE, Accelerator, accelerators
from seatrial.hardware.types import CUDA_ORDER, Gpu, Hardware, Host
from seatrial.units import GB, GIB, from_gib

_SIZE_SUFFIX = re.compile(r"(?P<key>.+)-(?P<size>[0-9]+)gb")
_COUNT_SUFFIX = re.compile(r"(?P<key>.+)x(?P<count>[0-9]+)")
_MAX_NAME_LENGTH = 100
AUTO, CPU = "auto", "cpu"
"""This machine with its accelerators, and a machine without any."""


def named_machine(name: str, host_memory_gib: float | None = None) -> Hardware:
    """Describe the machine with this name.

    Args:
        name: Accelerator key and count, ``+`` between different kinds; memory size for Apple
            and other unified-memory machines; ``cpu`` for a machine without accelerators.
        host_memory_gib: Host memory in GiB, None if unknown.

    Raises:
        UnknownNameError: If there is no such accelerator; the message lists the nearest ones.
        UsageError: If the count is 0 or absurd, the memory size was never sold, the product was
            never released, a unified-memory machine gets a host memory, or the name is ``auto``
            (:func:`detect_hardware` reads this machine).

    """
    folded = name.casefold()
    if folded == AUTO:
        raise UsageError(f"{name} is this machine, not a named one.", remedy="Detect it: detect_hardware().")
    if folded == CPU:
        given = host_memory_gib is not None
        source = f"host memory as given, {host_memory_gib:g} GiB" if given else "no accelerators; host memory unknown"
        return Hardware(CPU, (), _host(name, None, host_memory_gib), None, None, "assumed", source)
    if len(name) > _MAX_NAME_LENGTH:
        raise _unknown(name)
    gpus: list[Gpu] = []
    for part in folded.split("+"):
        gpus += _gpus(name, part)
    _check_count(name, len(gpus), max(map(_max_count, gpus)))
    unified = [gpu for gpu in gpus if gpu.unified]
    if unified and len(gpus) > 1:
        raise UsageError(
            f"{name} joins a machine with unified memory and {len(gpus) - 1} more; there is no such machine.",
            remedy="Name one machine, and give the number of machines with --nodes.",
        )
    return Hardware(
        name=machine_name(tuple(gpus)),
        gpus=tuple(gpus),
        host=_host(name, unified[0] if unified else None, host_memory_gib),
        driver=None,
        cuda=None,
        origin="assumed",
        source=f"{DATA_FILE} ({_checked(gpus)})",
        engine_env=(CUDA_ORDER,) if any(gpu.vendor == "nvidia" for gpu in gpus) else (),
    )


def machine_name(gpus: tuple[Gpu, ...]) -> str:
    """Return the name of a machine with these accelerators: ``h100x8``, ``h100x4+l40sx1``, ``cpu``."""
    counts = Counter(map(_key, gpus))
    return "+".join(key if _has_size(key) else f"{key}x{count}" for key, count in counts.items()) or CPU


def _gpus(name: str, part: str) -> list[Gpu]:
    """Make the accelerators of one part of a name."""
    key, count, size_gb = _split(name, part)
    accelerator = accelerators()[key]
    if count < 1:
        raise UsageError(f"{name} asks for {count} accelerators.", remedy=f"Ask for at least one: {key}x1.")
    _check_count(name, count, accelerator.gpus_per_node_max, part.removesuffix(f"x{count}"))
    memory_bytes = accelerator.memory_bytes if size_gb is None else accelerator.bytes_of(size_gb)
    return [accelerator.to_gpu(memory_bytes)] * count


def _split(name: str, part: str) -> tuple[str, int, int | None]:
    """Split ``h100x8`` or ``m3-ultra-512gb`` into key, count and memory size (GB)."""
    known = accelerators()
    others = {name: row.key for row in known.values() for name in row.other_names}
    key, count, size_gb = part, 1, None
    # The whole name comes first: the keys mi300x and rtx4090 have an x themselves.
    if key not in {*known, *others} and (match := _COUNT_SUFFIX.fullmatch(key)):
        key, count = match["key"], int(match["count"])
        if f"{key}x" in known:  # people write mi355x8 for eight of mi355x
            key = f"{key}x"
    if key not in {*known, *others} and (match := _SIZE_SUFFIX.fullmatch(key)):
        key, size_gb = match["key"], int(match["size"])
    key = others.get(key, key)
    if key not in known or (size_gb is not None and not known[key].unified_memory):
        raise _unknown(name)
    _check_size(name, known[key], size_gb)
    return key, count, size_gb


def _unknown(name: str) -> UnknownNameError:
    released = [row.key for row in accelerators().values() if row.memory_gb is not None]
    a_path = "/" in name or name.endswith(".json")
    return UnknownNameError("hardware", name, [*released, CPU, AUTO], hint="There is no such file." if a_path else "")


def _max_count(gpu: Gpu) -> int:
    return accelerators()[gpu.accelerator].gpus_per_node_max if gpu.accelerator else 1


def _check_count(name: str, count: int, most: int, one: str | None = None) -> None:
    """Refuse more accelerators than a machine has; ``one`` is the name of a machine that is built around one."""
    if count > most:
        example = f" --hardware {one} --nodes {count}" if one and most == 1 else " --nodes"
        raise UsageError(
            f"{name} asks for {count:,} accelerators in one machine; such machines have at most {most}.",
            remedy=f"Give the number of machines with{example}.",
        )


def _check_size(name: str, accelerator: Accelerator, size_gb: int | None) -> None:
    """Refuse a product that was never released, and a memory size that is missing or was never sold."""
    options = accelerator.memory_options_gb
    if accelerator.memory_gb is None:
        raise UsageError(
            f"{name}: {accelerator.name} was never released ({accelerator.notes[0]}).",
            remedy="Name a machine that exists, for example m3-ultra-512gb.",
        )
    if options is None:
        if size_gb not in {None, accelerator.memory_gb}:
            raise UsageError(
                f"{name}: {accelerator.name} has {accelerator.memory_gb:g} GB, not {size_gb}.",
                remedy=f"Name it {accelerator.key}.",
            )
    elif size_gb not in options:
        sold = ", ".join(map(str, options))
        wrong = "needs a memory size in its name" if size_gb is None else f"was never sold with {size_gb} GB"
        raise UsageError(
            f"{name}: {accelerator.name} {wrong}; sizes are {sold} GB.",
            remedy=f"Name one with its size: {accelerator.key}-{options[-1]}gb.",
        )


def _host(name: str, unified: Gpu | None, host_memory_gib: float | None) -> Host:
    if unified is None:
        return Host(memory_bytes=None if host_memory_gib is None else from_gib(host_memory_gib))
    if host_memory_gib is not None:
        raise UsageError(
            f"{name} has one memory for CPU and GPU, and its name gives the size. A host memory of "
            f"{host_memory_gib:g} GiB contradicts that.",
            remedy="Leave the host memory out.",
        )
    return Host(memory_bytes=unified.memory_bytes, bandwidth_bytes_per_s=unified.bandwidth_bytes_per_s)


def _checked(gpus: list[Gpu]) -> str:
    keys = sorted({gpu.accelerator for gpu in gpus if gpu.accelerator})
    return ", ".join(f"{key} checked {accelerators()[key].checked}" for key in keys)


def _key(gpu: Gpu) -> str:
    """Return the key of an accelerator; for an unlisted one, the driver's name as a key."""
    if gpu.accelerator is None:
        return re.sub(r"[^a-z0-9.]+", "-", gpu.name.casefold().removeprefix("nvidia ")).strip("-") or gpu.vendor
    options, reported = accelerators()[gpu.accelerator].memory_options_gb, gpu.memory_bytes
    if not options or reported is None:
        return gpu.accelerator
    # A machine sold with 128 GB reports between 120 GiB (firmware takes a share) and 128 GiB.
    nearest = min(options, key=lambda size: min(abs(size * unit - reported) for unit in (GB, GIB)))
    return f"{gpu.accelerator}-{nearest}gb"


def _has_size(key: str) -> bool:
    base = re.sub(r"-[0-9]+gb$", "", key)
    return base != key and base in accelerators() and key not in accelerators()
