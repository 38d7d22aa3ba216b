"""What a gateway packed is unpacked in small pieces, and a bomb is left alone."""

import gzip
import itertools
import zlib

import pytest

from seatrial.measure.client.unpacking import UnpackError, unpacker_of

GZIP = {"content-encoding": "gzip"}


def unpacked(data, headers=GZIP, size=1000):
    """Unpack data that comes in reads of this size."""
    unpacker = unpacker_of(headers)
    reads = (data[at : at + size] for at in range(0, len(data), size))
    return list(itertools.chain.from_iterable(map(unpacker.unpack, reads)))


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_every_byte_comes_out(size):
    """However the reads fall, also of text that becomes more than one piece."""
    text = b"".join(b"%d " % number for number in range(50_000))
    pieces = unpacked(gzip.compress(text), size=size)
    assert text == b"".join(pieces)
    assert max(map(len, pieces)) <= 1 << 16


def test_a_bomb_is_left_alone():
    """Some megabytes came out of the 200 that are in it."""
    packed = gzip.compress(bytes(200_000_000), 1)
    pieces = []
    with pytest.raises(UnpackError, match="bytes become"):
        pieces.extend(unpacker_of(GZIP).unpack(packed))
    assert sum(map(len, pieces)) < 8 << 20


@pytest.mark.parametrize(
    "headers", [{}, {"content-encoding": ""}, {"content-encoding": "Identity"}, {"transfer-encoding": "Chunked"}]
)
def test_plain_text_has_no_unpacker(headers):
    """Nothing stands between the reads and the answer."""
    assert unpacker_of(headers) is None


@pytest.mark.parametrize("headers", [{"content-encoding": "DEFLATE"}, {"transfer-encoding": "deflate, chunked"}])
def test_names_in_any_case_and_place(headers):
    """The coding of a transfer is undone as that of the content."""
    assert b"words" == b"".join(unpacked(zlib.compress(b"words"), headers))


@pytest.mark.parametrize(
    "data",
    [b"no gzip", gzip.compress(b"words")[:5] + b"????????", gzip.compress(b"words") + b"more"],
    ids=["another form", "damaged", "more behind it"],
)
def test_what_is_broken(data):
    """It is one error, not that of a library."""
    with pytest.raises(UnpackError):
        unpacked(data)
