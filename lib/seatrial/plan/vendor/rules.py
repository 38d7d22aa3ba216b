"""What an engine refuses on a machine, each rule with its source (``rules.json``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from seatrial.catalog.base_model import base_model_of
from seatrial.catalog.types import Checkpoint, Model
from seatrial.hardware.types import Gpu
from seatrial.json_text import parse_json
from seatrial.memory.types import Parallelism
from seatrial.plan.types import TENSOR_PARALLEL
from seatrial.records import Reason

_FIXED = ("engine", "model", "family", "precision", "vendor", "accelerator", "architecture", "recipe")
"""Facts that change neither with the split of the work nor with the context. Recipes are tried before all else."""
_fixed = itemgetter(*_FIXED)


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule is compared with."""

    engine: str
    model: Model
    checkpoint: Checkpoint
    gpu: Gpu | None
    parallelism: Parallelism
    context_tokens: int
    recipe: bool = False  # a recipe for this very place is followed

    def facts(self) -> dict[str, Any]:
        """Return the values of this case by the names the rules use."""
        return {
            "engine": self.engine,
            "model": base_model_of(self.checkpoint),
            "family": self.model.architecture,
            "precision": self.checkpoint.precision,
            "vendor": self.gpu.vendor if self.gpu else None,
            "accelerator": self.gpu.accelerator if self.gpu else None,
            "architecture": self.gpu.compute_capability if self.gpu else None,
            "ranks": self.parallelism.tensor,
            "context_tokens": self.context_tokens,
            "recipe": self.recipe,
        }


def refusals(case: Case, *, late: bool = False) -> list[Reason]:
    """Return why the engine refuses ``case``, empty if it does not.

    Args:
        case: Engine, checkpoint, GPU and parallelism.
        late: Apply the rules that matter only once the memory suffices.

    """
    facts = case.facts()
    found = []
    for rule in _rules(_fixed(facts), late=late):
        for name, sign, wanted in rule["open"]:
            if not _holds(facts[name], sign, wanted):
                break
        else:
            shown = {name: value or "of unknown kind" for name, value in facts.items()}
            found.append(Reason(rule["text"].format(**shown), "verified", f"{rule['source']} (rule {rule['id']})"))
    return found if late else [*_cannot_load(case), *found, *_cannot_split(case)]


def refused_anyhow(case: Case) -> bool:
    """Return True if ``case`` is refused however the work is split and whatever the context."""
    return bool(_cannot_load(case)) or any(not rule["open"] for rule in _rules(_fixed(case.facts()), late=False))


def _holds(value: Any, sign: str, wanted: Any) -> bool:
    if sign == "not":
        return value not in wanted
    if sign == "above":
        return bool(value > wanted)
    return value in wanted


def _conditions(when: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Return conditions with the ending of their names apart: ``ranks_above`` is ``ranks``, ``above``."""
    found = []
    for name, wanted in when.items():
        plain, _, sign = name.rpartition("_")
        found.append((plain, sign, wanted) if sign in {"not", "above"} else (name, "in", wanted))
    return found


def _cannot_load(case: Case) -> list[Reason]:
    checkpoint = case.checkpoint
    if case.engine in checkpoint.engines or case.engine == "simulated":
        return []
    if not checkpoint.engines:
        return [
            Reason(f"No engine of this kit runs {checkpoint.id}: {checkpoint.note}.", "verified", checkpoint.source)
        ]
    loaders = " or ".join(checkpoint.engines)
    text = f"{case.engine} does not load {checkpoint.id} ({checkpoint.format}, {checkpoint.precision}); {loaders} does."
    return [Reason(text, "verified", checkpoint.source)]


def _cannot_split(case: Case) -> list[Reason]:
    if case.engine not in TENSOR_PARALLEL:
        return []
    config = {**case.model.config, **case.checkpoint.config}
    ranks = case.parallelism
    split = ranks.tensor // ranks.data
    found = []
    for name, what in (("num_attention_heads", "attention heads"), ("o_groups", "output groups of the attention")):
        count = config.get(name)
        if isinstance(count, int) and count % split:
            text = f"The {count} {what} cannot be divided over {split} ranks; choose a divisor of {count}."
            found.append(Reason(text, "derived", case.model.source))
    experts, width = config.get("n_routed_experts"), config.get("moe_intermediate_size")
    if not isinstance(experts, int) or not isinstance(width, int):
        return found
    if ranks.expert > 1:
        if experts % ranks.expert:
            text = f"The {experts} experts cannot be divided among {ranks.expert} ranks."
            found.append(Reason(text, "derived", case.model.source))
        return found
    block = _document()["expert_blocks"].get(case.checkpoint.precision)
    if block and (width % ranks.tensor or width // ranks.tensor % block):
        text = (
            f"Experts of {width} columns split over {ranks.tensor} ranks give {width / ranks.tensor:g}, no multiple of "
            f"the {case.checkpoint.precision.upper()} block of {block}; it needs expert parallelism or fewer ranks."
        )
        found.append(Reason(text, "verified", _document()["expert_blocks_source"]))
    return found


def recipe_rules() -> dict[str, str]:
    """Return why a recipe holds only for the machine it was run on, by the name of the difference."""
    rules: dict[str, str] = _document()["recipe_rules"]
    return rules


@cache
def carried_flags(engine: str) -> frozenset[str]:
    """Return the flags that belong to an architecture and format, which a plan like a recipe keeps."""
    return frozenset(_document()["carried_flags"][engine])


@lru_cache(maxsize=4096)
def _rules(fixed: tuple[Any, ...], *, late: bool) -> list[dict[str, Any]]:
    """Return the rules about an engine, checkpoint and GPU, each with the conditions that are still open.

    A plan asks hundreds of times, and most rules are about others.
    """
    facts = dict(zip(_FIXED, fixed, strict=True))
    found = []
    for rule in _document()["rules"]:
        conditions = _conditions(rule["when"])
        if bool(rule.get("late")) == late and all(
            _holds(facts[name], sign, wanted) for name, sign, wanted in conditions if name in facts
        ):
            found.append({**rule, "open": [each for each in conditions if each[0] not in facts]})
    return found


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = parse_json(Path(__file__).with_name("rules.json").read_bytes())
    return document
