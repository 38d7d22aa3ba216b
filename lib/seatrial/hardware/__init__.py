"""Describes this machine or a named one: accelerators, memory, disk, driver, and the problems found."""

from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.hardware.detect import detect_hardware
from seatrial.hardware.types import Gpu, Hardware, Host, Problem

__all__ = ["Accelerator", "Gpu", "Hardware", "Host", "Problem", "accelerators", "detect_hardware"]
