"""What a machine is, as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.records import Origin


@dataclass(frozen=True, slots=True)
class Problem:
    """Something missing or wrong on this machine, and the one thing that mends it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator (or one MIG slice of it). Unknown readings are None.

    Attributes:
        name: What the driver calls it.
        vendor: ``nvidia``, ``amd`` or ``apple``.
        accelerator: Key in ``accelerators.json`` ("h100"), None where it is not listed.
        memory_bytes: Total memory; for unified memory what the GPU shares with the CPU.
        memory_free_bytes: Free when it was read.
        bandwidth_bytes_per_s: Peak memory bandwidth.
        bf16_flops: Dense BF16 peak, floating point operations per second.
        fp8_flops: Dense FP8 peak, None where the chip has no FP8 units.
        compute_capability: "9.0" (NVIDIA) or "gfx942" (AMD), None elsewhere.
        mig: Whether MIG is on.
        unified: Whether CPU and GPU share one memory.

    """

    name: str
    vendor: str
    accelerator: str | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    bf16_flops: float | None = None
    fp8_flops: float | None = None
    compute_capability: str | None = None
    mig: bool | None = None
    unified: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """The computer around the accelerators. Unknown readings are None.

    Attributes:
        cpu: Model name.
        cores: Physical cores this process may use.
        memory_bytes: Installed memory.
        memory_available_bytes: Free for a new process, the cgroup limit counted in.
        memory_limit_bytes: cgroup limit, None where there is none.
        disk_free_bytes: Free where models would be stored.
        bandwidth_bytes_per_s: Memory bandwidth, None where not known.
        wsl: Whether this is the Windows Subsystem for Linux.
        container: Whether this is a container.

    """

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_limit_bytes: int | None = None
    disk_free_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    wsl: bool = False
    container: bool = False

    @property
    def usable_memory_bytes(self) -> int | None:
        """Memory a model may plan with: the installed memory or the cgroup limit, the smaller."""
        known = [size for size in (self.memory_bytes, self.memory_limit_bytes) if size is not None]
        return min(known, default=None)


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine: detected, or described by name.

    Attributes:
        name: "h100x8", "rtx4090x2", "cpu", ...
        gpus: One entry an accelerator.
        host: CPU, memory, disk.
        driver: GPU driver version.
        cuda: Highest CUDA version the driver supports.
        origin: ``measured`` where it was detected, ``assumed`` where it was only named.
        source: What was read (NVML, sysfs, ...), or the data file of a named machine.
        problems: Readings that failed and what to do about them.

    """

    name: str
    gpus: tuple[Gpu, ...]
    host: Host
    driver: str | None
    cuda: str | None
    origin: Origin
    source: str
    problems: tuple[Problem, ...] = ()

    def times(self, count: int) -> str:
        """``2 x h200x8``: the name, with how many of it where there are several."""
        return f"{count} x {self.name}" if count > 1 else self.name

    @property
    def only_named(self) -> bool:
        """Whether its accelerators are another machine's, so that nothing is launched for it on this one."""
        return bool(self.gpus) and self.origin != "measured"


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What a computer lets a process do, beside memory. Unknown readings are None.

    Attributes:
        system: ``linux``, ``darwin``, ...
        machine: Instruction set ("x86_64", "aarch64").
        python: Version of the Python that makes environments.
        glibc: Version of the C library, None where it is another one.
        nvcc_path: The CUDA compiler, None where none was found.
        nvcc: CUDA release of that compiler.
        shared_memory_bytes: Size of /dev/shm.
        open_files: Files and sockets a process may hold open, None where there is no limit.
        open_files_most: How far it may raise that itself, None where there is no limit.
        locked_memory_bytes: Memory it may lock, None where there is no limit.
        cache_folder: Where engines keep kernels they have compiled.
        cache_free_bytes: Free there.

    """

    system: str = "linux"
    machine: str = ""
    python: str | None = None
    glibc: str | None = None
    nvcc_path: str | None = None
    nvcc: str | None = None
    shared_memory_bytes: int | None = None
    open_files: int | None = None
    open_files_most: int | None = None
    locked_memory_bytes: int | None = None
    cache_folder: str = ""
    cache_free_bytes: int | None = None
