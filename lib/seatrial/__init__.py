"""From a bare machine to a served and measured DeepSeek V4."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Loaded when first used: a command that only plans must not wait for what a measurement needs.
# Types and completion come from __init__.pyi, so that this top package imports no layer.
_PLACES = {
    "Workload": "measure",
    "add_predictions": "measure.expected",
    "ask": "measure.ask",
    "build_command": "engines",
    "checkpoints": "catalog",
    "compute_footprint": "memory",
    "detect_hardware": "hardware",
    "fetch_stand_in": "server.here",
    "find_checkpoint": "catalog",
    "find_model": "catalog",
    "launch": "server",
    "launch_if_possible": "server.here",
    "list_servers": "server",
    "make_plan": "plan",
    "measure_server": "measure",
    "models": "catalog",
    "plan_for": "server.here",
    "plan_here": "server.here",
    "predict_levels": "server.here",
    "read_concurrency": "measure.concurrency",
    "record": "records",
    "run_notebooks": "batch",
    "server_document": "server.here",
    "start_load": "measure",
}

__all__ = [
    "Workload",
    "add_predictions",
    "ask",
    "build_command",
    "checkpoints",
    "compute_footprint",
    "detect_hardware",
    "fetch_stand_in",
    "find_checkpoint",
    "find_model",
    "launch",
    "launch_if_possible",
    "list_servers",
    "make_plan",
    "measure_server",
    "models",
    "plan_for",
    "plan_here",
    "predict_levels",
    "read_concurrency",
    "record",
    "run_notebooks",
    "server_document",
    "start_load",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"seatrial.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'seatrial' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
