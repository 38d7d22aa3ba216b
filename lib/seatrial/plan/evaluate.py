"""One checkpoint on one engine on one machine: does it run, with what room, how fast, and why."""

from __future__ import annotations

from seatrial.catalog.types import Checkpoint, Model
from seatrial.plan.request import Request
from seatrial.plan.serving import plan_serving
from seatrial.plan.types import Plan
from seatrial.plan.workstation import plan_workstation


def evaluate(model: Model, checkpoint: Checkpoint, engine: str, request: Request) -> Plan:
    """The best plan for this pair: the first layout that fits, else the one that comes nearest.

    Args:
        model: Model of the checkpoint.
        checkpoint: What to serve.
        engine: Engine id.
        request: Machine and wishes.

    Raises:
        UsageError: The context is beyond the model's, or nobody has published the checkpoint's size.
        RefusedError: The checkpoint is of another architecture.

    """
    plan = plan_serving if engine in {"sglang", "vllm"} else plan_workstation
    return plan(model, checkpoint, engine, request)
