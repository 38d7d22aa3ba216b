"""One odd field beside a plain answer: the answer counts, or the message names the field."""

import json

import pytest

from seatrial.measure.stream.answer import Answer, StreamError
from seatrial.measure.stream.chunks import NOT_PLAIN, decode_chunk
from seatrial.measure.stream.odd_chunk import OddChunkError, Piece, read_odd_chunk
from seatrial.measure.stream.usage import Usage, whole

ODD = [None, 0, 1, 8.0, 1.5, -1, "", "8", "x", True, False, [], {}, [None], [1], {"a": 1}, "\ud83d", 10**400, 1e300]
NO_JSON = [b"NaN", b"-Infinity", b"Infinity", b"1e400", b"-1E+999", b"9" * 400]
PLACES = {
    "choices": lambda odd: {"choices": odd, "usage": {"completion_tokens": 1}},
    "choices[0]": lambda odd: {"choices": [odd]},
    "choices[0].index": lambda odd: {"choices": [{"index": odd, "delta": {"content": "A"}}]},
    "choices[0].delta": lambda odd: {"choices": [{"delta": odd}]},
    "choices[0].text": lambda odd: {"choices": [{"text": odd}]},
    "choices[0].finish_reason": lambda odd: {"choices": [{"delta": {"content": "A"}, "finish_reason": odd}]},
    "choices[0].delta.content": lambda odd: {"choices": [{"delta": {"content": odd}}]},
    "choices[0].delta.reasoning_content": lambda odd: {"choices": [{"delta": {"content": "A", "reasoning_content": odd}}]},
    "choices[0].delta.reasoning": lambda odd: {"choices": [{"delta": {"content": "A", "reasoning": odd}}]},
    "choices[0].delta.tool_calls": lambda odd: {"choices": [{"delta": {"content": "A", "tool_calls": odd}}]},
    "choices[0].delta.role": lambda odd: {"choices": [{"delta": {"content": "A", "role": odd}}]},
    "choices[0].logprobs": lambda odd: {"choices": [{"delta": {"content": "A"}, "logprobs": odd}]},
    "usage": lambda odd: {"choices": [{"delta": {"content": "A"}}], "usage": odd},
    "usage.completion_tokens": lambda odd: {"choices": [{"delta": {"content": "A"}}], "usage": {"completion_tokens": odd}},
    "usage.prompt_tokens": lambda odd: {"choices": [{"delta": {"content": "A"}}], "usage": {"prompt_tokens": odd}},
    "usage.details": lambda odd: {"choices": [{"delta": {"content": "A"}}], "usage": {"prompt_tokens_details": odd}},
    "usage.cached": lambda odd: {"choices": [{"delta": {"content": "A"}}],
                                 "usage": {"prompt_tokens_details": {"cached_tokens": odd}}},
    "timings": lambda odd: {"choices": [{"delta": {"content": "A"}}], "timings": odd},
    "timings.cache_n": lambda odd: {"choices": [{"delta": {"content": "A"}}], "timings": {"cache_n": odd}},
    "object": lambda odd: {"choices": [{"delta": {"content": "A"}}], "object": odd},
    "message": lambda odd: {"choices": [{"delta": {"content": "A"}}], "message": odd},
    "id": lambda odd: {"choices": [{"delta": {"content": "A"}}], "id": odd},
}  # fmt: skip
CARRY_THE_ANSWER = ("choices", "choices[0]", "choices[0].delta", "choices[0].text", "choices[0].delta.content",
                    "choices[0].delta.reasoning_content", "choices[0].delta.reasoning")  # fmt: skip


def written(value):
    """Return ``value`` as JSON, as Python writes it: halves of characters are escaped."""
    return json.dumps(value).encode()


def follow(event):
    """Return the text of an answer that begins with ``event`` and goes on well."""
    answer = Answer(64)
    answer.feed(1, b"data: " + event + b'\n\ndata: {"choices":[{"delta":{"content":"B"}}]}\n\ndata: [DONE]\n\n')
    answer.close(2)
    return answer.text


def outcome(event):
    """Return the text of the answer, or its error."""
    try:
        return follow(event)
    except StreamError as error:
        return str(error)


@pytest.mark.parametrize("place", PLACES)
def test_an_odd_field_counts_or_is_named(place):
    """Each field that is read takes each odd value: nothing but the fields of the answer itself may fail, by their name."""
    for odd in (*map(written, ODD), *NO_JSON):
        event = written(PLACES[place]("HERE")).replace(b'"HERE"', odd)
        came = outcome(event)
        named = place in CARRY_THE_ANSWER and came.startswith("malformed: ") and f" {place}" in came
        assert came.endswith("B") or named, (odd, came)


