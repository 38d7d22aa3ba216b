"""Unpacks a body that a gateway compressed although plain text was asked for, within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

_PIECE = 1 << 16  # bytes
# Most bytes that come out: these, and so many times those that went in. Chunks of a text shrink 10 to 50 times, a bomb 1,000.
_FREE, _MOST_TIMES = 1 << 21, 100
_GZIP_OR_ZLIB, _RAW = 47, -15  # as zlib counts its forms
_KNOWN = frozenset(("gzip", "x-gzip", "deflate"))
_PLAIN = frozenset(("", "identity", "chunked"))


class UnpackError(ValueError):
    """A body that cannot be unpacked."""


class Unpacker:
    """Unpacker of a body packed in these encodings."""

    def __init__(self, encodings: list[str]) -> None:
        unknown = [name for name in encodings if name not in _KNOWN]
        self._refused = unknown[0] if unknown else ", ".join(encodings[1:] and encodings)
        self._deflated = encodings == ["deflate"]
        self._reader: zlib._Decompress | None = None
        self._read = self._made = 0  # bytes

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield the plain text of what a read brought in pieces; raise UnpackError if that is not possible."""
        if self._refused:
            raise UnpackError(f"its encoding is {self._refused}")
        more = bool(data)
        while more:
            self._reader = self._reader or self._new_reader(data)
            size = len(data)
            try:
                piece = self._reader.decompress(data, _PIECE)
            except zlib.error as error:
                raise UnpackError(str(error)) from error
            data = self._reader.unconsumed_tail or self._reader.unused_data
            more = bool(data) or (len(piece) == _PIECE and not self._reader.eof)  # zlib may hold text back
            if self._reader.eof:
                self._reader = None  # another may follow (RFC 1952, section 2.2)
            self._read += size - len(data)
            self._made += len(piece)
            if self._made > _FREE + _MOST_TIMES * self._read:
                raise UnpackError(f"{self._read:,} bytes become {self._made:,} and more")
            yield piece

    def _new_reader(self, data: bytes) -> zlib._Decompress:
        # What is called deflate may come without the frame of zlib (RFC 9110, section 8.4.1.2).
        raw = self._deflated and data[0] & 0x0F != zlib.DEFLATED
        return zlib.decompressobj(_RAW if raw else _GZIP_OR_ZLIB)


def unpacker_of(headers: Mapping[str, str]) -> Unpacker | None:
    """Return an unpacker of the body under these headers, None if it comes as plain text."""
    named = f"{headers.get('content-encoding', '')},{headers.get('transfer-encoding', '')}".lower().split(",")
    packed = [name for one in named if (name := one.strip()) not in _PLAIN]
    return Unpacker(packed) if packed else None
