"""Times how fast this machine's cores read memory, plainly and with llama.cpp's kernel; runs as a program of its own.

The plain kernel is ``memchr`` of the C library: every thread looks in its own part of one large buffer for a byte that is
not there. llama.cpp's is ``ggml_mul_mat`` out of the package xllamacpp, with as many threads: a matrix in 4-bit blocks
(Q4_1) times one vector, as in decoding, and times many, as for a prompt. Each figure is the best of several passes.

    python host_probe.py THREADS BUFFER_BYTES SECONDS
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import mmap
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_F32, _Q4_1 = 0, 3
"""enum ggml_type (ggml.h)."""
_BLOCK_WEIGHTS, _BLOCK_BYTES = 32, 20
"""Of Q4_1: 32 weights of four bits, a scale and a minimum (block_q4_1 in ggml-common.h)."""
_COLUMNS = 4096
_MATRIX_BYTES = 512 << 20
_PROMPT_TOKENS = 64
_PROMPT_ROWS = 256
_MOST_CALLS = 64
_CALL_BYTES = 1 << 20
"""ggml_graph_compute_with_ctx takes new memory of the context for each call, and ends the process if there is none."""
_FILL = 1
"""Byte the buffers hold: memory that was never written is one page of zeros to the kernel."""


def main() -> None:
    """Print a line for each kernel."""
    threads, buffer_bytes, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _print("read", read_bandwidth(threads, buffer_bytes, seconds / 2))
    library = llamacpp_library()
    if library is not None:
        kernel = Llamacpp(library, threads)
        _print("decode", kernel.decode_bytes_per_s(min(buffer_bytes // 2, _MATRIX_BYTES), seconds / 3))
        _print("prompt", kernel.prompt_flops(seconds / 6))


def read_bandwidth(threads: int, buffer_bytes: int, seconds: float) -> float:
    """Return the bytes a second that ``threads`` threads read together from a buffer."""
    buffer = mmap.mmap(-1, buffer_bytes)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    part = buffer_bytes // threads
    find = ctypes.CDLL(None).memchr
    find.restype, find.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    with ThreadPoolExecutor(threads) as pool:

        def all_threads(work: Callable[[int], object]) -> None:
            for done in [pool.submit(work, address + index * part) for index in range(threads)]:
                done.result()

        # Each thread writes its own part first, so that the memory is near its core.
        all_threads(lambda start: ctypes.memset(start, _FILL, part))
        return part * threads / _least_seconds(lambda: all_threads(lambda start: find(start, 0, part)), seconds)


def llamacpp_library() -> Path | None:
    """Return the shared library of xllamacpp, which exports ggml; None if the package is not installed."""
    found = importlib.util.find_spec("xllamacpp")
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    return next((path for folder in folders for path in folder.glob("xllamacpp*.so")), None)


class _InitParams(ctypes.Structure):
    """struct ggml_init_params (ggml.h)."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


class Llamacpp:
    """Matrix product of llama.cpp with a number of threads."""

    def __init__(self, library: Path, threads: int) -> None:
        self._threads = threads
        loaded, pointer, size = ctypes.CDLL(str(library)), ctypes.c_void_p, ctypes.c_int64

        def function(name: str, result: Any, *arguments: Any) -> Any:
            found = getattr(loaded, name)
            found.restype, found.argtypes = result, arguments
            return found

        self._init = function("ggml_init", pointer, _InitParams)
        self._free = function("ggml_free", None, pointer)
        self._tensor = function("ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, size, size)
        self._data = function("ggml_get_data", pointer, pointer)
        self._bytes = function("ggml_nbytes", ctypes.c_size_t, pointer)
        self._product = function("ggml_mul_mat", pointer, pointer, pointer, pointer)
        self._graph = function("ggml_new_graph", pointer, pointer)
        self._expand = function("ggml_build_forward_expand", None, pointer, pointer)
        self._compute = function("ggml_graph_compute_with_ctx", ctypes.c_int, pointer, pointer, ctypes.c_int)

    def decode_bytes_per_s(self, matrix_bytes: int, seconds: float) -> float:
        """Return the bytes of weights multiplied with one vector a second."""
        rows = max(1, matrix_bytes // (_COLUMNS * _BLOCK_BYTES // _BLOCK_WEIGHTS))
        return rows * _COLUMNS * _BLOCK_BYTES / _BLOCK_WEIGHTS / self._seconds(rows, 1, seconds)

    def prompt_flops(self, seconds: float) -> float:
        """Return the operations a second with the vectors of many tokens."""
        return 2 * _PROMPT_ROWS * _COLUMNS * _PROMPT_TOKENS / self._seconds(_PROMPT_ROWS, _PROMPT_TOKENS, seconds)

    def _seconds(self, rows: int, tokens: int, seconds: float) -> float:
        weights = rows * _COLUMNS * _BLOCK_BYTES // _BLOCK_WEIGHTS
        vectors_bytes = tokens * (rows + _COLUMNS) * ctypes.sizeof(ctypes.c_float)
        size = weights + (vectors_bytes + _CALL_BYTES) * (_MOST_CALLS + 1)
        context = self._init(_InitParams(size, None, False))
        if not context:
            raise MemoryError(f"ggml_init of {size:,} bytes failed")
        try:
            matrix = self._tensor(context, _Q4_1, _COLUMNS, rows)
            vectors = self._tensor(context, _F32, _COLUMNS, tokens)
            for tensor in (matrix, vectors):
                ctypes.memset(self._data(tensor), _FILL, self._bytes(tensor))
            graph = self._graph(context)
            self._expand(graph, self._product(context, matrix, vectors))

            def compute() -> None:
                if status := self._compute(context, graph, self._threads):
                    raise RuntimeError(f"ggml_graph_compute_with_ctx returned {status}")

            return _least_seconds(compute, seconds)
        finally:
            self._free(context)


def _least_seconds(work: Callable[[], object], seconds: float) -> float:
    """Return the shortest duration of ``work``, which is repeated for ``seconds``, but for the first one."""
    work()
    least, end = float("inf"), time.perf_counter() + seconds
    for _ in range(_MOST_CALLS - 1):
        begin = time.perf_counter()
        work()
        done = time.perf_counter()
        least = min(least, done - begin)
        if done > end:
            break
    return least


def _print(kind: str, per_s: float) -> None:
    sys.stdout.write(json.dumps({"kind": kind, "per_s": per_s}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
