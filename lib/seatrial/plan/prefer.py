"""Which engines and checkpoints are tried first, and why."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.catalog.engine_facts import engine_facts, engine_ids, planned_as
from seatrial.catalog.types import Checkpoint, Model
from seatrial.hardware.types import Hardware

PREFERRED = tuple(name for name in engine_ids() if engine_facts(name).planning.automatic)
"""Engines that serve DeepSeek V4; of plans that stand alike the first here is chosen: SGLang has the most recipes."""


def engines_of(hardware: Hardware) -> tuple[str, ...]:
    """Engines worth trying on this machine, the preferred first."""
    return tuple(name for name in PREFERRED if _meant_for(name, hardware))


def every_engine(hardware: Hardware) -> tuple[str, ...]:
    """Engines a person may ask about on this machine, those that cannot run there among them."""
    named = (name for name in engine_ids() if name not in PREFERRED and engine_facts(name).planning.formats)
    return (*PREFERRED, *(name for name in named if planned_as(name) == name and _meant_for(name, hardware)))


def _meant_for(engine: str, hardware: Hardware) -> bool:
    vendors = engine_facts(engine).planning.vendors
    return not vendors or any(gpu.vendor in vendors for gpu in hardware.gpus)


def preferred(model: Model, engine: str, rows: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Checkpoints a plan may choose by itself, the preferred first.

    Those of pre-training alone cannot chat: they are chosen by name, or where nothing else is left.
    """
    found = loadable(model, engine, rows)
    return [row for row in found if not row.base] or found


def is_release(model: Model, checkpoint: str) -> bool:
    """Whether a checkpoint holds the model's default release, in whichever format."""
    return model.default_checkpoint.rpartition("-")[2] in checkpoint


def loadable(model: Model, engine: str, rows: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Checkpoints of ``model`` that ``engine`` loads and whose size is known, the preferred first.

    The default release comes first, then for GGUF the larger (nearer to the original), else the
    order of the catalog. Those of pre-training alone come last, and what nothing runs only where
    nothing else is left.
    """
    mine = [row for row in rows if row.model == model.id and row.weights_bytes is not None]
    found = [row for row in mine if engine in row.engines]
    if not found:
        found = [row for row in mine if row.format == engine]

    def order(item: tuple[int, Checkpoint]) -> tuple[bool, bool, bool, int]:
        position, row = item
        return (
            row.base,
            row.id != model.default_checkpoint,
            not is_release(model, row.id),
            -(row.weights_bytes or 0) if row.format == "gguf" else position,
        )

    return [row for _, row in sorted(enumerate(found), key=order)]