@pytest.mark.parametrize("odd", [{}, [], "", None, 0, False, {"code": 0, "message": ""}, {"message": None}])
def test_an_error_without_content_is_none(odd):
    """Gateways write an empty error beside each piece of text."""
    assert follow(written({"choices": [{"delta": {"content": "A"}}], "error": odd})) == "AB"


@pytest.mark.parametrize(
    "odd", [{"message": "broke"}, "broke", ["broke"], {"error": {"message": "broke"}}, {"type": "broke"}]
)
def test_an_error_with_content_is_one(odd):
    """An error in any form that says something ends the answer with what it says."""
    with pytest.raises(StreamError, match=r"^stream_error: .*broke"):
        follow(written({"choices": [{"delta": {"content": "A"}}], "error": odd}))


@pytest.mark.parametrize("sign", [b"{}", b"null", b"[]", b'""', b"0", b'{"type":"ping"}', b'{"choices":[]}'])
def test_signs_of_life(sign):
    """JSON without content is a sign of life."""
    assert follow(sign) == "B"


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b"[PING]", "is not JSON"),
        (b"ping", "is not JSON"),
        (b"7", "it is 7"),
        (b'"ping"', 'it is "ping"'),
        (b"[1]", "it is a list"),
        (b'{"choices":7}', "choices is 7"),
        (b'{"choices":[{"delta":{"content":{"a":1}}}]}', r"choices\[0\].delta.content is an object"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"choices":"' + b"x" * 1000 + b'"}', 'choices is "xxx'),
    ],
)
def test_what_is_no_chunk_is_described(event, said):
    """An event that is no chunk is described in a line."""
    with pytest.raises(OddChunkError, match=said) as caught:
        read_odd_chunk(event)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("value", "number"),
    [(8, 8), (8.0, 8), ("8", 8), (" 8 ", 8), (0, 0), (-1, -1), (8.5, None), ("8.0", None), ("eight", None), (True, None),
     (None, None), ([], None), ("9" * 400, None), (10**400, None), (-(10**400), None), ("-1", None), (float("inf"), None), (float("nan"), None)],
)  # fmt: skip
def test_whole_numbers(value, number):
    """Whole numbers count in each form that gateways write, and nothing else does."""
    assert number == whole(value)


def test_text_in_parts():
    """Content as a list of parts is text."""
    event = written({"choices": [{"delta": {"content": [{"type": "text", "text": "A"}, "C"]}}]})
    assert follow(event) == "ACB"


def test_half_a_character_an_event():
    """An emoji cut into two events leaves an answer that can be written."""
    halves = (rb'{"choices":[{"delta":{"content":"\ud83d"}}]}', rb'{"choices":[{"delta":{"content":"\ude00"}}]}')
    assert all(follow(half).encode() for half in halves)


@pytest.mark.parametrize(
    ("event", "piece"),
    [
        ({"choices": [{"delta": {"content": "A"}}]}, Piece(answer="A")),
        ({"choices": [{"index": 0, "text": "A"}]}, Piece(answer="A", index=0)),
        (
            {"choices": [{"index": 0, "delta": {"content": None, "reasoning": "B"}, "finish_reason": None}]},
            Piece(thought="B", index=0),
        ),
        (
            {
                "choices": [{"delta": {"content": "A", "tool_calls": []}}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}},
            },
            Piece(answer="A", usage=Usage(1, 2, 3)),
        ),
    ],
)
def test_a_plain_chunk_needs_no_second_look(event, piece):
    """What the strict decoder takes means the same to the other."""
    chunk = decode_chunk(written(event))
    delta = chunk.choices[0].delta
    assert [piece] == read_odd_chunk(written(event))
    assert (piece.thought, piece.answer) == (delta.reasoning, delta.content or chunk.choices[0].text)
    assert piece.usage == (chunk.usage and chunk.usage.read())


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices":null}',
        b'{"choices":[]}',
        b'{"choices":[{"index":1,"delta":{"content":"A"}}]}',
        b'{"choices":[{"delta":{"content":"A"}},{"delta":{"content":"A"}}]}',
        b'{"choices":[{"delta":{"content":"A"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"content":"A","thinking":"B"}}]}',
        b'{"choices":[{"delta":{"content":"A"}}],"error":{}}',
        b'{"choices":[{"delta":{"content":"A"}}],"timings":{}}',
        b'{"choices":[{"delta":{"content":"A"}}],"usage":{"completion_tokens":1.0}}',
        b'{"choices":[{"delta":{"content":["A"]}}]}',
    ],
)
def test_what_needs_a_second_look(event):
    """The strict decoder refuses a chunk that holds more than a piece of text and plain counts."""
    with pytest.raises(NOT_PLAIN):
        decode_chunk(event)
