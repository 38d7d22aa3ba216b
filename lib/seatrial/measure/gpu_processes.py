"""Tells the engine's processes on each GPU from those of others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seatrial.hardware.gpu_reading import GpuReading
from seatrial.measure.process_tree import ProcessTree

_COMPUTES_BYTES = 1 << 30  # memory in use on a GPU on which somebody computes
_FIRST_NAMESPACE = "pid:[4026531836]"
"""Process ids of the machine itself: PROC_PID_INIT_INO, include/linux/proc_ns.h."""


def count_processes(
    gpus: Sequence[GpuReading], tree: ProcessTree, own_numbers: bool | None = None
) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """Return how many processes of the engine, and how many of others, compute on each GPU; None if the driver hides them.

    Args:
        gpus: What the driver said.
        tree: The engine's processes.
        own_numbers: True if this process has process ids of its own, as in a container: the driver may then count by
            those of the machine. None: look.

    """
    belongs = [None if gpu.processes is None else [tree.belongs(pid) for pid in gpu.processes] for gpu in gpus]
    known = any(True in row for row in belongs if row is not None)
    if not known and (_has_own_numbers() if own_numbers is None else own_numbers):
        return (None,) * len(gpus), (None,) * len(gpus)
    shown = [_shown(gpu, row) for gpu, row in zip(gpus, belongs, strict=True)]
    return (
        tuple(None if row is None else row.count(True) for row in shown),
        tuple(None if row is None else row.count(False) for row in shown),
    )


def _shown(gpu: GpuReading, belongs: list[bool | None] | None) -> list[bool | None] | None:
    """Return None for a GPU whose processes the driver does not show, all or some of them."""
    if belongs is None or None in belongs:
        return None
    return None if not belongs and (gpu.used_memory_bytes or 0) > _COMPUTES_BYTES else belongs


def _has_own_numbers() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) != _FIRST_NAMESPACE
    except OSError:
        return False
