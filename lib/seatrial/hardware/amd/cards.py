"""Lists the GPUs of the kernel's amdgpu driver, in the order in which engines number them.

``/sys/class/drm/card*/device`` holds memory and load, the KFD topology the architecture, and libdrm's ``amdgpu.ids`` the
product names. ROCm's own tools read the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.hardware.kernel_files import read_number, read_text

_AMD_PCI_VENDOR = "0x1002"
_PRODUCT_NAMES = "usr/share/libdrm/amdgpu.ids"
_PRODUCT_COLUMNS = 3
"""Device id, revision id, name."""
_KFD_NODES = "sys/class/kfd/kfd/topology/nodes"


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of the amdgpu driver."""

    device: Path  # folder in sysfs
    architecture: str | None = None  # ``gfx942``; None if the kernel has no KFD
    node: Mapping[str, str] = field(default_factory=dict)  # properties of its node in the KFD topology

    def number(self, name: str) -> int | None:
        """Read a number from a file of the device, None if it is missing."""
        return read_number(self.device / name)

    @property
    def device_id(self) -> str:
        """PCI device id, such as ``0x74a1``; empty if it cannot be read."""
        return read_text(self.device / "device").casefold()

    @property
    def uuid(self) -> str | None:
        """Name of this GPU for ROCm, None if the chip has no number of its own, as those inside processors."""
        known = self.node.get("unique_id", "")
        number = known if known.isdecimal() else read_text(self.device / "unique_id")
        try:
            value = int(number, 10 if number is known else 16)
        except ValueError:
            return None
        return f"GPU-{value:016x}" if value > 0 else None

    def product(self, root: Path) -> str:
        """Return the product name of the firmware, else that of libdrm's list below ``root``, else ""."""
        wanted = [self.device_id.removeprefix("0x"), read_text(self.device / "revision").casefold().removeprefix("0x")]
        if name := read_text(self.device / "product_name"):
            return name
        for line in read_text(root / _PRODUCT_NAMES).splitlines():
            fields = [part.strip() for part in line.split(",", 2)]
            if len(fields) == _PRODUCT_COLUMNS and [part.casefold() for part in fields[:2]] == wanted:
                return fields[2]
        return ""

    @property
    def label(self) -> str:
        """What to call it without a product name."""
        known = [part for part in (self.device_id, self.architecture) if part]
        return f"AMD GPU ({', '.join(known)})" if known else "AMD GPU"


def cards(root: Path = Path("/")) -> list[Card]:
    """List every GPU of the amdgpu driver, in the order of the KFD topology if there is one."""
    nodes = _nodes(root)
    found = []
    for card in (root / "sys/class/drm").glob("card[0-9]*"):
        device, number = card / "device", card.name.removeprefix("card")
        if not number.isdecimal() or read_text(device / "vendor").casefold() != _AMD_PCI_VENDOR:
            continue  # card0-HDMI-A-1 is a connector
        minors = [path.name.removeprefix("renderD") for path in (device / "drm").glob("renderD*")]
        order, node = next((nodes[minor] for minor in minors if minor in nodes), (len(nodes) + 1, {}))
        architecture = _gfx(int(node["gfx_target_version"])) if node else None
        found.append((order, int(number), Card(device, architecture, node)))
    return [card for _, _, card in sorted(found, key=lambda entry: entry[:2])]


def _nodes(root: Path) -> dict[str, tuple[int, dict[str, str]]]:
    """Read position and properties of each GPU's KFD node, by its render minor."""
    found: list[tuple[int, dict[str, str]]] = []
    for node in (root / _KFD_NODES).glob("[0-9]*"):
        fields = dict(line.split(" ", 1) for line in read_text(node / "properties").splitlines() if " " in line)
        version = fields.get("gfx_target_version", "0")
        if node.name.isdecimal() and version.isdecimal() and int(version) > 0:
            found.append((int(node.name), fields))
    found.sort(key=lambda entry: entry[0])
    return {fields.get("drm_render_minor", ""): (place, fields) for place, (_, fields) in enumerate(found)}


def _gfx(version: int) -> str:
    """Format 90402 as gfx942, 90010 as gfx90a: two decimal digits for each part, hexadecimal in the name."""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
