"""Reads the NVIDIA GPUs of this machine through NVML, in a process of its own."""

from seatrial.hardware.nvidia.gpus import read_nvidia

__all__ = ["read_nvidia"]
