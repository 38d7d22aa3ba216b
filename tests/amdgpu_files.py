"""Files of the amdgpu driver, as the kernel lays them out below /sys: one GPU a call."""

from seatrial.units import MIB

PROCESSOR = {"sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 48\ngfx_target_version 0\n"}
"""The processor's own node of the KFD topology."""


def gpu_files(  # noqa: PLR0913 -- what the kernel says of a GPU
    number, *, vram, gtt, node=None, device="0x74a1", gfx=90402, used=0, gtt_used=0, cpu_cores=0, uuid=0
):
    """Return the files of one GPU: its device folder and its node in the KFD topology.

    Args:
        number: Of the display device: card0.
        vram: Memory of its own, MiB.
        gtt: Host memory it may map, MiB.
        node: Number of its KFD node; by default the display device's, after the processor's.
        device: PCI device id.
        gfx: Version KFD reports; None without KFD.
        used: Memory in use of its own, MiB.
        gtt_used: Host memory in use by it, MiB.
        cpu_cores: Processor cores of its KFD node.
        uuid: Unique number of the chip; 0 if it has none.

    """
    place = f"sys/class/drm/card{number}/device"
    files = {
        f"{place}/vendor": "0x1002\n",
        f"{place}/device": f"{device}\n",
        f"{place}/revision": "0x00\n",
        f"{place}/mem_info_vram_total": f"{vram * MIB}\n",
        f"{place}/mem_info_vram_used": f"{used * MIB}\n",
        f"{place}/mem_info_gtt_total": f"{gtt * MIB}\n",
        f"{place}/mem_info_gtt_used": f"{gtt_used * MIB}\n",
        f"{place}/drm/renderD{128 + number}/dev": "226:128\n",
    }
    if gfx is None:
        return files
    properties = {
        "cpu_cores_count": cpu_cores,
        "simd_count": 8,
        "gfx_target_version": gfx,
        "drm_render_minor": 128 + number,
        "unique_id": uuid,
    }
    text = "".join(f"{name} {value}\n" for name, value in properties.items())
    return files | {f"sys/class/kfd/kfd/topology/nodes/{number + 1 if node is None else node}/properties": text}
