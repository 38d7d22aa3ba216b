from seatrial.batch import run_notebooks
from seatrial.catalog import checkpoints, find_checkpoint, find_model, models
from seatrial.engines import build_command
from seatrial.hardware import detect_hardware
from seatrial.measure import Workload, measure_server, start_load
from seatrial.measure.ask import ask
from seatrial.measure.concurrency import read_concurrency
from seatrial.measure.expected import add_predictions
from seatrial.memory import compute_footprint
from seatrial.plan import make_plan
from seatrial.records import record
from seatrial.server import launch, list_servers
from seatrial.server.here import (
    fetch_stand_in,
    launch_if_possible,
    plan_for,
    plan_here,
    predict_levels,
    server_document,
)

__version__: str

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
