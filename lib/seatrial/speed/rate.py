"""Peak rate at which a GPU runs a model's matrix products, or what is missing if none is known."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.speed.roofline import calibration

_FOUR_BITS = frozenset({"fp4", "nvfp4"})
"""Formats whose experts a GPU without FP4 units widens to BF16 before it multiplies."""


class Rate(NamedTuple):
    """Dense peak in the format a model computes in."""

    flops: float | None  # operations per second; None if unknown
    note: str  # restriction or reason; empty if there is none


@cache
def compute_rate(
    accelerator: str | None, precision: str | None, bf16_flops: float | None, fp8_flops: float | None
) -> Rate:
    """Return the rate for experts of ``precision``.

    A GPU that supports the format runs FP8 and FP4 checkpoints on its FP8 units. BF16 units run everything else: a
    Hopper GPU with FP4 experts (Marlin kernels) computes in BF16.

    Args:
        accelerator: Key of the GPU, None if it is not listed.
        precision: Format of the experts.
        bf16_flops: Dense BF16 peak of one GPU, None if unknown.
        fp8_flops: Dense FP8 peak of one GPU, None if unknown.

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


def peak_bandwidth(bytes_per_s: float | None, measured_at: str | None) -> float | None:
    """Return the data sheet's bandwidth that a GPU's figure stands for, since the constants are shares of that.

    Args:
        bytes_per_s: Bandwidth of the GPU, None if unknown.
        measured_at: When it was measured, None if it is the data sheet's.

    """
    if bytes_per_s is None or measured_at is None:
        return bytes_per_s
    return bytes_per_s / float(calibration()["measured_share"]["value"])


def _lacks(row: Accelerator | None, name: str) -> bool:
    return row is not None and name in row.formats_not_native
