"""A row of the table of odd streams, and the parts that its streams are made of.

Each stream holds the four tokens A, B, C and D, unless its row says otherwise.
"""

import json
from dataclasses import dataclass, field

WORDS = "ABCD"
DONE = b"data: [DONE]\n\n"
RAW = "@raw@"  # stands for a value that JSON cannot express


@dataclass(frozen=True)
class Odd:
    """An odd stream, as the reads that bring it, and what is right of it."""

    name: str
    reads: tuple
    text: str = WORDS
    stamps: tuple = (1, 2, 3, 4)  # numbers of the reads that bring a token
    answer: int | None = 1  # number of the read that brings the first token of the answer
    error: str = ""  # a regular expression for the error, empty if there is none
    odd: str = ""  # a part of the doubt that is named, empty if there is none
    counts: dict = field(default_factory=dict)  # attributes of the usage


def said(document):
    """Return an event whose data are this document, or these bytes."""
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def chunk(delta, reason=None, **more):
    """Return the document of a chat chunk."""
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


STOP = said(chunk({}, "stop"))
END = (STOP, DONE)


def each(document_of, *end):
    """Return a stream of four events, ``document_of(word)`` each, and its end."""
    return (*(said(document_of(word)) for word in WORDS), *(end or END))


def raw(document, literal):
    """Return a document as JSON in which ``RAW`` is this literal."""
    return json.dumps(document).encode().replace(f'"{RAW}"'.encode(), literal)


def delta(**fields):
    """Return a chunk with one delta."""
    return chunk(fields)


def plain(word):
    """Return the JSON of a chunk."""
    return json.dumps(delta(content=word)).encode()


STOPPED = json.dumps(chunk({}, "stop")).encode()
