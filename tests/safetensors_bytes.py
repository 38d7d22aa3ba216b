"""Builds small safetensors files, well-formed or wrong."""

import json
import struct


def content(entries, data_bytes, *, length=None):
    """Return a safetensors file of ``entries``, with the real length of its header or a wrong one."""
    raw = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + b"\0" * data_bytes


def entry(kind, shape, first, last):
    """Return one tensor's entry in a header."""
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}


def vectors(**lengths):
    """Return a well-formed file of BF16 vectors."""
    entries, end = {}, 0
    for name, length in lengths.items():
        entries[name] = entry("BF16", [length], end, end + 2 * length)
        end += 2 * length
    return content(entries, end)
