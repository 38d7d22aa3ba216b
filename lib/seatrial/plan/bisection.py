"""Bisection over whole numbers: the largest or smallest one for which something holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def largest(most: int, holds: Callable[[int], bool], near: Iterable[int] = ()) -> int:
    """Largest number from 1 to ``most`` for which ``holds``, 0 where none.

    Args:
        most: The largest that comes into question.
        holds: Whether a number will do; it stays false once it is.
        near: Numbers to look at first: where the answer is about known, few looks are needed.

    """
    if most < 1 or not holds(1):
        return 0
    low, high = 1, most
    for middle in near:
        if low < middle <= high:
            low, high = (middle, high) if holds(middle) else (low, middle - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def least(most: int, holds: Callable[[int], bool]) -> int | None:
    """Smallest number from 0 to ``most`` for which ``holds``, which stays true once it is; None where none."""
    if holds(0):
        return 0
    if not holds(most):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
