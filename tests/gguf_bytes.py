"""Builds small GGUF files, byte by byte to make wrong ones, with the real writer to make correct ones."""

import struct

import numpy as np
from gguf import GGUFWriter

STRING, ARRAY, UINT32, UINT16, FLOAT32, BOOL = 8, 9, 4, 2, 6, 7
FORMS = {UINT32: "<I", UINT16: "<H", FLOAT32: "<f", BOOL: "<?"}


def text(value):
    """Return the bytes of a GGUF string."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    """One metadata entry of a single value."""
    stored = text(value) if kind == STRING else struct.pack(FORMS[kind], value)
    return text(key) + struct.pack("<I", kind) + stored


def numbers(key, values):
    """One metadata entry: an array of 32-bit numbers."""
    return text(key) + struct.pack("<IIQ", ARRAY, UINT32, len(values)) + struct.pack(f"<{len(values)}I", *values)


def tensor(name, shape, kind, offset):
    """One tensor of the directory."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(pairs=(), tensors=(), data=b"", **lies):
    """Return the bytes of a file; ``version``, ``tensor_count`` and ``pair_count`` may be wrong on purpose."""
    version = lies.get("version", 3)
    counts = lies.get("tensor_count", len(tensors)), lies.get("pair_count", len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, *counts)
    head += b"".join(pairs) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + data


def small():
    """Return a correct file: one F32 matrix of 4 x 2 and one Q8_0 row of 32."""
    return gguf(
        [pair("general.architecture", STRING, "llama"), numbers("a.list", [1, 2, 3])],
        [tensor("w", (4, 2), 0, 0), tensor("q", (32,), 8, 32)],
        b"\1" * 66,
    )


def written(path, shape, seed):
    """Write a file of one random F32 matrix to ``path`` with the real writer; return its bytes."""
    writer = GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.random.default_rng(seed).random(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()
