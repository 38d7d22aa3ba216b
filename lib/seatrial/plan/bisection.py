"""Bisection over whole numbers: finds the largest or smallest number that will do."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def largest(most: int, will_do: Callable[[int], bool], guesses: Iterable[int] = ()) -> int:
    """Return the largest number from 1 to ``most`` that will do; 0 if none does.

    Args:
        most: The largest possible answer.
        will_do: Return True if a number will do; once False, it stays False for larger numbers.
        guesses: Numbers to try first; good guesses save trials.

    """
    if most < 1 or not will_do(1):
        return 0
    low, high = 1, most
    for guess in guesses:
        if low < guess <= high:
            low, high = (guess, high) if will_do(guess) else (low, guess - 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if will_do(middle) else (low, middle - 1)
    return low


def least(most: int, will_do: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 0 to ``most`` that will do, as all larger ones do; None if none does."""
    if will_do(0):
        return 0
    if not will_do(most):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if will_do(middle) else (middle + 1, high)
    return low
