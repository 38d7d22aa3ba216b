"""Configurations that vendors published, each with its status, found for a machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from seatrial.catalog import checkpoints, find_checkpoint
from seatrial.catalog.engine_facts import engine_facts
from seatrial.catalog.types import Checkpoint
from seatrial.errors import UsageError
from seatrial.flags import Flags
from seatrial.json_text import parse_json
from seatrial.memory.types import Parallelism
from seatrial.plan.types import Objective, Recipe, RecipeStatus, Strategy
from seatrial.plan.vendor.recipes_file import Catalogue, RecipeRow, RecipesFile, RunFacts, catalogues, load_recipes
from seatrial.plan.vendor.rules import carried_flags
from seatrial.records import Reason

STRATEGIES: dict[Objective, tuple[Strategy, ...]] = {
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


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of a recipes file, compared and hashed by identity."""

    catalogue: Catalogue
    accelerator: str  # key of the GPU
    checkpoint: str
    model: str
    precision: str  # as the recipe calls it
    strategy: Strategy
    nodes: int
    gpus_per_node: int
    status: RecipeStatus
    flags: Flags  # as the current engine spells them
    env: dict[str, str]
    source: str
    variant: str | None = None  # the vendor's word for the release, None if that is the model
    vendor_status: str | None = None  # the vendor's own words, None if they are those of `status`
    image: str | None = None  # container it ran in, None for a release of the engine
    image_flags: tuple[str, ...] = ()  # flags that only this container knows
    host_memory_gib: float | None = None  # of each machine, if the recipe needs so much
    site_env: tuple[str, ...] = ()  # variables it sets to names of the machines' own network interfaces
    note: str | None = None
    run: RunFacts | None = None  # what the vendor tells of its own run
    rewritten: tuple[Rewriting, ...] = ()
    parallelism: Parallelism = field(init=False, repr=False)  # what the flags ask for

    def __post_init__(self) -> None:
        object.__setattr__(self, "parallelism", _parallelism(dict(self.flags.pairs)))

    @property
    def engine(self) -> str:
        """Engine it is for."""
        return self.catalogue.engine

    @property
    def verified(self) -> bool:
        """True if the vendor says that it ran exactly this."""
        return self.status == "verified"

    @property
    def name(self) -> str:
        """Accelerator, model or release, precision and strategy, as plans quote the recipe."""
        return " ".join(filter(None, (self.accelerator, self.variant or self.model, self.precision, self.strategy)))

    @property
    def listed_as(self) -> str:
        """Its status in the vendor's own words."""
        return self.vendor_status or self.status.replace("-", " ")

    @property
    def objective(self) -> Objective:
        """Objective that asks for its strategy."""
        return next(name for name, order in STRATEGIES.items() if order[0] == self.strategy)

    @property
    def ranks(self) -> int:
        """GPUs over all nodes."""
        return self.nodes * self.gpus_per_node

    @cached_property
    def memory_fraction(self) -> float | None:
        """Share of GPU memory the recipe gives the engine, None if it leaves that to the engine."""
        text = self.flags.get("--mem-fraction-static") or self.flags.get("--gpu-memory-utilization")
        return float(text) if text else None

    @cached_property
    def running_limit(self) -> int | None:
        """Requests the recipe lets run at once, None if it sets no limit."""
        return self._count("--max-running-requests") or self._count("--max-num-seqs")

    @cached_property
    def batched_tokens(self) -> int | None:
        """Most tokens of one of vLLM's steps, None if the recipe keeps vLLM's default."""
        return self._count("--max-num-batched-tokens")

    @cached_property
    def cpu_offload_gib(self) -> int:
        """GiB of each GPU's weights that vLLM leaves in host memory."""
        return self._count("--cpu-offload-gb") or 0

    @cached_property
    def context_limit(self) -> int | None:
        """Context the recipe was run with, at most what its KV cache held; None if it is the model's own."""
        given = self._count("--max-model-len") or self._count("--context-length")
        return given or (self.run.kv_tokens if self.run else None)

    @cached_property
    def draft_method(self) -> str:
        """What drafts: the MTP head or a DSpark drafter."""
        method = drafting_of(self.flags, None)[0]
        return "dspark" if method and method.lower() == "dspark" else "mtp"

    @cached_property
    def draft_tokens(self) -> int:
        """Tokens drafted at each step with its checkpoint, 0 without speculative decoding."""
        return drafting_of(self.flags, find_checkpoint(self.checkpoint))[1]

    def _count(self, flag: str) -> int | None:
        text = self.flags.get(flag)
        return int(text) if text and text != "auto" else None

    def to_recipe(self, differences: tuple[str, ...] = (), *, carried: bool = False) -> Recipe:
        """Return this cell as part of a plan: with all its flags if nothing differs, else with few or none.

        Args:
            differences: How the plan differs.
            carried: The plan has this GPU's architecture and format, so that the flags which belong to these hold.

        """
        exact = not differences
        carried = carried and not self.image_flags  # what needs a container of its own holds nowhere else
        kept = self.flags if exact else self.flags.only(carried_flags(self.engine)) if carried else Flags()
        return Recipe(
            source=self.source,
            cell=self.name,
            status=self.status,
            differences=differences,
            flags=kept,
            env=dict(self.env) if exact or carried else {},
            respelled=_respelled(self, exact=exact) if kept else None,
        )


