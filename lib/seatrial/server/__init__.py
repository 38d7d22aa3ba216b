"""Launches one engine process, watches it, finds it again, and stops it for good."""

from seatrial.printable import printable
from seatrial.server.diagnosis import Diagnosis, diagnose
from seatrial.server.launcher import launch
from seatrial.server.programs import installed_command, resolve_program, resolve_runner
from seatrial.server.registry import find_server, list_servers, stop_all, stop_server
from seatrial.server.running import Server, Stopped
from seatrial.server.startup_watch import Event

__all__ = [
    "Diagnosis",
    "Event",
    "Server",
    "Stopped",
    "diagnose",
    "find_server",
    "installed_command",
    "launch",
    "list_servers",
    "printable",
    "resolve_program",
    "resolve_runner",
    "stop_all",
    "stop_server",
]
