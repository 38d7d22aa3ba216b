"""Times how fast each GPU reads and writes its own memory, through the driver; runs as a program of its own.

The kernels are the driver's own: a copy inside GPU memory (each byte is read and written) and a fill (each byte is
written). The faster of the two counts, since on some cards copies do not use all of the memory's bandwidth
(https://github.com/NVIDIA/cuda-samples/issues/366). The GPU's own clock times them (events). Each line is flushed at
once, so a reader that stops waiting keeps the lines before.

    python gpu_probe.py cuda|hip SECONDS
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

_BUFFERS_BYTES = 1 << 30
"""Of the two buffers together, at most; a quarter of the free memory if that is less."""
_REPEATS = 8
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t


class DriverError(Exception):
    """A call that the driver refused."""


class Driver:
    """The few calls of a driver's library; every one returns 0 if it succeeds."""

    names: ClassVar[dict[str, str]]  # the library's name of each call that every driver has with the same arguments

    def __init__(self, *libraries: str) -> None:
        for library in libraries[:-1]:
            with contextlib.suppress(OSError):
                self._library = ctypes.CDLL(library)
                return
        self._library = ctypes.CDLL(libraries[-1])

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            DriverError: If the library has no such function, or if it returns an error.

        """
        try:
            code = getattr(self._library, name)(*arguments)
        except AttributeError as error:
            raise DriverError(f"{name} is missing in this driver") from error
        if code:
            raise DriverError(f"{name} returned {code}")

    def do(self, what: str, *arguments: Any) -> None:
        """Call what ``names`` lists."""
        self.call(self.names[what], *arguments)

    def count(self) -> int:
        """Return the number of GPUs this process may use."""
        number = ctypes.c_int()
        self.do("count", ctypes.byref(number))
        return number.value


class Cuda(Driver):
    """The CUDA driver API (https://docs.nvidia.com/cuda/cuda-driver-api/)."""

    names: ClassVar = {
        "count": "cuDeviceGetCount", "memory": "cuMemGetInfo_v2", "allocate": "cuMemAlloc_v2", "release": "cuMemFree_v2",
        "event": "cuEventCreate", "record": "cuEventRecord", "wait": "cuEventSynchronize", "elapsed": "cuEventElapsedTime",
    }  # fmt: skip

    def __init__(self) -> None:
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the order of NVML
        super().__init__("libcuda.so.1")
        self.call("cuInit", 0)

    @contextlib.contextmanager
    def opened(self, index: int) -> Iterator[None]:
        """Use a GPU in this thread, by its primary context."""
        context, device = _POINTER(), self._device(index)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        try:
            self.call("cuCtxSetCurrent", context)
            yield
        finally:
            self.call("cuDevicePrimaryCtxRelease_v2", device)

    def start_copy(self, target: Any, source: Any, size: int) -> None:
        """Start a copy inside GPU memory."""
        self.call("cuMemcpyDtoDAsync_v2", target, source, _SIZE(size), None)

    def start_fill(self, target: Any, size: int) -> None:
        """Start to fill GPU memory with one value."""
        self.call("cuMemsetD32Async", target, ctypes.c_uint(1), _SIZE(size // 4), None)

    def _device(self, index: int) -> ctypes.c_int:
        device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(device), index)
        return device


class Hip(Driver):
    """The HIP runtime (https://rocm.docs.amd.com/projects/HIP/)."""

    names: ClassVar = {
        "count": "hipGetDeviceCount", "memory": "hipMemGetInfo", "allocate": "hipMalloc", "release": "hipFree",
        "event": "hipEventCreateWithFlags", "record": "hipEventRecord", "wait": "hipEventSynchronize",
        "elapsed": "hipEventElapsedTime",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__("libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so")
        self.call("hipInit", 0)

    @contextlib.contextmanager
    def opened(self, index: int) -> Iterator[None]:
        """Use a GPU in this thread."""
        self.call("hipSetDevice", index)
        yield

    def start_copy(self, target: Any, source: Any, size: int) -> None:
        """Start a copy inside GPU memory."""
        self.call("hipMemcpyDtoDAsync", target, source, _SIZE(size), None)

    def start_fill(self, target: Any, size: int) -> None:
        """Start to fill GPU memory with one value."""
        self.call("hipMemsetD32Async", target, 1, _SIZE(size // 4), None)


def bandwidth(driver: Cuda | Hip, seconds: float) -> float:
    """Return the bytes a second of the opened GPU: the faster of a copy and a fill.

    Raises:
        DriverError: If the driver refuses a call.

    """
    free, total = _SIZE(), _SIZE()
    driver.do("memory", ctypes.byref(free), ctypes.byref(total))
    size = min(_BUFFERS_BYTES, free.value // 4) // 2 & ~0xFFF
    if not size:
        raise DriverError(f"only {free.value:,} bytes of its memory are free")
    with _buffer(driver, size) as first, _buffer(driver, size) as second:
        copies = _rate(driver, lambda: driver.start_copy(second, first, size), 2 * size, seconds / 2)
        return max(copies, _rate(driver, lambda: driver.start_fill(first, size), size, seconds / 2))


@contextlib.contextmanager
def _buffer(driver: Cuda | Hip, size: int) -> Iterator[Any]:
    address = _POINTER()
    driver.do("allocate", ctypes.byref(address), _SIZE(size))
    try:
        yield address
    finally:
        driver.do("release", address)


def _rate(driver: Cuda | Hip, start: Callable[[], None], moved_bytes: int, seconds: float) -> float:
    """Return the bytes a second of the best of several runs, each of a few operations between two events."""
    begin, end = _POINTER(), _POINTER()
    for event in (begin, end):
        driver.do("event", ctypes.byref(event), 0)
    best, until = 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < until:
        driver.do("record", begin, None)
        for _ in range(_REPEATS):
            start()
        driver.do("record", end, None)
        driver.do("wait", end)
        spent_ms = ctypes.c_float()
        driver.do("elapsed", ctypes.byref(spent_ms), begin, end)
        if not spent_ms.value > 0:
            raise DriverError(f"{_REPEATS} operations took {spent_ms.value} ms by the GPU's clock")
        best = max(best, _REPEATS * moved_bytes / spent_ms.value * 1e3)
    return best


def _measure(driver: Cuda | Hip, index: int, seconds: float) -> None:
    try:
        with driver.opened(index):
            _print(index=index, bytes_per_s=bandwidth(driver, seconds))
    except DriverError as error:
        _print(index=index, failed=str(error))


def main() -> None:
    """Print the number of GPUs and a line for each, measured at once, or one line if the driver does not start."""
    try:
        driver = Cuda() if sys.argv[1] == "cuda" else Hip()
        count = driver.count()
    except (OSError, DriverError) as error:
        _print(index=None, failed=str(error))
        return
    _print(count=count)
    with ThreadPoolExecutor(max(1, count)) as pool:
        for done in [pool.submit(_measure, driver, index, float(sys.argv[2])) for index in range(count)]:
            done.result()


def _print(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
