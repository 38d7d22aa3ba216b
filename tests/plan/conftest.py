"""Machines plans are made for."""

import pytest

from seatrial.hardware import detect_hardware


@pytest.fixture
def four_h200s():
    """Return one machine with four H200."""
    return detect_hardware("h200x4")


@pytest.fixture
def eight_h100s():
    """Return one machine with eight H100."""
    return detect_hardware("h100x8")


@pytest.fixture
def one_4090():
    """Return a workstation: one RTX 4090 and 128 GiB of host memory."""
    return detect_hardware("rtx4090x1", host_memory_gib=128)


@pytest.fixture
def no_gpu():
    """Return a computer without accelerators and 192 GiB of memory."""
    return detect_hardware("cpu", host_memory_gib=192)


@pytest.fixture
def m3_ultra():
    """Return a Mac with 512 GB of unified memory."""
    return detect_hardware("m3-ultra-512gb")


def texts(plan):
    """Return all reasons as one text."""
    return "\n".join(reason.text for reason in plan.reasons)
