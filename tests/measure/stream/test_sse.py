"""The event stream is read right however the network cuts it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.measure.stream.sse import EventReader, OversizedEventError

texts = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=12)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw):
    """Return a stream in some dialect, and its events."""
    stream, events = b"", []
    for lines in draw(st.lists(st.lists(texts, min_size=1, max_size=3), max_size=5)):
        end = draw(line_ends)
        space = draw(st.sampled_from([b" ", b""]))
        if draw(st.booleans()):
            stream += b": keepalive" + end + end
        for text in lines:
            # Without the space a text that begins with one would lose it.
            stream += b"data:" + (space if not text.startswith(" ") else b" ") + text.encode() + end
        stream += end
        if any(text.strip(" \t") for text in lines):  # an event of blanks is none
            events.append("\n".join(lines).encode())
    return stream, events


def read(pieces, **bounds):
    """Every event of a stream that arrives in these pieces."""
    reader = EventReader(**bounds)
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_every_cut(stream_and_events, cuts):
    """Wherever a stream is cut, inside a line end or a character of several bytes, the same events come out."""
    stream, events = stream_and_events
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in pairwise(borders)]
    assert events == read(pieces)


def test_byte_by_byte():
    """A stream that arrives one byte at a time brings the same events, each when its blank line is there."""
    stream = "data: Ahoi ⚓\r\n\r\ndata:море\n\n".encode()
    assert ["Ahoi ⚓".encode(), "море".encode()] == read(bytes((byte,)) for byte in stream)


@pytest.mark.parametrize(
    "sign",
    [
        b"data:\n\n",
        b"data: \n\n",
        b"data\n\n",
        b"data:\ndata:\n\n",
        b"data: \t\r\n\r\n",
        b"event: ping\n\n",
        b"event: ping\ndata: ping\n\n",
        b"event:Heartbeat\rdata: 12:00\r\r",
        b'event: keep-alive\ndata: {"type": "ping"}\n\n',
        b":\n\n",
        b": ping\n\n",
        b"id: 7\n\n",
        b"retry: 3000\n\n",
        b"\n\n\n",
        b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_signs_of_life_are_no_events(sign, size):
    """What keeps a connection alive is no event, before, between and after those that are, in pieces of any size."""
    stream = sign + b"data: 1\n\n" + sign + b"data: 2\n\n" + sign
    assert [b"1", b"2"] == read(stream[at : at + size] for at in range(0, len(stream), size))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_byte_order_mark(size):
    """A byte-order mark before the first line belongs to no field."""
    stream = b"\xef\xbb\xbfdata: 1\n\ndata: \xef\xbb\xbf\n\n"
    assert [b"1", b"\xef\xbb\xbf"] == read(stream[at : at + size] for at in range(0, len(stream), size))


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b'{"message":"x"}', b'{"error":{"message":"x"}}'),
        (b'"x"', b'{"error":"x"}'),
        (b"it broke", b'{"error":"it broke"}'),
        (b"\xff", '{"error":"\ufffd"}'.encode()),
    ],
)
def test_an_event_called_an_error(data, event):
    """An event whose name is error is one, whatever its data are."""
    assert [event, b"1"] == read([b"event: error\ndata: " + data + b"\n\ndata: 1\n\n"])


def test_an_event_of_another_name_counts():
    """The name of an event says nothing else, and ends with the event."""
    assert [b"1", b"2"] == read([b"event: message\ndata: 1\n\nevent: ping\n\ndata: 2\n\n"])


def test_comments_and_fields_carry_nothing():
    """Comments, event names, ids and retry times are not events."""
    assert [b"1"] == read([b": keepalive\n\nevent: message\nid: 7\nretry: 10\n\ndata: 1\n\n:\n\n"])


def test_last_event_without_blank_line():
    """A last event whose blank line never came is not lost."""
    assert [b"1", b"[DONE]"] == read([b"data: 1\n\ndata: [DONE]"])


def test_error_line():
    """A line that begins with error: is an event that says so."""
    assert [b'{"error": {"message":"x"}}'] == read([b'error: {"message":"x"}\n\n'])


@pytest.mark.parametrize("piece", [10, 1000, 100_000])
def test_endless_line_is_bounded(piece):
    """A line that never ends is refused once it is longer than the bound, whatever the pieces."""
    with pytest.raises(OversizedEventError):
        read((b"x" * piece for _ in range(10_000_000 // piece)), max_event_bytes=5000)


def test_endless_event_is_bounded():
    """Many short lines that never make an event are refused too."""
    with pytest.raises(OversizedEventError):
        read([b"data: 0123456789\n"] * 1000, max_event_bytes=5000)


def test_pending():
    """An event that has begun is pending until its blank line is there."""
    reader = EventReader()
    states = []
    for piece in (b": comment\n", b"da", b"ta: 1\n", b"\n"):
        reader.feed(piece)
        states.append(reader.pending)
    assert [False, True, True, False] == states
