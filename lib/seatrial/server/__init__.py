"""Launches one engine process, watches it, finds it again, and stops it for good."""

from seatrial.printable import printable
from seatrial.server.failures.diagnosis import Diagnosis, diagnose
from seatrial.server.launcher import launch
from seatrial.server.registry import find_server, list_servers, stop_all, stop_server
from seatrial.server.running import Server
from seatrial.server.startup.watch import Event
from seatrial.server.stopping import Stopped

__all__ = [
    "Diagnosis",
    "Event",
    "Server",
    "Stopped",
    "diagnose",
    "find_server",
    "launch",
    "list_servers",
    "printable",
    "stop_all",
    "stop_server",
]
