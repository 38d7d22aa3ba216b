"""Which checkpoint, engine, parallelism and context to run on a machine, and why.

Who looks for something finds it by its question; each row imports from rows below it only (import-linter holds it):

    the answer                         choose, fits
    what is tried, and what is better  shortlist, prefer, rank, change
    one checkpoint on one engine       candidate, evaluate: serving or workstation, with room, running, nearest,
                                       forecast, stages
    its sentences                      wording, wording_engines, facts
    ways to share the work out         layouts, split, dealt; the memory for it: capacity, fraction; search
    what was asked                     request
    what vendors and engines say       recipes, rules, spellings, versions, chat, limits, own_fraction (JSON beside them)
    what is decided                    types
"""

from seatrial.plan.choose import make_plan
from seatrial.plan.types import Plan, Recipe

__all__ = ["Plan", "Recipe", "make_plan"]
