"""What can be tried on a machine: engines and checkpoints in order of preference, and the outcome of one trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from seatrial.catalog import checkpoints, find_model
from seatrial.catalog.architecture import Architecture, architecture_of
from seatrial.catalog.engine_facts import engine_facts, engine_ids, planned_as
from seatrial.catalog.types import Checkpoint, Model
from seatrial.hardware.types import Hardware
from seatrial.plan.request import Request
from seatrial.plan.types import Plan, Verdict
from seatrial.records import Reason

PREFERRED = tuple(name for name in engine_ids() if engine_facts(name).planning.automatic)
"""Engines that serve DeepSeek V4; the first wins a tie: SGLang, which has the most recipes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One checkpoint on one engine for a request."""

    model: Model
    checkpoint: Checkpoint
    engine: str
    request: Request

    @property
    def architecture(self) -> Architecture:
        """What is known of the model's architecture."""
        return architecture_of(self.model.architecture)

    @property
    def unchecked(self) -> str | None:
        """Why arithmetic alone gives no verdict: formulas that no published run has confirmed; None if it does."""
        return self.architecture.unchecked.get(self.engine)


@dataclass(frozen=True, slots=True)
class Trial(ABC):
    """A candidate evaluated in one form; only the chosen trial is worth a plan, with its reasons and prediction."""

    candidate: Candidate
    verdict: Verdict
    shortfall_bytes: int  # 0 if it runs or is refused

    @property
    def runs(self) -> bool:
        """True if the verdict is that it runs."""
        return self.verdict in {"verified", "fits"}

    @property
    @abstractmethod
    def ranks(self) -> int:
        """GPUs used over all machines."""

    @property
    def suits_objective(self) -> bool:
        """True if it follows a vendor's recipe for the objective."""
        return False

    @abstractmethod
    def plan(self) -> Plan:
        """Return the plan, with its reasons and prediction."""

    def offers(self) -> Iterable[Reason]:
        """Return what would make it faster; only the chosen trial is asked."""
        return ()


def engines_for(hardware: Hardware) -> tuple[str, ...]:
    """Return the engines worth trying on this machine, the preferred first."""
    return tuple(name for name in PREFERRED if _supports(name, hardware))


def every_engine(hardware: Hardware) -> tuple[str, ...]:
    """Return the engines a person may ask about on this machine, including those that cannot run on it."""
    others = (name for name in engine_ids() if name not in PREFERRED and engine_facts(name).planning.formats)
    return (*PREFERRED, *(name for name in others if planned_as(name) == name and _supports(name, hardware)))


def _supports(engine: str, hardware: Hardware) -> bool:
    vendors = engine_facts(engine).planning.vendors
    return not vendors or any(gpu.vendor in vendors for gpu in hardware.gpus)


@cache
def preferred_checkpoints(model: str, engine: str) -> tuple[Checkpoint, ...]:
    """Return the checkpoints a plan may choose by itself, the preferred first.

    Base checkpoints cannot chat: they are chosen by name, or if nothing else is left.

    Args:
        model: Model id.
        engine: Engine id.

    """
    found = loadable_checkpoints(model, engine)
    return tuple(row for row in found if not row.base) or found


def is_release(model: Model, checkpoint: str) -> bool:
    """Return True if a checkpoint holds the model's default release, in any format."""
    return model.default_checkpoint.rpartition("-")[2] in checkpoint


@cache
def loadable_checkpoints(model: str, engine: str) -> tuple[Checkpoint, ...]:
    """Return the catalog's checkpoints of known size that an engine loads, the preferred first.

    The default release comes first, then for GGUF the larger (nearer to the original), else the order of the catalog.
    Base checkpoints come last. What no engine runs is returned only if nothing else is left.

    Args:
        model: Model id.
        engine: Engine id.

    """
    sized = [row for row in checkpoints() if row.model == model and row.weights_bytes is not None]
    found = [row for row in sized if engine in row.engines] or [row for row in sized if row.format == engine]

    def order(row: Checkpoint) -> tuple[bool, bool, bool, int]:
        size = -(row.weights_bytes or 0) if row.format == "gguf" else 0
        listed = find_model(model)
        return row.base, row.id != listed.default_checkpoint, not is_release(listed, row.id), size

    return tuple(sorted(found, key=order))
