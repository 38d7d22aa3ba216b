"""Reads AMD GPUs from the files of the kernel's amdgpu driver, without ROCm."""

from seatrial.hardware.amd.cards import Card, cards
from seatrial.hardware.amd.integrated import is_integrated, serving
from seatrial.hardware.amd.read import AmdReading, read_amd
from seatrial.hardware.amd.shared_memory import used_bytes

__all__ = ["AmdReading", "Card", "cards", "is_integrated", "read_amd", "serving", "used_bytes"]
