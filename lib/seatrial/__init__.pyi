from .batch import run_notebooks
from .catalog import checkpoints, find_checkpoint, find_model, models
from .engines import build_command
from .hardware import detect_hardware
from .hardware.bandwidth.measure import measure_bandwidth
from .launching import launch
from .launching.open import close_server, open_server, served_plan, server_document
from .launching.this_machine import fetch_stand_in, plan_for, plan_here, predict_levels
from .measure import Workload, measure_server, start_load
from .measure.ask import ask
from .measure.expected import add_predictions
from .measure.workload import read_concurrency
from .memory import compute_footprint
from .plan import make_plan
from .records import record
from .server import list_servers
from .server.failures.explain import explain

__version__: str

__all__ = [
    "Workload",
    "add_predictions",
    "ask",
    "build_command",
    "checkpoints",
    "close_server",
    "compute_footprint",
    "detect_hardware",
    "explain",
    "fetch_stand_in",
    "find_checkpoint",
    "find_model",
    "launch",
    "list_servers",
    "make_plan",
    "measure_bandwidth",
    "measure_server",
    "models",
    "open_server",
    "plan_for",
    "plan_here",
    "predict_levels",
    "read_concurrency",
    "record",
    "run_notebooks",
    "served_plan",
    "server_document",
    "start_load",
]
