"""Configurations a vendor ran: SGLang's verified cells and the vLLM recipes, found for a machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.catalog.types import Checkpoint
from seatrial.memory.types import Parallelism
from seatrial.plan.types import Objective, Recipe
from seatrial.plan.vendor.rules import carried_flags
from seatrial.plan.vendor.spellings import flag_values

STRATEGIES: dict[Objective, tuple[str, ...]] = {
    "latency": ("low-latency", "balanced", "high-throughput"),
    "balanced": ("balanced", "low-latency", "high-throughput"),
    "throughput": ("high-throughput", "balanced", "low-latency"),
}
_EXPERT_BACKENDS = frozenset({"deepep", "megamoe"})


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One row of the recipe files, read once: each stands for itself alone.

    Attributes:
        engine: ``sglang`` or ``vllm``.
        accelerator: Key of the GPU.
        checkpoint: Checkpoint id.
        model: Model id.
        precision: As the recipe calls it.
        strategy: ``low-latency``, ``balanced`` or ``high-throughput``.
        nodes: Machines.
        gpus_per_node: GPUs used in each.
        argv: The vendor's flags.
        env: The vendor's environment.
        verified: Whether the vendor says it was run (guides merely report it).
        image: Container the recipe needs, None for a release of the engine.
        site_env: Variables it sets to names of the machines' own network interfaces.
        source: Where it stands.
        flags: Flags with their values, empty text for switches.
        parallelism: What the flags ask for.

    """

    engine: str
    accelerator: str
    checkpoint: str
    model: str
    precision: str
    strategy: str
    nodes: int
    gpus_per_node: int
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    verified: bool = True
    image: str | None = None
    site_env: tuple[str, ...] = ()
    source: str = ""
    flags: dict[str, str] = field(init=False, compare=False, repr=False)
    parallelism: Parallelism = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the flags once; every plan near this recipe asks for them."""
        object.__setattr__(self, "flags", flag_values(self.argv))
        object.__setattr__(self, "parallelism", _parallelism(self.flags))

    @property
    def name(self) -> str:
        """What the recipe is called."""
        return f"{self.accelerator} {self.model} {self.precision} {self.strategy}"

    @property
    def ranks(self) -> int:
        """GPUs over all nodes."""
        return self.nodes * self.gpus_per_node

    @property
    def memory_fraction(self) -> float | None:
        """The share of GPU memory the recipe gives the engine, None where it leaves that to the engine."""
        text = self.flags.get("--mem-fraction-static") or self.flags.get("--gpu-memory-utilization")
        return float(text) if text else None

    @property
    def running_limit(self) -> int | None:
        """Requests the recipe lets run at once, None where it does not say."""
        text = self.flags.get("--max-running-requests") or self.flags.get("--max-num-seqs")
        return int(text) if text else None

    @property
    def batched_tokens(self) -> int | None:
        """Most tokens of one of vLLM's steps, None where that is left to its own default."""
        text = self.flags.get("--max-num-batched-tokens")
        return int(text) if text else None

    @property
    def context_limit(self) -> int | None:
        """Context the recipe was run with, None where it is the model's own."""
        text = self.flags.get("--max-model-len")
        return int(text) if text else None

    @property
    def draft_tokens(self) -> int:
        """Tokens drafted at each step, 0 without speculative decoding."""
        if steps := self.flags.get("--speculative-num-steps"):
            return int(steps)
        if config := self.flags.get("--speculative-config"):
            return int(json.loads(config)["num_speculative_tokens"])
        return 0

    def to_recipe(self, differences: tuple[str, ...] = (), *, carried: bool = False) -> Recipe:
        """This cell as part of a plan: all its flags where the plan runs exactly this, few or none where not.

        Args:
            differences: How the plan differs.
            carried: The plan has this GPU's architecture and format, so that the flags which belong to these hold.

        """
        whole = not differences
        kept = carried_flags(self.engine)
        chosen = self.argv if whole else _joined(self.flags, kept) if carried else ()
        return Recipe(
            source=self.source,
            cell=self.name,
            differences=differences,
            argv=chosen,
            env=dict(self.env) if whole or carried else {},
        )


@cache
def cells() -> tuple[Cell, ...]:
    """Every recipe, SGLang's first."""
    return (*_sglang(), *_vllm())


@cache
def _cells_by_place() -> dict[tuple[str, str, str | None], list[Cell]]:
    places: dict[tuple[str, str, str | None], list[Cell]] = {}
    for cell in cells():
        places.setdefault((cell.engine, cell.checkpoint, cell.accelerator), []).append(cell)
    return places


def find_cells(engine: str, checkpoint: Checkpoint, accelerator: str | None, objective: Objective) -> list[Cell]:
    """Recipes of this engine for this checkpoint and GPU, the one that suits the objective first."""
    order = STRATEGIES[objective]
    found = _cells_by_place().get((engine, checkpoint.id, accelerator), [])
    return sorted(found, key=lambda cell: (cell.nodes, order.index(cell.strategy)))


def _parallelism(flags: dict[str, str]) -> Parallelism:
    tensor = int(flags.get("--tp") or flags.get("--tensor-parallel-size") or 1)
    data = int(flags.get("--dp", "1"))
    spread = flags.get("--moe-a2a-backend") in _EXPERT_BACKENDS or "--enable-expert-parallel" in flags
    return Parallelism(tensor=tensor, data=data, expert=tensor if spread else 1)


def _joined(flags: dict[str, str], kept: frozenset[str]) -> tuple[str, ...]:
    chosen = {name: value for name, value in flags.items() if name in kept}
    return tuple(f"{name}={value}" if value else name for name, value in chosen.items())


def _sglang() -> list[Cell]:
    document = _read("sglang_recipes.json")
    return [
        Cell(
            engine="sglang",
            source=document["source"],
            image=document["images"].get(row["accelerator"]),
            **{**row, "argv": tuple(row["argv"])},
        )
        for row in document["cells"]
    ]


def _vllm() -> list[Cell]:
    document = _read("vllm_recipes.json")
    rows = []
    for row in document["cells"]:
        kept = {
            name: row[name]
            for name in ("accelerator", "checkpoint", "model", "precision", "nodes", "gpus_per_node", "env", "image")
        }
        rows.append(
            Cell(
                engine="vllm",
                source=document["source"],
                strategy=_strategy(row),
                argv=tuple(row["argv"]),
                site_env=tuple(document["site_env"].get(row["accelerator"], ())) if row["nodes"] > 1 else (),
                verified=row["status"] == "verified",
                **kept,
            )
        )
    return rows


def _strategy(row: dict[str, Any]) -> str:
    # The recipe's own default serves both ends; the other form is the one with, or without, a draft.
    if row["default"]:
        return "balanced"
    return "low-latency" if row["speculative"] else "high-throughput"


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return document