def drafting_of(flags: Flags, checkpoint: Checkpoint | None) -> tuple[str | None, int]:
    """Return how flags draft tokens and how many at each step; None and 0 without speculative decoding.

    SGLang reads the size of a DSpark block from the checkpoint if no flag gives it.
    """
    if config := flags.get("--speculative-config"):
        row = parse_json(config)
        return str(row["method"]), int(row["num_speculative_tokens"])
    method = flags.get("--speculative-algorithm")
    if method == "DSPARK":
        block = checkpoint.config.get("dspark_block_size", 0) if checkpoint else 0
        return method, int(flags.get("--speculative-dspark-block-size") or block)
    return method, int(flags.get("--speculative-num-steps") or 0)


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
    """Return every recipe, whatever its status, for a checkpoint that its engine loads by the catalog.

    Those of the preferred catalogue come first.
    """
    loaders = {row.id: row.engines for row in checkpoints()}
    found = (cell for catalogue in catalogues() for cell in cells_of(load_recipes(catalogue), catalogue))
    return tuple(cell for cell in found if cell.engine in loaders.get(cell.checkpoint, ()))


def cells_of(recipes: RecipesFile, catalogue: Catalogue) -> Iterable[Cell]:
    """Yield the cells of a recipes file.

    Raises:
        UsageError: If a flag has no value that it can have, or the ranks are not those of the machines.

    """
    for row in recipes.cells:
        try:
            cell = _cell(row, recipes, catalogue)
            figures = (cell.memory_fraction, cell.running_limit, cell.batched_tokens, cell.context_limit)
            drafts = drafting_of(cell.flags, None)[1]
        except (ValueError, TypeError, KeyError) as error:
            raise _wrong(row, catalogue, f"a flag has a value of the wrong type ({error})") from error
        no_share = not 0 < (cell.memory_fraction or 1) <= 1
        if any(figure is not None and not figure > 0 for figure in figures) or drafts < 0 or no_share:
            raise _wrong(row, catalogue, "a flag has a value that no engine takes")
        if cell.parallelism.tensor != cell.ranks:
            text = f"its flags split the work over {cell.parallelism.tensor} ranks, and it has {cell.ranks} GPUs"
            raise _wrong(row, catalogue, text)
        yield cell


@cache
def _cells_by_place() -> dict[tuple[str, str, str | None], list[Cell]]:
    places: dict[tuple[str, str, str | None], list[Cell]] = {}
    for cell in cells():
        places.setdefault((cell.engine, cell.checkpoint, cell.accelerator), []).append(cell)
    return places


def find_cells(engine: str, checkpoint: Checkpoint, accelerator: str | None, objective: Objective) -> list[Cell]:
    """Return this engine's recipes for this checkpoint and GPU, best first.

    Those for the objective come first. Of these, and of the others, the verified come first.
    """
    order = STRATEGIES[objective]
    found = _cells_by_place().get((engine, checkpoint.id, accelerator), [])

    def rank(cell: Cell) -> tuple[bool, bool, int, int]:
        return cell.strategy != order[0], not cell.verified, cell.nodes, order.index(cell.strategy)

    return sorted(found, key=rank)


def _parallelism(flags: Mapping[str, str | None]) -> Parallelism:
    tensor = int(flags.get("--tensor-parallel-size") or 1)
    replicas = int(flags.get("--data-parallel-size") or 1)  # vLLM multiplies the two, a plan counts all ranks
    spread = flags.get("--moe-a2a-backend") in _EXPERT_BACKENDS or "--enable-expert-parallel" in flags
    expert = int(flags.get("--expert-parallel-size") or (tensor * replicas if spread else 1))
    return Parallelism(tensor=tensor * replicas, data=int(flags.get("--attn-dp-size") or replicas), expert=expert)


def _cell(row: RecipeRow, recipes: RecipesFile, catalogue: Catalogue) -> Cell:
    named = ("accelerator", "checkpoint", "model", "precision", "strategy", "nodes", "gpus_per_node", "status", "env",
             "variant", "vendor_status", "image", "host_memory_gib", "note", "run")  # fmt: skip
    reasons = ((old, new, recipes.rewritten[old]) for old, new in row.rewritten.items())
    return Cell(
        catalogue=catalogue,
        flags=Flags.of(row.flags),
        source=row.source or recipes.source,
        image_flags=tuple(row.image_flags),
        site_env=tuple(row.site_env),
        rewritten=tuple(Rewriting(old, new, each.why, each.source, each.since) for old, new, each in reasons),
        **{name: getattr(row, name) for name in named},
    )


def _wrong(row: RecipeRow, catalogue: Catalogue, why: str) -> UsageError:
    place = f"{row.accelerator} {row.checkpoint} {row.strategy}"
    return UsageError(
        f"{catalogue.path.name}: {place}: {why}.",
        remedy="Correct that cell in the vendor's facts, and write the file anew.",
    )
