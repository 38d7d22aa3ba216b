"""This machine, or the one you name: its accelerators, memory, disk, driver and what is wrong."""

from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.hardware.detect import detect_hardware
from seatrial.hardware.types import Gpu, Hardware, Host, Problem

__all__ = ["Accelerator", "Gpu", "Hardware", "Host", "Problem", "accelerators", "detect_hardware"]
