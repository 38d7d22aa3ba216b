"""Which of a GPU's peak rates a model's matrix products run at, and what is missing where none is known."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from seatrial.hardware.accelerators import Accelerator, accelerators

_FOUR_BITS = frozenset({"fp4", "nvfp4"})
"""Formats whose experts a GPU without FP4 units widens to BF16 before it multiplies."""


class Rate(NamedTuple):
    """Dense peak in the format computed in (operations per second, None where not known), and what to say of it."""

    flops: float | None
    note: str


@cache
def compute_rate(
    accelerator: str | None, precision: str | None, bf16_flops: float | None, fp8_flops: float | None
) -> Rate:
    """The rate for experts of ``precision``.

    FP8 units do the FP8 and FP4 checkpoints where the GPU knows the format, BF16 units everything
    else: the arithmetic of a Hopper GPU with FP4 experts (Marlin kernels) runs in BF16.

    Args:
        accelerator: Key of the GPU, None where it is not listed.
        precision: Format of the experts.
        bf16_flops: Dense BF16 peak of one GPU, None where not known.
        fp8_flops: Dense FP8 peak, likewise.

    """
    row = accelerators().get(accelerator) if accelerator else None
    if (precision in _FOUR_BITS and _lacks(row, "fp4")) or precision == "bf16" or _lacks(row, "fp8"):
        return Rate(bf16_flops, "" if bf16_flops else "its dense BF16 rate is not known")
    if fp8_flops:
        return Rate(fp8_flops, "")
    if bf16_flops:
        return Rate(bf16_flops, "its FP8 rate is not known, so its BF16 rate counts")
    if row and row.dense_tflops.fp4:
        return Rate(row.dense_tflops.fp4 * 1e12 / 2, "only its FP4 rate is known; half of it is taken for FP8")
    return Rate(None, "neither its dense FP8 nor its BF16 rate is known")


def _lacks(row: Accelerator | None, name: str) -> bool:
    return row is not None and name in row.formats_not_native
