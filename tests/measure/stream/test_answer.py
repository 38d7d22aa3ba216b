"""An answer is followed right: what is a token, when it came, how it ended."""

import json

import pytest

from seatrial.measure.stream.answer import Answer, StreamError
from seatrial.measure.stream.chunks import MAX_MESSAGE, error_text, one_line


def chunk(delta=None, *, finish=None, **more):
    """Return a chat chunk as one event."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **more}).encode() + b"\n\n"


def follow(*reads, answer=None):
    """Return an answer whose socket reads came at clock 1, 2, 3 ..."""
    answer = answer or Answer()
    for stamp, read in enumerate(reads, start=1):
        answer.feed(stamp, read)
    answer.close(len(reads) + 1)
    return answer


DONE = b"data: [DONE]\n\n"
STOP = chunk({}, finish="stop")


def test_role_and_empty_chunks_are_no_tokens():
    """A role-only first chunk and an empty one carry no token: the first token is the third read."""
    answer = follow(
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": None, "reasoning_content": None}),
        chunk({"content": "A"}),
        STOP,
        DONE,
    )
    assert [3] == answer.stamps


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_token_but_no_answer(field):
    """Reasoning starts the clock of the first token; the first answer comes later. Text keeps both."""
    answer = follow(chunk({field: "Hm"}), chunk({"content": " yes"}), STOP, DONE)
    assert ([1, 2], 2, "Hm yes") == (answer.stamps, answer.first_answer, answer.text)


def test_tool_calls_are_answers():
    """A tool call is a token, and an answer."""
    answer = follow(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}), STOP, DONE)
    assert ([1], 1) == (answer.stamps, answer.first_answer)


def test_usage_only_chunk_is_no_token():
    """A last chunk with usage alone, and [DONE], never move the last token."""
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
    answer = follow(chunk({"content": "A"}), chunk({"content": "B"}), STOP, chunk(usage=usage), DONE)
    assert ([1, 2], 7, 4) == (answer.stamps, answer.usage.completion_tokens, answer.cached_tokens)


def test_usage_in_every_chunk_tells_the_first_chunk():
    """If each chunk carries usage, the tokens of the first one are known."""
    first, second = {"completion_tokens": 3}, {"completion_tokens": 6}
    answer = follow(chunk({"content": "A B C"}, usage=first), chunk({"content": " D E F"}, usage=second), STOP, DONE)
    assert (3, 6) == (answer.first_chunk_tokens, answer.usage.completion_tokens)


def test_empty_usage_at_the_end():
    """A last usage without figures does not wipe out those before."""
    answer = follow(chunk({"content": "A"}, usage={"completion_tokens": 1}), STOP, chunk(usage={}), DONE)
    assert answer.usage.completion_tokens == 1


def test_cached_tokens_of_llamacpp():
    """llama.cpp says in its timings how much of the prompt was cached."""
    answer = follow(chunk({"content": "A"}), chunk({}, finish="stop", timings={"cache_n": 12, "predicted_ms": 3.5}))
    assert answer.cached_tokens == 12


def test_one_read_with_several_events_has_one_clock():
    """Events of one socket read share its clock."""
    answer = follow(chunk({"content": "A"}) + chunk({"content": "B"}), STOP + DONE)
    assert [1, 1] == answer.stamps


def test_plain_completions():
    """Plain completions carry text instead of a delta."""
    answer = follow(b'data: {"choices":[{"text":"A","finish_reason":null}]}\n\n', DONE)
    assert ("A", [1], 1) == (answer.text, answer.stamps, answer.first_answer)


def test_finish_reason_without_done():
    """A stream that says why it finished is complete without [DONE]."""
    assert follow(chunk({"content": "A"}), STOP).finished


@pytest.mark.parametrize("reason", ["", " ", None, "null", "None"])
def test_an_empty_finish_reason_is_none(reason):
    """An empty reason beside each piece ends nothing: the stream that breaks off then is incomplete."""
    answer = Answer()
    with pytest.raises(StreamError, match=r"^incomplete: .* after 2 chunks"):
        follow(chunk({"content": "A"}, finish=reason), chunk({"content": "B"}, finish=reason), answer=answer)
    assert follow(chunk({"content": "A"}, finish=reason), DONE).finished


def test_a_finish_reason_in_each_chunk_is_no_end():
    """A server that names a reason before it is at the end is believed only at [DONE]."""
    reasons = [chunk({"content": "A"}, finish="stop"), chunk({"content": "B"}, finish="stop")]
    with pytest.raises(StreamError, match="incomplete"):
        follow(*reasons)
    assert follow(*reasons, DONE).text == "AB"


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_answer_that_the_server_gave_up(reason):
    """An answer that the server gave up is no success, whatever came before."""
    with pytest.raises(StreamError, match=f"stream_error: .*{reason}"):
        follow(chunk({"content": "A"}), chunk({}, finish=reason), DONE)


@pytest.mark.parametrize(
    "form",
    [
        b"data:[DONE]\n\n",
        b"data: [DONE] \n\n",
        b"data:  [DONE]\r\n\r\n",
        b'data: "[DONE]"\n\n',
        b"data: [done]\r\r",
        b"data: DONE\n\n",
        b"data: [DONE]",
        b"event: done\ndata: [DONE]\n\n",
    ],
)
def test_forms_of_done(form):
    """The end is an end in each form that servers and gateways write."""
    assert follow(chunk({"content": "A"}), form).done


def test_nothing_counts_after_done():
    """What comes after [DONE] is no part of the answer."""
    answer = follow(chunk({"content": "A"}), DONE + chunk({"content": "B"}) + b'data: {"error":"late"}\n\n')
    assert ([1], "A") == (answer.stamps, answer.text)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": " word"},
        {"content": "\u4e00"},
        {"content": "x"},
        {"reasoning_content": "hm "},
        {"reasoning": "hm "},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"content": "word " * 1000},
        {"role": "assistant", "content": ""},
    ],
)
def test_an_answer_without_end(delta):
    """An answer that goes on some way above what was asked for is given up under its own name, and little is kept."""
    answer = Answer(8)
    piece = chunk(delta) * 50
    with pytest.raises(StreamError, match="overlong: 8 tokens were asked for, "):
        follow(*[piece] * 10_000, answer=answer)
    assert len(answer.stamps) < 400
    assert len(answer.text) < 10_000


@pytest.mark.parametrize(
    ("asked", "text", "chunks"),
    [
        (8, " word", 8),
        (8, " word", 12),
        (64, "a", 300),
        (1, " " * 100, 1),
        (4096, "\u4e00", 4096),
        (4096, " word", 5000),
    ],
)
def test_an_answer_a_little_longer_counts(asked, text, chunks):
    """A few tokens more, an answer cut into letters, and long tokens are no endless answer."""
    assert chunks == len(follow(chunk({"content": text}) * chunks, STOP, DONE, answer=Answer(asked)).stamps)


@pytest.mark.parametrize(
    ("reads", "kind"),
    [
        ((chunk({"content": "A"}),), "incomplete"),
        ((chunk({"content": "A"}), chunk(usage={"completion_tokens": 1})), "incomplete"),
        ((chunk({"content": "A"}), b'data: {"choices":[{"del'), "incomplete"),
        ((chunk({"content": "A"}), b'data: {"choices":[{"delta":{"content":"'), "incomplete"),
        ((STOP, DONE), "empty"),
        ((chunk({"content": "A"}), b'data: {"choices":[{"del\n\n'), "malformed"),
        ((chunk({"content": "A"}), b"data: \xff\xfe\n\n"), "malformed"),
        ((chunk({"content": "A"}), b'data: {"choices":7}\n\n'), "malformed"),
        ((chunk({"content": "A"}), b'data: {"error":{"message":"out of memory"}}\n\n'), "stream_error"),
        ((chunk({"content": "A"}), b'data: {"object":"error","message":"out of memory"}\n\n'), "stream_error"),
        ((chunk({"content": "A"}), b'error: {"message":"out of memory"}\n\n'), "stream_error"),
        ((chunk({"content": "A"}), b"data: " + b"x" * 10_000_000), "oversized"),
    ],
)
def test_broken_streams(reads, kind):
    """Each way to break has its name, and the text that came before is kept."""
    answer = Answer()
    with pytest.raises(StreamError) as caught:
        follow(*reads, answer=answer)
    assert kind == caught.value.kind
    assert answer.text == ("" if kind == "empty" else "A")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"no such model","code":404}}', "no such model"),
        (b'{"object":"error","message":"too long","type":"BadRequestError"}', "too long"),
        (b'{"error":"plain"}', "plain"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b"<h1>Bad\n gateway</h1>", "Bad gateway"),
        (b"\xff\x00", "2 bytes that are no text"),
        (b"", ""),
    ],
)
def test_http_error_bodies(body, text):
    """Errors are read in OpenAI's shape, SGLang's, FastAPI's, and as plain text."""
    assert text == error_text(body)


def test_messages_are_one_short_line():
    """What a server says in an error cannot flood or steer a terminal."""
    text = one_line("a\x1b[31m\u202eb\n" + "x" * 100_000)
    assert text.isprintable()
    assert len(text) == MAX_MESSAGE
