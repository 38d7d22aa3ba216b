"""Watches engine processes, finds them again, and stops them for good; knows no plan."""

from importlib import import_module

from seatrial.server.failures.diagnosis import Diagnosis, diagnose
from seatrial.server.registry import find_server, list_servers, stop_all, stop_server
from seatrial.server.running import Server
from seatrial.server.startup.watch import Event
from seatrial.server.stopping import Stopped
from seatrial.server.waiting import wait_ready

__all__ = [
    "Diagnosis",
    "Event",
    "Server",
    "Stopped",
    "diagnose",
    "find_server",
    "list_servers",
    "stop_all",
    "stop_server",
    "wait_ready",
]


def __getattr__(name: str) -> object:
    """Return ``launch`` of the layer above, loaded when it is used, so that all about servers is found here."""
    if name == "launch":
        return import_module("seatrial.launching").launch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
