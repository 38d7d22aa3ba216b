"""The description of a machine from which every plan starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from seatrial.records import Origin

WIRED_LIMIT = "iogpu.wired_limit_mb"
"""The sysctl with the most memory that the GPU of a Mac may take, in MiB; 0 leaves the limit to macOS."""

CUDA_ORDER = "CUDA_DEVICE_ORDER=PCI_BUS_ID"
"""With it CUDA counts the GPUs as NVML and this kit do; else the fastest is number 0."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something missing or wrong on this machine, and how to fix it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator, or one MIG slice of it. Unknown readings are None.

    Attributes:
        name: Name the driver gives it.
        vendor: ``nvidia``, ``amd`` or ``apple``.
        accelerator: Key in ``accelerators.json`` ("h100"), None if it is not listed.
        memory_bytes: Total memory; with unified memory, the memory that GPU and CPU share.
        memory_free_bytes: Free memory at detection.
        bandwidth_bytes_per_s: Memory bandwidth: measured on this machine, else the peak of the data sheet.
        bandwidth_measured_at: When it was measured (UTC, ISO 8601), None if it was not.
        bf16_flops: Dense BF16 peak, floating point operations per second.
        fp8_flops: Dense FP8 peak, None if the chip has no FP8 units.
        compute_capability: "9.0" (NVIDIA) or "gfx942" (AMD), None for other vendors.
        mig: True if MIG is on.
        unified: True if CPU and GPU share one memory.
        memory_limit_bytes: Most of unified memory that the system lets the GPU take, None if unknown.
        limit_setting: Setting that raises that limit ("ttm.pages_limit"), None if there is none.

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
    bandwidth_measured_at: str | None = None
    memory_limit_bytes: int | None = None
    limit_setting: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The computer around the accelerators. Unknown readings are None.

    Attributes:
        cpu: Model name.
        cores: Physical cores this process may use.
        memory_bytes: Installed memory.
        memory_available_bytes: Free memory for a new process, within the cgroup limit.
        memory_limit_bytes: cgroup limit, None without a limit.
        disk_free_bytes: Free space of the disk for models.
        bandwidth_bytes_per_s: Memory bandwidth: what its cores read if measured on this machine, else the data sheet's.
        bandwidth_measured_at: When it was measured (UTC, ISO 8601), None if it was not.
        decode_bytes_per_s: Four-bit weights that llama.cpp's threads multiply with one vector; None if not measured.
        prompt_flops: Operations per second of llama.cpp's threads with many vectors; None if not measured.
        wsl: True in the Windows Subsystem for Linux.
        container: True in a container.

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
    bandwidth_measured_at: str | None = None
    decode_bytes_per_s: float | None = None
    prompt_flops: float | None = None

    @property
    def usable_memory_bytes(self) -> int | None:
        """Memory that plans may use: the smaller of installed memory and cgroup limit."""
        known = [size for size in (self.memory_bytes, self.memory_limit_bytes) if size is not None]
        return min(known, default=None)

    @property
    def llamacpp_threads(self) -> int | None:
        """Threads llama.cpp gets: the physical cores less one for everything else, at least one; None if unknown."""
        return max(1, self.cores - 1) if self.cores else None


@dataclass(frozen=True, slots=True)
class MeasuredLevel:
    """Measured times of a load level as multiples of those predicted.

    Attributes:
        streams: Requests at once.
        decode: Of the time of a decode step.
        prefill: Of the time in which prompts are read.

    """

    streams: int
    decode: float
    prefill: float


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Speed of an engine with one checkpoint on this machine, measured and compared with its prediction.

    Attributes:
        engine: Engine id.
        checkpoint: Checkpoint id.
        tensor: GPUs that share each tensor.
        drafter: Checkpoint id of the drafter, None without.
        engine_version: Version that was measured, None if unknown.
        prompt_tokens: Length of the prompts.
        measured_at: Of the newest level; UTC, ISO 8601.
        levels: By streams at once, ascending.

    """

    engine: str
    checkpoint: str
    tensor: int
    drafter: str | None
    engine_version: str | None
    prompt_tokens: int
    measured_at: str
    levels: tuple[MeasuredLevel, ...]

    def same_kind(self, other: Efficiency) -> bool:
        """Return True if both are of the same engine, checkpoint, split and drafter."""
        return (self.engine, self.checkpoint, self.tensor, self.drafter) == (
            other.engine,
            other.checkpoint,
            other.tensor,
            other.drafter,
        )


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine: detected, or described by name.

    Attributes:
        name: "h100x8", "rtx4090x2", "cpu", ...
        gpus: One entry for each accelerator.
        host: CPU, memory, disk.
        driver: GPU driver version, None if unknown.
        cuda: Highest CUDA version the driver supports, None if unknown.
        origin: ``measured`` if detected here, ``derived`` if a file describes it, ``assumed`` if only named.
        source: Interfaces that were read (NVML, sysfs, ...), the file that describes it, or the data file of a named one.
        problems: Readings that failed, and how to fix each.
        engine_env: Environment variables with which an engine sees these accelerators only, NAME=value.
        detected_at: When it was detected (UTC, ISO 8601), None if it was not.
        efficiencies: How fast engines really were on this machine, by ``seatrial measure``.

    """

    name: str
    gpus: tuple[Gpu, ...]
    host: Host
    driver: str | None
    cuda: str | None
    origin: Origin
    source: str
    problems: tuple[Problem, ...] = ()
    engine_env: tuple[str, ...] = ()
    detected_at: str | None = field(default=None, compare=False)
    efficiencies: tuple[Efficiency, ...] = ()

    def times(self, count: int) -> str:
        """Return the name with a count if there are several: ``2 x h200x8``."""
        return f"{count} x {self.name}" if count > 1 else self.name

    @property
    def only_named(self) -> bool:
        """True if its accelerators are not this machine's, so that no engine can be launched for them."""
        return self.from_file or (bool(self.gpus) and self.origin != "measured")

    @property
    def unseen(self) -> Problem | None:
        """Problem that keeps every GPU of the machine from being seen, None if there is none."""
        found = (problem for problem in self.problems if "GPU" in problem.what or "NVIDIA" in problem.what)
        return None if self.gpus else next(found, None)

    @property
    def from_file(self) -> bool:
        """True if a file describes it: it was detected on another machine, or at another time."""
        return self.origin == "derived"


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Limits of a process on this computer besides memory. Unknown readings are None."""

    system: str = "linux"  # ``linux``, ``darwin``, ...
    machine: str = ""  # instruction set ("x86_64", "aarch64")
    python: str | None = None  # version of the Python that makes environments
    glibc: str | None = None  # version; None for another C library
    nvcc_path: str | None = None  # CUDA compiler
    nvcc: str | None = None  # CUDA release of that compiler
    shared_memory_bytes: int | None = None  # size of /dev/shm
    open_files_most: int | None = None  # files and sockets a process may have at most open; None without a limit
    locked_memory_bytes: int | None = None  # None without a limit
    cache_free_bytes: int | None = None  # disk of the folder in which engines cache compiled kernels
