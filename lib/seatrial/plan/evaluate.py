"""One checkpoint on one engine on one machine: does it run, with what room, how fast, and why."""

from __future__ import annotations

from seatrial.plan.candidate import Candidate
from seatrial.plan.serving import plan_serving, serving_runs
from seatrial.plan.types import Plan
from seatrial.plan.workstation import plan_workstation, workstation_runs

SERVING = frozenset({"sglang", "vllm"})
"""Engines that split a model over equal GPUs."""


def evaluate(candidate: Candidate) -> Plan:
    """The best plan for this candidate: the first layout that fits, else the one that comes nearest.

    Raises:
        UsageError: The context is beyond the model's, or nobody has published the checkpoint's size.
        RefusedError: The checkpoint is of another architecture.

    """
    return plan_serving(candidate) if candidate.engine in SERVING else plan_workstation(candidate)


def runs(candidate: Candidate) -> bool:
    """Whether ``evaluate`` finds a plan that runs; cheaper, since nothing is explained or predicted."""
    return serving_runs(candidate) if candidate.engine in SERVING else workstation_runs(candidate)
