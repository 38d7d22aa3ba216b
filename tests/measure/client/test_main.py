"""The client's process is small, and soon sends its first request."""

import subprocess
import sys

HEAVY = ("aiohttp", "psutil", "pynvml", "rich", "numpy", "seatrial.hardware", "seatrial.plan", "seatrial.engines", "seatrial.measure.load")  # fmt: skip


def test_the_client_imports_what_it_needs():
    """Neither the planner nor what reads hardware and sums up: each is memory and time before the first request."""
    code = f"import sys, seatrial.measure.client.__main__; print([name for name in {HEAVY} if name in sys.modules])"
    assert "[]\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
