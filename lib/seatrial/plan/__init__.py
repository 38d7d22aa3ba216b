"""Which checkpoint, engine, parallelism and context to run on a machine, and why.

Each module answers one question and imports only from rows below its own (import-linter checks this):

    what to run                              choose; fits: everything that fits, up to which context
    what would help, what is better          change, rank
    does one checkpoint run on one engine    evaluate: gpu_server (SGLang, vLLM) or llamacpp (llama.cpp, MLX, simulated)
    sentences on the engines and the start   other_engines, run_notes
    work, load and memory of the machine     load, capacity
    what can be tried                        candidate
    what was asked                           request
    what vendors and engines publish         vendor
    the answer                               types
"""

from seatrial.plan.choose import make_plan
from seatrial.plan.types import Plan, Recipe

__all__ = ["Plan", "Recipe", "make_plan"]
