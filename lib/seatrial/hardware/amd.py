"""Reads AMD GPUs from the sysfs files of the kernel's amdgpu driver, without ROCm.

``/sys/class/drm/card*/device`` holds memory and load, the KFD topology the architecture, and libdrm's ``amdgpu.ids`` the
product names. ROCm's own tools read the same files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.hardware.accelerators import accelerators, match_architecture, match_driver_name
from seatrial.hardware.kernel_files import read_number, read_text
from seatrial.hardware.types import Gpu, Problem

_AMD_PCI_VENDOR = "0x1002"
_PRODUCT_NAMES = "usr/share/libdrm/amdgpu.ids"
_PRODUCT_COLUMNS = 3
"""Device id, revision id, name."""
_KFD_NODES = "sys/class/kfd/kfd/topology/nodes"
_APU_VRAM_SHARE = 0.5
"""An APU's own memory is less than half of the host memory it can map; a card's memory is more."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of the amdgpu driver."""

    device: Path  # folder in sysfs
    architecture: str | None  # ``gfx942``; None if the kernel has no KFD

    def number(self, name: str) -> int | None:
        """Read a number from a file of the device, None if it is missing."""
        return read_number(self.device / name)

    @property
    def power_w(self) -> float | None:
        """Power in watts, averaged by the firmware; None if unknown."""
        for sensor in sorted((self.device / "hwmon").glob("hwmon*")):
            for name in ("power1_average", "power1_input"):
                microwatts = read_number(sensor / name)
                if microwatts is not None:
                    return microwatts / 1e6
        return None


def read_amd(root: Path = Path("/")) -> tuple[tuple[Gpu, ...], str | None, tuple[Problem, ...]]:
    """Read the GPUs, the driver version and the problems of the amdgpu driver below ``root``."""
    found = cards(root)
    if not found:
        return (), None, ()
    problems = []
    if all(card.architecture is None for card in found):
        problems.append(
            Problem(
                f"{len(found)} AMD GPU(s) found, but their compute driver (KFD) is missing: there is no /dev/kfd.",
                "Load the amdgpu driver with KFD, or pass --device=/dev/kfd to the container.",
            )
        )
    problems += [
        Problem(
            f"{_label(card)}: memory could not be read from {card.device}.",
            "Update the kernel or the amdgpu driver; until then its memory is unknown.",
        )
        for card in found
        if card.number("mem_info_vram_total") is None
    ]
    driver = read_text(root / "sys/module/amdgpu/version") or None
    return tuple(_to_gpu(card, root) for card in found), driver, tuple(problems)


def cards(root: Path = Path("/")) -> list[Card]:
    """List every GPU of the amdgpu driver, in the order of the KFD topology if there is one."""
    nodes = _architectures(root)
    found = []
    for card in (root / "sys/class/drm").glob("card[0-9]*"):
        device = card / "device"
        if "-" in card.name or read_text(device / "vendor") != _AMD_PCI_VENDOR:
            continue  # card0-HDMI-A-1 is a connector
        minors = [path.name.removeprefix("renderD") for path in (device / "drm").glob("renderD*")]
        order, architecture = next((nodes[minor] for minor in minors if minor in nodes), (len(nodes), None))
        found.append((order, int(card.name.removeprefix("card")), Card(device, architecture)))
    return [card for _, _, card in sorted(found, key=lambda entry: entry[:2])]


def _architectures(root: Path) -> dict[str, tuple[int, str | None]]:
    """Read position and architecture of each KFD node, by its render minor."""
    found: dict[str, tuple[int, str | None]] = {}
    for node in (root / _KFD_NODES).glob("[0-9]*"):
        fields = dict(line.split(" ", 1) for line in read_text(node / "properties").splitlines() if " " in line)
        version = fields.get("gfx_target_version", "0")
        if version.isdecimal() and int(version) > 0:
            found[fields.get("drm_render_minor", "")] = (int(node.name), _gfx(int(version)))
    return found


def _gfx(version: int) -> str:
    """Format 90402 as gfx942, 90010 as gfx90a: two decimal digits for each part, hexadecimal in the name."""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def _to_gpu(card: Card, root: Path) -> Gpu:
    vram, used = card.number("mem_info_vram_total"), card.number("mem_info_vram_used")
    device_id = read_text(card.device / "device")
    product = read_text(card.device / "product_name") or _product(root, device_id, read_text(card.device / "revision"))
    listed = (match_driver_name(product, vram) if product else None) or match_architecture(
        card.architecture, vram, device_id
    )
    gpu = listed.to_gpu(vram) if listed else Gpu("", "amd", memory_bytes=vram)
    gpu = replace(
        gpu,
        name=product or (listed.name if listed else _label(card)),
        memory_free_bytes=None if vram is None or used is None else vram - used,
        compute_capability=card.architecture or gpu.compute_capability,
    )
    return _with_shared_memory(gpu, card) if _is_apu(gpu, card) else gpu


def _is_apu(gpu: Gpu, card: Card) -> bool:
    """Return True if the data file lists it as unified, or if an unlisted GPU has little memory of its own."""
    if gpu.accelerator is not None:
        return accelerators()[gpu.accelerator].unified_memory
    vram, shared = card.number("mem_info_vram_total"), card.number("mem_info_gtt_total")
    return vram is not None and shared is not None and vram < _APU_VRAM_SHARE * shared


def _with_shared_memory(gpu: Gpu, card: Card) -> Gpu:
    """Add to an APU's own memory the host memory that the kernel lets it map (GTT)."""
    total = [card.number(f"mem_info_{kind}_total") for kind in ("vram", "gtt")]
    used = [card.number(f"mem_info_{kind}_used") for kind in ("vram", "gtt")]
    size = sum(part for part in total if part is not None)
    free = None if None in used else size - sum(part for part in used if part is not None)
    return replace(gpu, unified=True, memory_bytes=size or None, memory_free_bytes=free)


def _product(root: Path, device_id: str, revision: str) -> str:
    """Look up the product name in libdrm's list, "" if it is not there."""
    wanted = (device_id.removeprefix("0x").casefold(), revision.removeprefix("0x").casefold())
    for line in read_text(root / _PRODUCT_NAMES).splitlines():
        fields = [field.strip() for field in line.split(",", 2)]
        if len(fields) == _PRODUCT_COLUMNS and (fields[0].casefold(), fields[1].casefold()) == wanted:
            return fields[2]
    return ""


def _label(card: Card) -> str:
    known = [part for part in (read_text(card.device / "device"), card.architecture) if part]
    return f"AMD GPU ({', '.join(known)})" if known else "AMD GPU"
