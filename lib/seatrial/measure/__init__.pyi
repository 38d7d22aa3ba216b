from .figures import steady_window as steady_window
from .figures import tokens_between as tokens_between
from .figures import tpot_s as tpot_s
from .figures import ttft_s as ttft_s
from .load import Load as Load
from .load import measure_server as measure_server
from .load import start_load as start_load
from .recorder import LoadProgress as LoadProgress
from .recorder import Recorder as Recorder
from .summary import find_problems as find_problems
from .types import Completion as Completion
from .types import Measurement as Measurement
from .types import Point as Point
from .types import Quantiles as Quantiles
from .types import Sample as Sample
from .types import SelfCheck as SelfCheck
from .workload import Workload as Workload

__all__ = [
    "Completion",
    "Load",
    "LoadProgress",
    "Measurement",
    "Point",
    "Quantiles",
    "Recorder",
    "Sample",
    "SelfCheck",
    "Workload",
    "find_problems",
    "measure_server",
    "start_load",
    "steady_window",
    "tokens_between",
    "tpot_s",
    "ttft_s",
]
