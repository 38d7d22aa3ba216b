"""Choices of the explorer's controls: machines, numbers of GPUs, checkpoints, contexts, loads."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog import Checkpoint, checkpoints, find_model, models
from seatrial.catalog.engine_facts import engine_facts
from seatrial.hardware import Hardware, accelerators
from seatrial.plan.candidate import PREFERRED
from seatrial.units import to_gb

AUTO = "auto"
_GPUS = (1, 2, 4, 8, 16)
NODES = (1, 2, 4, 8)
# Tokens, in steps of a half or a third up: 2,048, 3,072, 4,096 ... 1,048,576.
CONTEXTS = tuple(sorted(size << power for power in range(10, 20) for size in (2, 3) if size << power <= 1 << 20))
LOADS = tuple(1 << power for power in range(11))
_HOST_GIB = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)

_Options = list[tuple[str, str]]
_Steps = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class MachineChoice:
    """An entry of the machine list."""

    label: str  # text in the list
    key: str  # name of the machine, or its part before the count
    most_gpus: int = 0  # most GPUs in one machine; 0 if the name has no count
    takes_host_memory: bool = True  # False if CPU and GPU share one memory

    def named(self, gpus: int) -> str:
        """Return the name of the machine with that many GPUs, as on the command line."""
        return f"{self.key}x{gpus}" if self.most_gpus else self.key

    def counts(self, chosen: int = 1) -> _Steps:
        """Return the numbers of GPUs to choose from, ``chosen`` among them."""
        if not self.most_gpus:
            return [("as it is", 1)]
        return steps([count for count in _GPUS if count <= self.most_gpus], min(chosen, self.most_gpus))


def machines() -> dict[str, MachineChoice]:
    """Return every machine of the list, by its key."""
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


def find_choice(hardware: Hardware, name: str) -> tuple[MachineChoice, int]:
    """Return a machine's entry of the list and its number of GPUs; a machine that is not listed gets an entry."""
    known, unified = machines(), any(gpu.unified for gpu in hardware.gpus)
    if hardware.from_file:
        return MachineChoice(hardware.name, name, takes_host_memory=not unified), 1
    folded = name.casefold()
    if folded in known and not known[folded].most_gpus:
        return known[folded], 1
    kinds = {gpu.accelerator for gpu in hardware.gpus}
    key = next(iter(kinds)) if len(kinds) == 1 else None
    if key in known and known[key].most_gpus and known[key].named(len(hardware.gpus)) == hardware.name:
        return known[key], len(hardware.gpus)
    return MachineChoice(hardware.name, folded, takes_host_memory=not unified), 1


def model_options(chosen: str) -> list[str]:
    """Return the official models, and the chosen one."""
    return sorted({chosen, *(one.id for one in models() if one.role == "official")})


def engine_options(chosen: str) -> _Options:
    """Return the engines to choose from, ``chosen`` among them."""
    names = PREFERRED if chosen in {AUTO, *PREFERRED} else (*PREFERRED, chosen)
    return [("chosen for the machine", AUTO), *((engine_facts(name).title, name) for name in names)]


def checkpoint_options(model: str) -> _Options:
    """Return the checkpoints of a model whose size is known, with precision and size."""
    own = [one for one in checkpoints() if one.model == find_model(model).id and one.weights_bytes is not None]
    return [("chosen for the machine", AUTO), *((_checkpoint_label(one), one.id) for one in own)]


def _checkpoint_label(one: Checkpoint) -> str:
    owner, _, name = one.id.rpartition("/")
    return f"{name} · {one.precision} · {to_gb(one.weights_bytes or 0):,.1f} GB · {owner}"


def steps(usual: list[int] | tuple[int, ...], given: int | None = None) -> _Steps:
    """Return numbers as a slider shows them, ``given`` among them."""
    return [(f"{value:,}", value) for value in sorted({*usual, *([given] if given else [])})]


def host_options() -> _Steps:
    """Return sizes of host memory in GiB; 0 stands for the size that is known of the machine."""
    return [("as known", 0), *((f"{size:,} GiB", size) for size in _HOST_GIB)]
