"""Which checkpoint, engine, parallelism and context to run on a machine, and why."""

from seatrial.plan.choose import make_plan
from seatrial.plan.types import Plan, Recipe

__all__ = ["Plan", "Recipe", "make_plan"]
