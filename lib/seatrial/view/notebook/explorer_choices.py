"""What the explorer's controls offer: machines, how many GPUs, checkpoints, contexts, loads."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog import checkpoints, find_model, models
from seatrial.catalog.engine_facts import engine_facts
from seatrial.hardware import Hardware, accelerators
from seatrial.plan.candidate import PREFERRED
from seatrial.units import to_gb

AUTO = "auto"
_GPUS = (1, 2, 4, 8, 16)
NODES = (1, 2, 4, 8)
CONTEXTS = tuple(sorted(size << power for power in range(10, 20) for size in (2, 3) if size << power <= 1 << 20))
"""A step of a half up or a third up, tokens: 2,048, 3,072, 4,096 ... 1,048,576."""
LOADS = tuple(1 << power for power in range(11))
_HOST_GIB = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
ENGINES = (("chosen for the machine", AUTO), *((engine_facts(name).title, name) for name in PREFERRED))

_Options = list[tuple[str, str]]
_Steps = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class MachineChoice:
    """One entry of the machine list.

    Attributes:
        label: What the list says.
        key: Name, or the part of it before the count.
        most_gpus: Most GPUs in one machine; 0 where the name says all.
        takes_host_memory: Whether host memory may be given beside it.

    """

    label: str
    key: str
    most_gpus: int = 0
    takes_host_memory: bool = True

    def named(self, gpus: int) -> str:
        """The machine with that many GPUs, as it is named on the command line."""
        return f"{self.key}x{gpus}" if self.most_gpus else self.key

    def counts(self, wished: int = 1) -> _Steps:
        """How many GPUs it may have, the number wished for among them; one entry where its name says it all."""
        if not self.most_gpus:
            return [("as it is", 1)]
        return steps([count for count in _GPUS if count <= self.most_gpus], min(wished, self.most_gpus))


def machines() -> dict[str, MachineChoice]:
    """Every machine of the list, by its key."""
    found = [MachineChoice("this machine", AUTO), MachineChoice("no GPU", "cpu")]
    for one in accelerators().values():
        if one.memory_gb is None:  # a chip that was never released
            continue
        if one.unified_memory:
            sizes = one.memory_options_gb or (None,)
            found += [
                MachineChoice(
                    _label(one.name, size or one.memory_gb),
                    f"{one.key}-{size}gb" if size else one.key,
                    takes_host_memory=False,
                )
                for size in sizes
            ]
        else:
            found.append(MachineChoice(_label(one.name, one.memory_gb), one.key, one.gpus_per_node_max))
    return {machine.key: machine for machine in found}


def _label(name: str, memory_gb: float) -> str:
    return name if f"{memory_gb:.0f}GB" in name.replace(" ", "") else f"{name}, {memory_gb:,.0f} GB"


def place(hardware: Hardware, name: str) -> tuple[MachineChoice, int]:
    """Where a machine stands in the list, and with how many GPUs; one that is not listed is its own entry."""
    known = machines()
    folded = name.casefold()
    if folded in known and not known[folded].most_gpus:
        return known[folded], 1
    kinds = {gpu.accelerator for gpu in hardware.gpus}
    key = next(iter(kinds)) if len(kinds) == 1 else None
    if key in known and known[key].most_gpus and known[key].named(len(hardware.gpus)) == hardware.name:
        return known[key], len(hardware.gpus)
    return MachineChoice(hardware.name, folded, takes_host_memory=not any(gpu.unified for gpu in hardware.gpus)), 1


def model_options(chosen: str) -> list[str]:
    """The official models, and the one chosen."""
    return sorted({chosen, *(one.id for one in models() if one.role == "official")})


def checkpoint_options(model: str) -> _Options:
    """The checkpoints of a model whose size is known, by precision and size."""
    own = [one for one in checkpoints() if one.model == find_model(model).id and one.weights_bytes is not None]
    named = [
        (
            f"{one.id.rpartition('/')[2]} · {one.precision} · {to_gb(one.weights_bytes or 0):,.1f} GB · {one.id.partition('/')[0]}",
            one.id,
        )
        for one in own
    ]
    return [("chosen for the machine", AUTO), *named]


def steps(usual: list[int] | tuple[int, ...], given: int | None = None) -> _Steps:
    """Numbers as a slider shows them, with the one given among them."""
    return [(f"{value:,}", value) for value in sorted({*usual, *([given] if given else [])})]


def host_options() -> _Steps:
    """Host memory in GiB; 0 is what is known of the machine."""
    return [("as known", 0), *((f"{size:,} GiB", size) for size in _HOST_GIB)]
