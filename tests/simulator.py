"""A simulated engine as a real process on loopback, for every test that needs a server to talk to."""

import contextlib
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Simulator:
    """A running simulator: where it listens, and its process."""

    url: str
    process: subprocess.Popen


@contextlib.contextmanager
def running_simulator(*options):
    """Start ``python -m seatrial.simulator`` with these options, and end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seatrial.simulator", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        # It prints only its address, once it listens; the pipe ends if it fails.
        yield Simulator(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
