"""Configurations a vendor ran: SGLang's verified cells and the vLLM recipes, found for a machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint
from seatrial.flags import Flags
from seatrial.memory.types import Parallelism
from seatrial.plan.types import Objective, Recipe
from seatrial.plan.vendor.rules import carried_flags
from seatrial.records import Reason

STRATEGIES: dict[Objective, tuple[str, ...]] = {
    "latency": ("low-latency", "balanced", "high-throughput"),
    "balanced": ("balanced", "low-latency", "high-throughput"),
    "throughput": ("high-throughput", "balanced", "low-latency"),
}
_EXPERT_BACKENDS = frozenset({"deepep", "megamoe"})


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A flag that the vendor spelled for an older engine."""

    old: str
    new: str | None  # None if the flag is left out
    why: str
    source: str
    since: str | None = None  # version that made the old spelling wrong, None if it never was a flag of its own


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One row of a recipes file, compared and hashed by identity."""

    engine: str  # sglang or vllm
    accelerator: str  # key of the GPU
    checkpoint: str
    model: str
    precision: str  # as the recipe calls it
    strategy: str  # low-latency, balanced or high-throughput
    nodes: int
    gpus_per_node: int
    flags: Flags  # as the current engine spells them
    env: dict[str, str] = field(default_factory=dict)
    verified: bool = True  # a vendor ran it; guides merely report it
    image: str | None = None  # container the recipe needs, None for a release of the engine
    site_env: tuple[str, ...] = ()  # variables it sets to names of the machines' own network interfaces
    rewritten: tuple[Rewriting, ...] = ()
    source: str = ""
    parallelism: Parallelism = field(init=False, repr=False)  # what the flags ask for

    def __post_init__(self) -> None:
        object.__setattr__(self, "parallelism", _parallelism(self.flags))

    @property
    def name(self) -> str:
        """Accelerator, model, precision and strategy, as plans quote the recipe."""
        return f"{self.accelerator} {self.model} {self.precision} {self.strategy}"

    @property
    def ranks(self) -> int:
        """GPUs over all nodes."""
        return self.nodes * self.gpus_per_node

    @property
    def memory_fraction(self) -> float | None:
        """Share of GPU memory the recipe gives the engine, None if it leaves that to the engine."""
        text = self.flags.get("--mem-fraction-static") or self.flags.get("--gpu-memory-utilization")
        return float(text) if text else None

    @property
    def running_limit(self) -> int | None:
        """Requests the recipe lets run at once, None if it sets no limit."""
        return self._count("--max-running-requests") or self._count("--max-num-seqs")

    @property
    def batched_tokens(self) -> int | None:
        """Most tokens of one of vLLM's steps, None if the recipe keeps vLLM's default."""
        return self._count("--max-num-batched-tokens")

    @property
    def context_limit(self) -> int | None:
        """Context the recipe was run with, None if it is the model's own."""
        return self._count("--max-model-len")

    @property
    def draft_tokens(self) -> int:
        """Tokens drafted at each step, 0 without speculative decoding."""
        if config := self.flags.get("--speculative-config"):
            return int(json.loads(config)["num_speculative_tokens"])
        return self._count("--speculative-num-steps") or 0

    def _count(self, flag: str) -> int | None:
        text = self.flags.get(flag)
        return int(text) if text else None

    def to_recipe(self, differences: tuple[str, ...] = (), *, carried: bool = False) -> Recipe:
        """Return this cell as part of a plan: with all its flags if nothing differs, else with few or none.

        Args:
            differences: How the plan differs.
            carried: The plan has this GPU's architecture and format, so that the flags which belong to these hold.

        """
        exact = not differences
        kept = self.flags if exact else self.flags.only(carried_flags(self.engine)) if carried else Flags()
        return Recipe(
            source=self.source,
            cell=self.name,
            differences=differences,
            flags=kept,
            env=dict(self.env) if exact or carried else {},
            respelled=_respelled(self, exact=exact) if kept else None,
        )


@cache
def _respelled(cell: Cell, *, exact: bool) -> Reason | None:
    """Return which flags the vendor wrote otherwise, None if the plan keeps none of these."""
    changes = [row for row in cell.rewritten if exact or row.new in carried_flags(cell.engine)]
    if not changes:
        return None
    shown = []
    for row in changes:
        since = f"since {cell.engine} {row.since}: " if row.since else ""
        shown.append(f"{row.old} -> {row.new or 'left out'} ({since}{row.why})")
    version = engine_facts(cell.engine).versions.safe
    text = f"Flags of the recipe as {cell.engine} {version} takes them: {'; '.join(shown)}."
    return Reason(text, "verified", "; ".join(dict.fromkeys(row.source for row in changes)))


@cache
def cells() -> tuple[Cell, ...]:
    """Return every recipe, SGLang's first."""
    return (*_read("sglang"), *_read("vllm"))


@cache
def _cells_by_place() -> dict[tuple[str, str, str | None], list[Cell]]:
    places: dict[tuple[str, str, str | None], list[Cell]] = {}
    for cell in cells():
        places.setdefault((cell.engine, cell.checkpoint, cell.accelerator), []).append(cell)
    return places


def find_cells(engine: str, checkpoint: Checkpoint, accelerator: str | None, objective: Objective) -> list[Cell]:
    """Return this engine's recipes for this checkpoint and GPU, sorted by how well they suit the objective."""
    order = STRATEGIES[objective]
    found = _cells_by_place().get((engine, checkpoint.id, accelerator), [])
    return sorted(found, key=lambda cell: (cell.nodes, order.index(cell.strategy)))


def _parallelism(flags: Flags) -> Parallelism:
    tensor = int(flags.get("--tensor-parallel-size") or 1)
    spread = flags.get("--moe-a2a-backend") in _EXPERT_BACKENDS or "--enable-expert-parallel" in flags
    return Parallelism(tensor=tensor, data=int(flags.get("--attn-dp-size") or 1), expert=tensor if spread else 1)


def _read(engine: str) -> list[Cell]:
    document = json.loads(Path(__file__).with_name(f"{engine}_recipes.json").read_text(encoding="utf-8"))
    reasons, site_env = document["rewritten"], document.get("site_env", {})
    names = ("accelerator", "checkpoint", "model", "precision", "nodes", "gpus_per_node", "env")
    return [
        Cell(
            engine=engine,
            strategy=row.get("strategy") or _strategy(row),
            flags=Flags.of(row["flags"]),
            verified=row.get("status", "verified") == "verified",
            image=row.get("image"),
            site_env=tuple(site_env.get(row["accelerator"], ())) if row["nodes"] > 1 else (),
            rewritten=tuple(Rewriting(old, new, **reasons[old]) for old, new in row.get("rewritten", {}).items()),
            source=document["source"],
            **{name: row[name] for name in names},
        )
        for row in document["cells"]
    ]


def _strategy(row: dict[str, Any]) -> str:
    # The recipe's own default serves both ends; the other form is the one with, or without, a draft.
    if row["default"]:
        return "balanced"
    return "low-latency" if row["speculative"] else "high-throughput"
