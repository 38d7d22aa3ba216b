"""Converts and formats sizes, durations and rates.

Elsewhere in the library sizes are int bytes, durations float seconds, rates per second. Only this module converts them.
GB is 1e9 bytes, GiB is 2**30.
"""

from __future__ import annotations

_KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
GB = 10**9


def from_gib(gib: float) -> int:
    """Return the bytes in ``gib`` GiB."""
    return round(gib * GIB)


def to_gib(size_bytes: float) -> float:
    """Return the GiB in ``size_bytes`` bytes."""
    return size_bytes / GIB


def to_gb(size_bytes: float) -> float:
    """Return the decimal gigabytes in ``size_bytes`` bytes."""
    return size_bytes / GB


def counted(count: int, noun: str) -> str:
    """Return ``1 request``, ``1,024 requests``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_gib(size_bytes: float | None) -> str:
    """Return ``148.6 GiB``; ``unknown`` for None."""
    return "unknown" if size_bytes is None else f"{to_gib(size_bytes):,.1f} GiB"


def format_bytes(size_bytes: float | None) -> str:
    """Return the size in the largest binary unit that gives at least 1; ``unknown`` for None."""
    if size_bytes is None:
        return "unknown"
    for unit, size in (("TiB", GIB << 10), ("GiB", GIB), ("MiB", MIB), ("KiB", _KIB)):
        if abs(size_bytes) >= size:
            return f"{size_bytes / size:,.1f} {unit}"
    return f"{size_bytes:,.0f} B"


_PREFIXES = {"K": _KIB, "M": MIB, "G": GIB, "T": GIB << 10}


def parse_bytes(text: str) -> int:
    """Return the bytes in ``3.50 GiB``, ``448.00 MiB`` or ``0 bytes``, as engines write sizes: GB counts as GiB.

    Raises:
        ValueError: If the text is no size.

    """
    number, _, unit = text.partition(" ")
    return round(float(number) * _PREFIXES.get(unit[:1].upper(), 1))


_ROUNDS_TO_A_SECOND, _ROUNDS_TO_A_MINUTE = 0.9995, 59.95


def format_seconds(seconds: float | None) -> str:
    """Return ``3.2 ms``, ``1.25 s``, ``2 min 5 s``; ``unknown`` for None."""
    if seconds is None:
        return "unknown"
    if abs(seconds) < _ROUNDS_TO_A_SECOND:
        return f"{seconds * 1e3:.3g} ms"
    if abs(seconds) < _ROUNDS_TO_A_MINUTE:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def format_rate(per_second: float | None, what: str = "tok") -> str:
    """Return ``1,284 tok/s``, ``12.8 tok/s``; ``unknown`` for None."""
    if per_second is None:
        return "unknown"
    digits = next((digits for digits, least in enumerate((100, 10)) if per_second >= least), 2)
    return f"{per_second:,.{digits}f} {what}/s"
