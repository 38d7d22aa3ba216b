"""Reads the memory and CPU limits of a container or batch job, from cgroup v1 and v2.

Any group from the process's own up to the root of the mount may have a limit; the smallest counts.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seatrial.hardware.kernel_files import read_number, read_text

_V1, _V2 = 1, 2
_MOUNT_FIELDS, _TYPE_FIELDS = 5, 3
"""Fewest fields of a line of mountinfo before and after the dash, see proc(5)."""
_NO_LIMIT = 1 << 60
"""cgroup v1 writes "no limit" as the largest multiple of a page; no machine has an exbibyte."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A control group, and the version of its hierarchy."""

    folder: Path
    version: int


def groups(controller: str, root: Path = Path("/"), process: str = "self") -> list[ControlGroup]:
    """List the groups of a process for ``controller`` (``memory``, ``cpu``), innermost first.

    Args:
        controller: Name of the controller; every v2 group counts, whichever controllers it has.
        root: Folder of ``/proc`` and ``/sys``.
        process: A process id, or ``self``.

    """
    found = []
    mounts = _mounts(root)
    for line in _lines(root / "proc" / process / "cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        version = _V2 if hierarchy == "0" else _V1
        if version == _V1 and controller not in controllers.split(","):
            continue
        mount = mounts.get("" if version == _V2 else controller)
        if mount is not None:
            found += [ControlGroup(folder, version) for folder in _upwards(*mount, path, root)]
    return found


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest memory limit on this process in bytes, None without a limit."""
    return min((limit for _, limit in memory_limits(root)), default=None)


def memory_left(root: Path = Path("/")) -> int | None:
    """Return the bytes this process may still take below its memory limits, None without a limit.

    Page cache that the kernel gives back on demand counts as free.
    """
    left = []
    for group, limit in memory_limits(root):
        used = memory_used(group)
        if used is not None:
            left.append(max(0, limit - used))
    return min(left, default=None)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the CPUs' worth of time this process may use, None without a quota."""
    return min((cpus for _, cpus in cpu_quotas(root)), default=None)


def cpu_quotas(root: Path = Path("/"), process: str = "self") -> list[tuple[ControlGroup, float]]:
    """List the groups of a process that have a CPU quota, each with its CPUs' worth of time."""
    quotas = []
    for group in groups("cpu", root, process):
        if group.version == _V2:
            quota, _, period = read_text(group.folder / "cpu.max").partition(" ")
        else:
            quota = read_text(group.folder / "cpu.cfs_quota_us")
            period = read_text(group.folder / "cpu.cfs_period_us")
        with contextlib.suppress(ValueError, ZeroDivisionError):
            share = int(quota) / int(period)
            quotas += [(group, share)] if share > 0 else []
    return quotas


def cpu_used_s(group: ControlGroup) -> float | None:
    """Return the CPU time that a group has used so far, None if it does not tell."""
    if group.version == _V1:  # the controller that counts is mounted with the one that limits, on every system we know
        used = read_number(group.folder / "cpuacct.usage")
        return None if used is None else used / 1e9
    fields = dict(line.split(" ", 1) for line in _lines(group.folder / "cpu.stat") if " " in line)
    used_us = fields.get("usage_usec", "")
    return int(used_us) / 1e6 if used_us.isdecimal() else None


def memory_limits(root: Path = Path("/"), process: str = "self") -> list[tuple[ControlGroup, int]]:
    """List the groups of a process that have a memory limit, each with its bytes."""
    found = ((group, _limit(group)) for group in groups("memory", root, process))
    return [(group, limit) for group, limit in found if limit is not None]


def _limit(group: ControlGroup) -> int | None:
    names = ["memory.limit_in_bytes"] if group.version == _V1 else ["memory.max", "memory.high"]
    limits = [read_number(group.folder / name) for name in names]
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)


def memory_used(group: ControlGroup) -> int | None:
    """Return the memory of the group without the page cache that the kernel can free at once."""
    used = read_number(group.folder / ("memory.usage_in_bytes" if group.version == _V1 else "memory.current"))
    return None if used is None else max(0, used - _clean_cache(group))


def _clean_cache(group: ControlGroup) -> int:
    """Return the page cache of the group that needs no writing before it is freed.

    A file that was mapped or read twice is on the active list and is freed as readily. Shared memory and locked pages are
    on other lists (cgroup-v2.rst and cgroup-v1/memory.rst, memory.stat).
    """
    fields = dict(line.split(" ", 1) for line in _lines(group.folder / "memory.stat") if " " in line)
    start, file = ("total_", "") if group.version == _V1 else ("", "file_")

    def size(name: str) -> int:
        value = fields.get(start + name, "")
        return int(value) if value.isdecimal() else 0

    clean = size("inactive_file") + size("active_file") - size(f"{file}dirty") - size(f"{file}writeback")
    return max(0, clean)


def _mounts(root: Path) -> dict[str, tuple[str, str]]:
    """Read the mounted part of the hierarchy and the mount point by controller; "" is cgroup v2."""
    found: dict[str, tuple[str, str]] = {}
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < _MOUNT_FIELDS or len(kind) < _TYPE_FIELDS:
            continue
        mount = (fields[3], fields[4])
        if kind[0] == "cgroup2":
            found.setdefault("", mount)
        elif kind[0] == "cgroup":
            for controller in kind[-1].split(","):
                found.setdefault(controller, mount)
    return found


def _upwards(mounted: str, mount_point: str, path: str, root: Path) -> list[Path]:
    """List the folders from the group at ``path`` up to the mount point.

    Inside a container the path may lie outside the mount ("/../..", or the host's path): then the mount point itself
    is the nearest group that can be read.
    """
    top = root / mount_point.lstrip("/")
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(mounted):
        return [top]
    inside = group.relative_to(mounted)
    return [top / part for part in [inside, *inside.parents]] if inside.parts else [top]


def _lines(path: Path) -> list[str]:
    return read_text(path).splitlines()
