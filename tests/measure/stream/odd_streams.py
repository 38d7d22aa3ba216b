"""A table of odd streams, each a kind of trouble in one of its forms, with what is right.

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


LITERALS = {
    "null": b"null", "zero": b"0", "one": b"1", "negative": b"-1", "whole as a float": b"8.0", "a float": b"1.5", "true": b"true",
    "false": b"false", "no text": b'""', "text": b'"x"', "digits": b'"8"', "an empty list": b"[]", "an empty object": b"{}",
    "a list with null": b"[null]", "a list of numbers": b"[1,2]", "a list of lists": b"[[[]]]", "an object": b'{"a":1}',
    "an object with null": b'{"a":null}', "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "nan": b"nan", "-inf": b"-inf",
    "None of Python": b"None", "True of Python": b"True", "undefined": b"undefined", "out of range": b"1e400", "large": b"1e300",
    "400 digits": b"9" * 400, "5,000 digits": b"7" * 5000, "a thousand digits and a fraction": b"1" * 1000 + b".5",
    "2^63": b"9223372036854775808", "-2^63-1": b"-9223372036854775809", "half a character": rb'"\ud83d"', "the other half": rb'"\udc00"',
    "NUL": rb'"\u0000"', "a raw tab": b'"a\tb"', "a raw NUL": b'"a\0b"', "bytes that are no UTF-8": b'"\xff\xfe"', "backwards": rb'"\u202ex"',
    "a byte-order mark": b'"\xef\xbb\xbf"', "brackets in a text": b'"' + b"[{" * 500 + b'"', "100 levels": b"[" * 100 + b"]" * 100,
    "300 objects deep": b'{"a":' * 300 + b"1" + b"}" * 300, "a long text": b'"' + b"y" * 50_000 + b'"', "a long list": b"[" + b"1," * 5000 + b"1]",
    "a name twice": b'{"a":1,"a":2}', "[DONE]": b'"[DONE]"', "an event": rb'"data: {}\n\n"',
}  # fmt: skip

BESIDE = {
    "id": lambda word: {"id": RAW, "choices": [{"delta": {"content": word}}]},
    "object": lambda word: {"object": RAW, "choices": [{"delta": {"content": word}}]},
    "created": lambda word: {"created": RAW, "choices": [{"delta": {"content": word}}]},
    "model": lambda word: {"model": RAW, "choices": [{"delta": {"content": word}}]},
    "type": lambda word: {"type": RAW, "choices": [{"delta": {"content": word}}]},
    "code": lambda word: {"code": RAW, "choices": [{"delta": {"content": word}}]},
    "message": lambda word: {"message": RAW, "choices": [{"delta": {"content": word}}]},
    "detail": lambda word: {"detail": RAW, "choices": [{"delta": {"content": word}}]},
    "usage": lambda word: {"choices": [{"delta": {"content": word}}], "usage": RAW},
    "usage.completion_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"completion_tokens": RAW}},
    "usage.prompt_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens": RAW}},
    "usage.total_tokens": lambda word: {"choices": [{"delta": {"content": word}}], "usage": {"total_tokens": RAW}},
    "usage.prompt_tokens_details": lambda word: {
        "choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens_details": RAW}},
    "usage.cached_tokens": lambda word: {
        "choices": [{"delta": {"content": word}}], "usage": {"prompt_tokens_details": {"cached_tokens": RAW}}},
    "usage of a choice": lambda word: {"choices": [{"delta": {"content": word}, "usage": RAW}]},
    "x_groq": lambda word: {"choices": [{"delta": {"content": word}}], "x_groq": RAW},
    "x_groq.usage": lambda word: {"choices": [{"delta": {"content": word}}], "x_groq": {"usage": RAW}},
    "timings": lambda word: {"choices": [{"delta": {"content": word}}], "timings": RAW},
    "timings.cache_n": lambda word: {"choices": [{"delta": {"content": word}}], "timings": {"cache_n": RAW}},
    "timings.predicted_n": lambda word: {"choices": [{"delta": {"content": word}}], "timings": {"predicted_n": RAW}},
    "index": lambda word: {"choices": [{"index": RAW, "delta": {"content": word}}]},
    "logprobs": lambda word: {"choices": [{"delta": {"content": word}, "logprobs": RAW}]},
    "logprobs.content": lambda word: {"choices": [{"delta": {"content": word}, "logprobs": {"content": RAW}}]},
    "matched_stop": lambda word: {"choices": [{"delta": {"content": word}, "matched_stop": RAW}]},
    "role": lambda word: {"choices": [{"delta": {"content": word, "role": RAW}}]},
    "message of a choice": lambda word: {"choices": [{"delta": {"content": word}, "message": RAW}]},
    "text beside content": lambda word: {"choices": [{"delta": {"content": word, "text": RAW}}]},
    "role of plain text": lambda word: {"choices": [{"text": word, "role": RAW}]},
    "delta beside plain text": lambda word: {"choices": [{"text": word, "x": RAW}], "prompt_logprobs": RAW},
    "in the first place": lambda word: {"a": RAW, "choices": [{"a": RAW, "delta": {"a": RAW, "content": word}}]},
}  # fmt: skip

FALSY = ("null", "zero", "false", "no text", "an empty list", "an empty object", "a list with null", "an object with null",
         "None of Python", "a list of lists", "undefined")  # fmt: skip
ERRORS = {
    name: lambda word, name=name: {"choices": [{"delta": {"content": word}}], name: RAW} for name in ("error", "errors")
}


def beside(place):
    """Yield streams with each odd value in a field that carries no token; an error is none only if it says nothing."""
    document_of = {**BESIDE, **ERRORS}[place]
    for name in LITERALS if place in BESIDE else FALSY:
        reads = each(lambda word, of=document_of, lit=LITERALS[name]: raw(of(word), lit))
        yield Odd(f"{place} is {name}", reads)


def delta(**fields):
    """Return a chunk with one delta."""
    return chunk(fields)


ANSWERS = {
    "a text": lambda word: delta(content=word),
    "a part": lambda word: delta(content={"type": "text", "text": word}),
    "parts": lambda word: delta(content=[{"type": "text", "text": word}]),
    "parts that are texts": lambda word: delta(content=[word]),
    "two parts": lambda word: delta(content=[{"type": "text", "text": ""}, {"type": "output_text", "text": word}]),
    "a part in a part": lambda word: delta(content=[{"type": "message", "content": [{"type": "output_text", "text": word}]}]),
    "a part with a value": lambda word: delta(content=[{"type": "text", "text": {"value": word, "annotations": []}}]),
    "delta.text": lambda word: delta(text=word),
    "delta.output_text": lambda word: delta(output_text=word),
    "delta as text": chunk,
    "delta as parts": lambda word: chunk([{"type": "text", "text": word}]),
    "choice.text": lambda word: {"choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": None}]},
    "choice.text beside an empty delta": lambda word: {"choices": [{"text": word, "delta": {}}]},
    "choice.text beside a role": lambda word: {"choices": [{"text": word, "delta": {"role": "assistant", "content": ""}}]},
    "choice.content": lambda word: {"choices": [{"index": 0, "content": word}]},
    "choice.message": lambda word: {"choices": [{"index": 0, "message": {"role": "assistant", "content": word}}]},
    "choice.message beside no delta": lambda word: {"choices": [{"delta": None, "message": {"content": word}}]},
    "choice.message as text": lambda word: {"choices": [{"message": word}]},
    "delta before message": lambda word: {"choices": [{"delta": {"content": word}, "message": {"content": "all of it"}}]},
    "refusal": lambda word: delta(content=None, refusal=word),
    "refusal beside no text": lambda word: delta(content="", refusal=word),
    "transcript": lambda word: delta(audio={"id": "a", "transcript": word}),
    "transcript beside sound": lambda word: delta(content=None, audio={"data": "UklGRg==", "transcript": word}),
    "choices as an object": lambda word: {"choices": {"index": 0, "delta": {"content": word}}},
    "choices by number": lambda word: {"choices": {"0": {"index": 0, "delta": {"content": word}}}},
    "choices with null before": lambda word: {"choices": [None, {"index": 0, "delta": {"content": word}}]},
    "choices with text before": lambda word: {"choices": ["x", {"index": 0, "delta": {"content": word}}]},
    "choices with an empty one before": lambda word: {"choices": [{}, {"index": 1, "delta": {"content": word}}]},
    "only the second choice": lambda word: {"choices": [{"index": 1, "delta": {"content": word}}]},
    "only the second of two": lambda word: {
        "choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {"content": word}}]},
    "only the second of two, with null": lambda word: {
        "choices": [{"index": 0, "delta": {"content": None}}, {"index": 1, "delta": {"content": word}}]},
    "index 7": lambda word: {"choices": [{"index": 7, "delta": {"content": word}}]},
    "index -1": lambda word: {"choices": [{"index": -1, "delta": {"content": word}}]},
    "index as text": lambda word: {"choices": [{"index": "0", "delta": {"content": word}}]},
    "index counts the chunks": lambda word: {"choices": [{"index": WORDS.index(word), "delta": {"content": word}}]},
    "index counts the chunks from 1": lambda word: {"choices": [{"index": 1 + WORDS.index(word), "delta": {"content": word}}]},
    "content null in the same delta": lambda word: b'{"choices":[{"delta":{"content":"%b","content":null}}]}' % word.encode(),
    "choices twice": lambda word: b'{"choices":[{"delta":{"content":"%b"}}],"choices":[]}' % word.encode(),
    "choices twice, empty first": lambda word: b'{"choices":[],"choices":[{"delta":{"content":"%b"}}]}' % word.encode(),
    "a list at the top": lambda word: [delta(content=word)],
    "JSON in a text": lambda word: json.dumps(delta(content=word)),
    "a sign of life in the same event": lambda word: b"{}" + json.dumps(delta(content=word)).encode(),
    "a document of nothing behind": lambda word: json.dumps(delta(content=word)).encode() + b"null",
    "words behind": lambda word: json.dumps(delta(content=word)).encode() + b" and so on",
    "a comma behind": lambda word: json.dumps(delta(content=word)).encode() + b",",
    "a semicolon behind": lambda word: json.dumps(delta(content=word)).encode() + b";",
    "NUL behind": lambda word: json.dumps(delta(content=word)).encode() + b"\0",
    "a record separator before": lambda word: b"\x1e" + json.dumps(delta(content=word)).encode(),
    "a byte-order mark before": lambda word: b"\xef\xbb\xbf" + json.dumps(delta(content=word)).encode(),
    "data: twice": lambda word: b"data: " + json.dumps(delta(content=word)).encode(),
    "data: three times": lambda word: b"data:data: " + json.dumps(delta(content=word)).encode(),
    "blanks around": lambda word: b" \t " + json.dumps(delta(content=word)).encode() + b" \t ",
    "written with indents": lambda word: json.dumps(delta(content=word), indent=1).replace("\n", "\r\ndata: ").encode(),
    "written with indents and no name": lambda word: json.dumps(delta(content=word), indent=1).replace("\n", "\ndata:").encode(),
    "Ollama's chat": lambda word: {"model": "m", "message": {"role": "assistant", "content": word}, "done": False},
    "Ollama's generate": lambda word: {"model": "m", "response": word, "done": False},
    "Anthropic's": lambda word: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}},
    "Anthropic's tool": lambda word: {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": word}},
    "Responses": lambda word: {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "delta": word},
    "Responses, refusal": lambda word: {"type": "response.refusal.delta", "delta": word},
    "Responses, tool": lambda word: {"type": "response.function_call_arguments.delta", "delta": word},
    "llama.cpp's own": lambda word: {"index": 0, "content": word, "tokens": [7], "stop": False, "id_slot": -1},
    "TGI's own": lambda word: {"index": 1, "token": {"id": 5, "text": word, "special": False}, "generated_text": None},
    "Cohere's": lambda word: {"is_finished": False, "event_type": "text-generation", "text": word},
    "a delta at the top": lambda word: {"delta": {"content": word}},
    "text at the top": lambda word: {"text": word},
    "content at the top": lambda word: {"type": "content", "content": word},
}  # fmt: skip

CALLS = {
    "arguments": lambda word: [{"index": 0, "function": {"arguments": word}}],
    "arguments beside an empty name": lambda word: [
        {"index": 0, "id": None, "function": {"name": "", "arguments": word}}
    ],
    "arguments beside a null name": lambda word: [{"index": 0, "function": {"name": None, "arguments": word}}],
    "a name": lambda word: [{"id": "t", "type": "function", "function": {"name": word, "arguments": ""}}],
    "one as an object": lambda word: {"index": 0, "function": {"arguments": word}},
    "by number": lambda word: {"0": {"function": {"arguments": word}}},
    "without function": lambda word: [{"name": None, "arguments": word}],
    "custom": lambda word: [{"type": "custom", "custom": {"input": word}}],
    "text": lambda word: word,
    "a list with null": lambda word: [None, {"function": {"arguments": word}}],
    "function null": lambda word: [{"function": None, "arguments": word}],
    "an odd id": lambda word: [{"index": "0", "id": 7, "type": None, "function": {"arguments": word}}],
}

THOUGHTS = {
    "reasoning_content": lambda word: delta(reasoning_content=word, content=None),
    "reasoning": lambda word: delta(reasoning=word, content=""),
    "thinking": lambda word: delta(thinking=word),
    "reasoning_text": lambda word: delta(reasoning_text=word),
    "reasoning, a text in an object": lambda word: delta(reasoning={"text": word}),
    "reasoning, content in an object": lambda word: delta(reasoning={"type": "reasoning", "content": word}),
    "reasoning, a summary": lambda word: delta(reasoning={"summary": word}),
    "reasoning, a summary in parts": lambda word: delta(reasoning={"summary": [{"type": "summary_text", "text": word}]}),
    "reasoning in parts": lambda word: delta(reasoning=[{"type": "text", "text": word}]),
    "reasoning_content in parts": lambda word: delta(reasoning_content=[{"type": "text", "text": word}]),
    "reasoning_details": lambda word: delta(content="", reasoning_details=[{"type": "reasoning.text", "text": word}]),
    "reasoning_details beside reasoning": lambda word: delta(
        reasoning=word, reasoning_details=[{"type": "reasoning.text", "text": word}]),
    "a summary in reasoning_details": lambda word: delta(
        reasoning_details=[{"type": "reasoning.summary", "summary": word}]),
    "thinking as a part": lambda word: delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": word}]}]),
    "reasoning as a part": lambda word: delta(content=[{"type": "reasoning", "text": word}]),
    "both names": lambda word: delta(reasoning_content=word, reasoning=word),
    "the other name is empty": lambda word: delta(reasoning_content="", reasoning=word),
    "an odd content beside": lambda word: delta(reasoning_content=word, content=[]),
    "Ollama's thinking": lambda word: {"message": {"content": "", "thinking": word}, "done": False},
    "Anthropic's thinking": lambda word: {
        "type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": word}},
    "Responses, reasoning": lambda word: {"type": "response.reasoning_text.delta", "delta": word},
    "Responses, summary": lambda word: {"type": "response.reasoning_summary_text.delta", "delta": word},
    "in a message": lambda word: {"choices": [{"message": {"reasoning_content": word}}]},
}  # fmt: skip


def carriers():
    """Yield streams whose tokens come in each field and form that servers use."""
    for name, document_of in ANSWERS.items():
        yield Odd(f"answer: {name}", each(document_of))
    for name, calls_of in CALLS.items():
        yield Odd(f"tool call: {name}", each(lambda word, of=calls_of: delta(content=None, tool_calls=of(word))))
    for name in ("arguments", "name"):
        yield Odd(f"function call: {name}", each(lambda word, name=name: delta(function_call={name: word})))
    yield Odd("tool call: arguments as an object",
              each(lambda word: delta(tool_calls=[{"function": {"arguments": {word: 1}}}])),
              text='{"A": 1}{"B": 1}{"C": 1}{"D": 1}')  # fmt: skip
    for name, document_of in THOUGHTS.items():
        reads = (*(said(document_of(word)) for word in "AB"), said(delta(content="C")), said(delta(content="D")), *END)
        yield Odd(f"thought: {name}", reads, answer=3)
    yield Odd("answer: parts with one odd",
              each(lambda word: delta(content=[{"type": "image_url", "image_url": {"url": "x"}}, {"text": word}])),
              odd="choices[0].delta.content is an object without text")  # fmt: skip
    yield Odd("answer: odd reasoning beside",
              each(lambda word: delta(content=word, reasoning={"effort": 7})),
              odd="choices[0].delta.reasoning is an object without text")  # fmt: skip
    yield Odd("encrypted reasoning", (
        *(said(delta(reasoning_details=[{"type": "reasoning.encrypted", "data": "c2Vh"}])) for _ in "AB"),
        said(delta(content="C")), said(delta(content="D")), *END), text="CD", answer=3)  # fmt: skip
    yield Odd("sound without a transcript", each(lambda _: delta(audio={"id": "a", "data": "UklGRg=="})), text="")
    yield Odd("digits as numbers", (
        *(said(delta(content=number)) for number in (0, 1, 1.5, 2)), *END), text="011.52")  # fmt: skip
    yield Odd("an emoji in two halves", (
        *(said(b'{"choices":[{"delta":{"content":"%b"}}]}' % half) for half in (rb"\ud83d", rb"\ude00") * 2),
        *END), text="\U0001f600" * 2)  # fmt: skip
    yield Odd(
        "halves without their other",
        each(lambda _: rb'{"choices":[{"delta":{"content":"\ud83d"}}]}'),
        text="\ufffd" * 4,
    )
    yield Odd(
        "NUL and colours in the text", each(lambda _: delta(content="\0\x1b[1m\u202e")), text="\0\x1b[1m\u202e" * 4
    )
    yield Odd(
        "raw controls in the text",
        each(lambda _: b'{"choices":[{"delta":{"content":"a\tb\x01"}}]}'),
        text="a\tb\x01" * 4,
    )
    yield Odd("[DONE] as text", each(lambda _: delta(content="[DONE]")), text="[DONE]" * 4)
    yield Odd("nan and None as text", each(lambda _: raw({"x": RAW, **delta(content='nan None \\"')}, b"nan")),
              text='nan None \\"' * 4)  # fmt: skip


def plain(word):
    """Return the JSON of a chunk."""
    return json.dumps(delta(content=word)).encode()


STOPPED = json.dumps(chunk({}, "stop")).encode()


def framed(frame, done=b"[DONE]"):
    """Return a stream whose events are written by ``frame``."""
    return tuple(frame(data) for data in (*map(plain, WORDS), STOPPED, done))


FRAMES = {
    "LF": lambda data: b"data: " + data + b"\n\n",
    "CRLF": lambda data: b"data: " + data + b"\r\n\r\n",
    "CR": lambda data: b"data: " + data + b"\r\r",
    "mixed line ends": lambda data: b"data: " + data + b"\n\r\n",
    "no space": lambda data: b"data:" + data + b"\n\n",
    "two spaces": lambda data: b"data:  " + data + b"\n\n",
    "a tab": lambda data: b"data:\t" + data + b"\n\n",
    "blanks at the end": lambda data: b"data: " + data + b" \t \n\n",
    "a blank before the colon": lambda data: b"data : " + data + b"\n\n",
    "a blank before data": lambda data: b" data: " + data + b"\n\n",
    "capitals": lambda data: b"DATA: " + data + b"\n\n",
    "a byte-order mark before each": lambda data: b"\xef\xbb\xbfdata: " + data + b"\n\n",
    "NUL before each": lambda data: b"\0data: " + data + b"\n\n",
    "no blank line": lambda data: b"data: " + data + b"\n",
    "no blank line, CRLF": lambda data: b"data: " + data + b"\r\n",
    "no blank line, CR": lambda data: b"data: " + data + b"\r",
    "no blank line and no space": lambda data: b"data:" + data + b"\n",
    "many blank lines": lambda data: b"\n\n\ndata: " + data + b"\n\n\n\n",
    "JSON a line": lambda data: data + b"\n",
    "JSON a line and a blank one": lambda data: data + b"\r\n\r\n",
    "an id": lambda data: b"id: 7\ndata: " + data + b"\n\n",
    "an id behind": lambda data: b"data: " + data + b"\nid: 7\n\n",
    "a name": lambda data: b"event: message\ndata: " + data + b"\n\n",
    "an unknown name": lambda data: b"event: 8\xff\ndata: " + data + b"\n\n",
    "a name behind": lambda data: b"data: " + data + b"\nevent: delta\n\n",
    "an empty name": lambda data: b"event:\ndata: " + data + b"\n\n",
    "retry": lambda data: b"retry: x\ndata: " + data + b"\n\n",
    "a comment": lambda data: b": OPENROUTER PROCESSING\n\ndata: " + data + b"\n\n",
    "a comment inside": lambda data: b":\ndata: " + data + b"\n:\n\n",
    "a ping": lambda data: b'event: ping\ndata: {"type": "ping"}\n\ndata: ' + data + b"\n\n",
    "a ping in words": lambda data: b"data: ping\n\ndata: [PING]\n\ndata: " + data + b"\n\n",
    "an empty event": lambda data: b"data:\n\ndata: {}\n\ndata: null\n\ndata: " + data + b"\n\n",
    "a choice of nothing": lambda data: b'data: {"choices":[]}\n\ndata: {"choices":[null]}\n\ndata: ' + data + b"\n\n",
    "an event in another dialect": lambda data: b'data: {"queue": 3}\n\ndata: ' + data + b"\n\n",
    "data in two lines": lambda data: b"data: " + data[:9] + b"\ndata: " + data[9:] + b"\n\n" if data[:1] == b"{" else b"data: " + data + b"\n\n",
    "an empty line of data": lambda data: b"data: " + data + b"\ndata:\n\n",
    "an empty line of data before": lambda data: b"data:\ndata: " + data + b"\n\n",
}  # fmt: skip
DONES = {
    "plain": b"[DONE]", "a blank before": b" [DONE]", "blanks around": b"   [DONE]   ", "in quotes": b'"[DONE]"', "in single quotes": b"'[DONE]'",
    "blanks and quotes": b' " [DONE] " ', "small letters": b"[done]", "mixed letters": b"[Done]", "no brackets": b"DONE", "small, no brackets": b"done",
    "a full stop": b"[DONE].", "blanks inside": b"[ DONE ]", "quotes inside": b'["DONE"]', "text behind": b"[DONE] and good bye", "JSON behind": b'[DONE]{"a":1}',
    "a chunk behind": b'[DONE]{"choices":[{"delta":{"content":"E"}}]}', "twice": b"[DONE][DONE]", "NUL behind": b"[DONE]\0", "a tab": b"\t[DONE]",
    "in angles": b"<[DONE]>", "twice as data": b"data: [DONE]", "an object": b'{"done": true}', "a comma": b"[DONE],", "a byte-order mark": b"\xef\xbb\xbf[DONE]",
}  # fmt: skip
BEHIND = {
    "nothing": b"", "[DONE] again": DONE, "a chunk": said(delta(content="E")), "an error": said({"error": "late"}), "no JSON": said(b"{"),
    "words": b"good bye", "bytes": b"\xff\0\xfe" * 9, "two million bytes": b"x" * 2_000_000, "an event of a million": said(b"x" * 1_100_000),
    "a line of data without end": b"data: " + b"[" * 1_100_000, "usage": said({"choices": [], "usage": {"completion_tokens": 99}}),
    "a page": b"<html>\n\n</html>", "a thousand events": said(delta(content="E")) * 1000,
}  # fmt: skip


def frames():
    """Yield streams with each way to frame an event, to say [DONE], and to go on after it."""
    for name, frame in FRAMES.items():
        yield Odd(f"frame: {name}", framed(frame))
    for name, done in DONES.items():
        yield Odd(f"[DONE]: {name}", framed(FRAMES["LF"], done))
        yield Odd(f"[DONE] without a finish reason: {name}", (*each(plain)[:4], said(done)))
        yield Odd(f"[DONE] without a line end: {name}", (*each(plain)[:4], b"data: " + done))
    for name, behind in BEHIND.items():
        yield Odd(f"after [DONE]: {name}", (*each(plain)[:5], DONE + behind))
        yield Odd(f"after [DONE], in a read of its own: {name}", (*each(plain)[:6], behind))
    yield Odd("[DONE] glued to the last chunk", (*each(plain)[:4], b"data: " + STOPPED + b"[DONE]\n\n"))
    yield Odd("data: [DONE] glued to the last chunk", (*each(plain)[:4], b"data: " + STOPPED + b"data: [DONE]\n\n"))
    yield Odd("an event named done", (*each(plain)[:4], b"event: done\ndata: {}\n\n"))
    yield Odd("an event named done without data", (*each(plain)[:4], b"event: done\n\n"))
    yield Odd(
        "two chunks in an event",
        (said(plain("A") + plain("B")), said(plain("C") + b"\ndata: " + plain("D")), *END),
        stamps=(1, 1, 2, 2),
    )
    yield Odd("all chunks in a list", (said(b"[" + b",".join(map(plain, WORDS)) + b"]"), *END), stamps=(1,) * 4)
    yield Odd("after the finish reason no JSON", (*each(plain)[:5], said(b"bye"), DONE), odd="after the finish reason")
    yield Odd("no [DONE]", each(plain)[:5])
    yield Odd("no [DONE], no last blank line", (*each(plain)[:4], STOP[:-1]))
    yield Odd("no [DONE], no last line end", (*each(plain)[:4], STOP[:-2]))
    for name, end, stray in (("words", b"Internal Server Error", "Internal Server Error"), ("a page", b"<h1>Bad</h1>\n", "<h1>Bad"),
                             ("nothing", b"", ""), ("an unknown event", said({"queue": 3}), "queue"), ("half a chunk", said(plain("E"))[:20], "")):  # fmt: skip
        yield Odd(
            f"cut, then {name}", (*each(plain)[:4], end), error=f"incomplete: the stream ended after 4 chunks .*{stray}"
        )
    yield Odd(
        "only words", (b"Service Unavailable\n",), "", (), None, error="incomplete: .* it said: Service Unavailable"
    )
    yield Odd("only unknown events", (said({"a": 1}), DONE), "", (), None, error='empty: .* it said: {"a": 1}')
    yield Odd("only a role", (said(delta(role="assistant", content="")), *END), "", (), None, error="empty: ")
    yield Odd("only empty texts", (*(said(delta(content="")) for _ in WORDS), *END), "", (), None, error="empty: ")
    yield Odd("only [DONE]", (DONE,), "", (), None, error="empty: ")


REASONS = {
    "stop": b'"stop"', "length": b'"length"', "unknown": b'"because"', "capitals": b'"STOP"', "a number": b"1", "a float": b"1.0", "true": b"true",
    "an object": b'{"type":"stop"}', "a list": b'["stop"]', "with blanks": b'" stop "', "tool_calls": b'"tool_calls"', "not ASCII": rb'"\u7d50\u675f"',
    "half a character": rb'"\ud83d"', "a long text": b'"' + b"s" * 50_000 + b'"', "digits": b'"2"', "NaN": b"NaN",
}  # fmt: skip
NO_REASONS = {
    "null": b"null", "no text": b'""', "blanks": b'" "', "null as text": b'"null"', "None as text": b'"None"', "zero": b"0", "false": b"false",
    "an empty list": b"[]", "an empty object": b"{}", "unspecified": b'"FINISH_REASON_UNSPECIFIED"', "None of Python": b"None",
}  # fmt: skip
GIVEN_UP = {"abort": b'"abort"', "error": b'"error"', "capitals": b'"ERROR"', "blanks": b'" abort "'}


def reasons():
    """Yield streams with each form of a finish reason, in each of its places."""
    places = {
        "choice": lambda: {"choices": [{"delta": {}, "finish_reason": RAW}]},
        "beside the last text": lambda: {"choices": [{"delta": {"content": "D"}, "finish_reason": RAW}]},
        "delta": lambda: {"choices": [{"delta": {"finish_reason": RAW}}]},
        "plain text": lambda: {"choices": [{"text": "", "finish_reason": RAW}]},
        "another name": lambda: {"choices": [{"delta": {}, "stop_reason": RAW}]},
    }
    for place, document_of in places.items():
        begun = each(plain)[: 3 if "beside" in place else 4]
        for forms, error in (
            (REASONS, ""),
            (NO_REASONS, "incomplete: "),
            (GIVEN_UP, "stream_error: the server gave the answer up"),
        ):
            for name, literal in forms.items():
                yield Odd(f"finish reason, {place}: {name}", (*begun, said(raw(document_of(), literal))), error=error)
    for name, literal in (REASONS | NO_REASONS).items():
        document = {"choices": [{"delta": {"content": "@word@"}, "finish_reason": RAW}]}
        reads = each(lambda word, lit=literal, of=document: raw(of, lit).replace(b"@word@", word.encode()), DONE)
        yield Odd(f"finish reason in each chunk: {name}", reads)


BROKE = {
    "text": {"error": "broke"}, "an object": {"error": {"message": "broke"}}, "an object of OpenAI's": {"error": {"message": "broke", "type": "server_error", "code": 500}},
    "a list": {"error": ["broke"]}, "a list of objects": {"error": [{"message": "broke"}]}, "nested": {"error": {"error": {"message": "broke"}}},
    "msg": {"error": {"msg": "broke"}}, "type only": {"error": {"type": "broke"}}, "errors": {"errors": [{"message": "broke"}]},
    "detail": {"detail": "broke"}, "detail of FastAPI": {"detail": [{"loc": ["body"], "msg": "broke"}]}, "message": {"message": "broke"},
    "message and code": {"message": "broke", "code": 500}, "code only": {"code": "broke"}, "object: error": {"object": "error", "message": "broke"},
    "type: error": {"type": "error", "message": "broke"}, "type: error, nested": {"type": "error", "error": {"type": "overloaded_error", "message": "broke"}},
    "status: error": {"status": "error", "msg": "broke"}, "beside text": {"choices": [{"delta": {"content": "E"}}], "error": {"message": "broke"}},
    "beside no choices": {"choices": [], "error": "broke"}, "a failed response": {"type": "response.failed", "response": {"error": {"message": "broke"}}},
    "deep in an object": {"error": {"a": {"b": {"c": "broke"}}}}, "long": {"error": "broke" + "x" * 100_000}, "halves": {"error": "broke \ud83d"},
    "status and message": {"status": 500, "message": "broke"}, "twenty levels": {"error": json.loads('{"error":' * 20 + '"broke"' + "}" * 20)},
}  # fmt: skip


def errors():
    """Yield streams in the middle of which comes an error, in each of its shapes; and events that nobody can read."""
    for name, document in BROKE.items():
        for stop in ((), (DONE,)):
            ending = ", then [DONE]" if stop else ""
            yield Odd(
                f"error: {name}{ending}",
                (*each(plain)[:4], said(document), *stop),
                error=r"stream_error: .{0,300}broke",
            )
    for name, document in {"true": True, "a number": 500, "a code": {"code": 500}, "a type": {"type": "x"}}.items():
        yield Odd(f"error: {name}", (*each(plain)[:4], said({"error": document}), DONE), error="stream_error: ")
    for name, event in {
        "a line": b"error: broke\n\n", "a line of JSON": b'error: {"message": "broke"}\n\n', "an event": b"event: error\ndata: broke\n\n",
        "an event of JSON": b'event: error\ndata: {"message": "broke"}\n\n', "an event of odd JSON": b"event: error\ndata: {broke\n\n",
    }.items():  # fmt: skip
        yield Odd(f"error: {name}", (*each(plain)[:4], event), error="stream_error: .*broke")
    yield Odd("error: an event without data", (*each(plain)[:4], b"event: error\n\n"), error="stream_error: no message")
    yield Odd("error: code only", (*each(plain)[:4], said({"code": 500})), error=r'stream_error: {"code": 500}')
    yield Odd("error: first of all", (said({"error": "broke"}), DONE), "", (), None, error="stream_error: broke")
    for name, (data, why) in {
        "words": (b"hello", "it is not JSON"), "half a chunk": (plain("E")[:-3], "it is not JSON"), "XML": (b"<a/>", "it is not JSON"), "a number": (b"7", "it is 7"),
        "a text": (b'"hello"', 'it is "hello"'), "a list of numbers": (b"[1]", "it is a list"), "Python": (b"{'choices': []}", "it is not JSON"),
        "bytes": (b"\xff\xfe", "it is not JSON"), "choices as a number": (b'{"choices":7}', "choices is 7"), "choices as text": (b'{"choices":"E"}', 'choices is "E"'),
        "a choice as a number": (b'{"choices":[7]}', r"choices\[0\] is 7"), "a delta as a number": (b'{"choices":[{"delta":7}]}', r"choices\[0\].delta is 7"),
        "content as an object": (b'{"choices":[{"delta":{"content":{"a":1}}}]}', r"choices\[0\].delta.content is an object without text"),
        "content true": (b'{"choices":[{"delta":{"content":true}}]}', r"choices\[0\].delta.content is true"),
        "content that is no UTF-8": (b'{"choices":[{"delta":{"content":"\xff"}}]}', "its text is not UTF-8"),
        "an open text": (b'{"choices":[{"delta":{"content":"E}}]}', "it is not JSON"), "nested": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        "objects, nested": (b'{"a":' * 100_000 + b"}" * 100_000, "nested too deeply"), "parts, nested": (b'{"choices":[{"delta":{"content":' + b"[" * 50 + b'"E"' + b"]" * 50 + b"}}]}", "content is a list"),
        "a wrong escape": (rb'{"choices":[{"delta":{"content":"\x41"}}]}', "it is not JSON"), "quotes without end": (b'"' + b'\\"' * 200_000, "it is"),
        "points and digits": (b'{"a":' + b"1." * 300_000, "it is not JSON"), "many quotes": (b'{"a' + b'"' * 500_000, "it is not JSON"),
    }.items():  # fmt: skip
        yield Odd(
            f"no chunk: {name}",
            (*each(plain)[:4], said(data), DONE),
            error=f"malformed: an event is not a completion chunk: .*{why}",
        )
    yield Odd(
        "an event of a million bytes", (*each(plain)[:4], said(b"{" + b" " * 1_100_000 + b"}")), error="oversized: "
    )
    yield Odd("data in a million lines", (*each(plain)[:4], b"data: 12345678\n" * 140_000), error="oversized: ")
    yield Odd("a line without end", (*each(plain)[:4], b"data: " + b"1" * 1_100_000), error="oversized: ")
    yield Odd("a field without end", (*each(plain)[:4], b"x" * 1_100_000), error="oversized: ")
    yield Odd("a hundred empty objects", (*each(plain)[:4], said(b"{}" * 100), *END))
    yield Odd(
        "a million empty objects",
        (*each(plain)[:4], said(b"{}" * 500_000)),
        error="malformed: .* more than 1,000 documents",
    )
    yield Odd("a comment of megabytes, in lines", (*each(plain)[:4], b": x\n" * 500_000, *END))


def counted(*places, **usage):
    """Return a stream whose last event has this usage in such a place."""
    document = usage
    for place in reversed(places):
        document = [document] if place == 0 else {place: document}
    return (*each(plain)[:5], said(document), DONE)


def usages():
    """Yield streams with token counts in each place and form that servers use."""
    right = {"prompt_tokens": 5, "completion_tokens": 4}
    known = {"counts": {"prompt_tokens": 5, "completion_tokens": 4}}
    cached = {"counts": {"prompt_tokens": 5, "completion_tokens": 4, "cached_tokens": 3}}
    yield Odd("usage", counted("usage", **right), **known)
    for name, value in {
        "floats": (5.0, 4.0),
        "texts": ("5", "4"),
        "texts with blanks": (" 5", "4 "),
        "mixed": (5, "4"),
    }.items():
        yield Odd(f"usage: {name}", counted("usage", prompt_tokens=value[0], completion_tokens=value[1]), **known)
    yield Odd("usage: in a list", counted("usage", 0, **right), **known)
    yield Odd("usage: Responses", counted("usage", input_tokens=5, output_tokens=4), **known)
    yield Odd("usage: total and prompt", counted("usage", prompt_tokens=5, total_tokens=9), **known)
    yield Odd("usage: x_groq", counted("x_groq", "usage", **right), **known)
    yield Odd("usage: of a choice", counted("choices", 0, "usage", **right), **known)
    yield Odd("usage: of a response", counted("response", "usage", input_tokens=5, output_tokens=4), **known)
    yield Odd("usage: Ollama", counted(done=True, prompt_eval_count=5, eval_count=4), **known)
    yield Odd("usage: llama.cpp's own", counted(stop=True, tokens_evaluated=5, tokens_predicted=4), **known)
    yield Odd("usage: timings", counted("timings", prompt_n=2, cache_n=3, predicted_n=4, predicted_ms=1.5), **cached)
    yield Odd("usage: timings as floats", counted("timings", prompt_n=2.0, cache_n=3.0, predicted_n=4.0), **cached)
    yield Odd(
        "usage: details",
        counted("usage", **right, prompt_tokens_details={"cached_tokens": 3, "audio_tokens": None}),
        **cached,
    )
    yield Odd(
        "usage: input details",
        counted("usage", input_tokens=5, output_tokens=4, input_tokens_details={"cached_tokens": 3}),
        **cached,
    )
    yield Odd(
        "usage: DeepSeek's", counted("usage", **right, prompt_cache_hit_tokens=3, prompt_cache_miss_tokens=2), **cached
    )
    yield Odd(
        "usage: beside empty choices twice",
        (*counted("usage", **right)[:6], said({"choices": [], "usage": right}), DONE),
        **known,
    )
    yield Odd(
        "usage: then an empty one", (*counted("usage", **right)[:6], said({"choices": [], "usage": {}}), DONE), **known
    )
    yield Odd(
        "usage: then an odd one",
        (*counted("usage", **right)[:6], said({"choices": [], "usage": "none"}), DONE),
        **known,
    )
    yield Odd(
        "usage: then null counts",
        (*counted("usage", **right)[:6], said({"usage": {"completion_tokens": None}}), DONE),
        **known,
    )
    yield Odd(
        "usage: before timings",
        (*counted("usage", **right)[:6], said({"timings": {"predicted_n": 99, "cache_n": 3}}), DONE),
        **cached,
    )
    yield Odd("usage: in two parts", (
        said({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}), *each(plain)[:4],
        said({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        said({"type": "message_stop"})), stamps=(2, 3, 4, 5), answer=2, **known)  # fmt: skip
    for name, usage in {
        "text": "4", "words": "four", "a float": 4.0, "a list": [4], "true": True, "nothing but total": {"total_tokens": 9}, "words for a count": {"completion_tokens": "four"},
        "a fraction": {"completion_tokens": 4.5}, "a list for a count": {"completion_tokens": [4]}, "NaN": {"completion_tokens": float("nan")},
        "true for a count": {"completion_tokens": True}, "1,000 digits": {"completion_tokens": 10**1000}, "infinite": {"completion_tokens": float("inf")},
    }.items():  # fmt: skip
        yield Odd(
            f"usage: unreadable, {name}",
            (*each(plain)[:5], said({"choices": [], "usage": usage}), DONE),
            counts={"completion_tokens": None},
        )
    for name, usage in {
        "null": None,
        "empty": {},
        "empty text": "",
        "zero": 0,
        "false": False,
        "an empty list": [],
    }.items():
        yield Odd(f"usage: none, {name}", (*each(plain)[:5], said({"choices": [], "usage": usage}), DONE))
    for name, sequence in {"so far": (1, 2, 3, 4), "of all": (4, 4, 4, 4)}.items():
        reads = each(
            lambda word, counts=sequence: (
                delta(content=word) | {"usage": {"completion_tokens": counts[WORDS.index(word)]}}
            )
        )
        yield Odd(f"usage: in each chunk, {name}", reads, counts={"completion_tokens": 4})


def several(*rows):
    """Return a stream of choices, each event given by its (index, text, finish reason) rows."""
    documents = (
        {"choices": [{"index": at, "delta": {"content": text}, "finish_reason": why} for at, text, why in row]}
        for row in rows
    )
    return (*map(said, documents), DONE)


def choices():
    """Yield streams of several answers although one was asked for: the first counts, and that is said."""
    doubt = "tokens of several choices came"
    both = [((0, word, None), (1, word.lower(), None)) for word in WORDS]
    yield Odd("two choices in each event", several(*both, [(0, "", "stop"), (1, "", "stop")]), odd=doubt)
    turns = [[row] for pair in both for row in pair]
    yield Odd(
        "two choices in turn", several(*turns, [(0, "", "stop")], [(1, "", "stop")]), stamps=(1, 3, 5, 7), odd=doubt
    )
    yield Odd(
        "one choice after the other",
        several(*turns[::2], [(0, "", "stop")], *turns[1::2], [(1, "", "stop")]),
        odd=doubt,
    )
    yield Odd("one choice after the other, without a reason", several(*turns[::2], *turns[1::2]), odd=doubt)
    yield Odd(
        "the other choice ends first",
        several(*turns, [(1, "", "stop")], [(0, "", "stop")]),
        stamps=(1, 3, 5, 7),
        odd=doubt,
    )
    yield Odd(
        "the other choice has one token",
        several(turns[0], turns[1], *turns[2::2], [(0, "", "stop")]),
        stamps=(1, 3, 4, 5),
        odd=doubt,
    )
    three = [[(at, word, None)] for word in WORDS for at in range(3)]
    yield Odd("three choices in turn", several(*three, [(0, "", "stop")]), stamps=(1, 4, 7, 10), odd=doubt)
    high = [[(at, word if at == 2 else "x", None)] for word in WORDS for at in (2, 5)]
    yield Odd("choices 2 and 5 in turn", several(*high, [(2, "", "stop")]), stamps=(1, 3, 5, 7), odd=doubt)
    yield Odd(
        "an empty second choice", several(*[((0, word, None), (1, "", None)) for word in WORDS], [(0, "", "stop")])
    )
    yield Odd("the whole answer again at the end", (*each(plain)[:4], said(chunk({"content": WORDS}, "stop")), DONE))
    yield Odd(
        "the whole answer as the last message",
        (*each(plain)[:4], said({"choices": [{"message": {"content": WORDS}, "finish_reason": "stop"}]}), DONE),
    )
    yield Odd(
        "the whole answer in one event",
        (said({"choices": [{"message": {"content": WORDS}, "finish_reason": "stop"}]}), DONE),
        stamps=(1,),
    )


def dialects():
    """Yield whole streams of other APIs."""
    yield Odd("Ollama's, a line each", tuple(
        json.dumps({"model": "m", "message": {"role": "assistant", "content": word}, "done": not word, "eval_count": 4}).encode() + b"\n"
        for word in (*WORDS, "")), counts={"completion_tokens": 4})  # fmt: skip
    yield Odd("Anthropic's", (
        b'event: message_start\ndata: {"type":"message_start","message":{"content":[],"usage":{"input_tokens":5,"output_tokens":1}}}\n\n',
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        b'event: ping\ndata: {"type": "ping"}\n\n',
        *(b"event: content_block_delta\n" + said({"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}}) for word in WORDS),
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'), stamps=(4, 5, 6, 7), answer=4,
        counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd("Responses", (
        said({"type": "response.created", "response": {"status": "in_progress", "usage": None}}),
        said({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
        *(said({"type": "response.output_text.delta", "delta": word}) for word in WORDS),
        said({"type": "response.output_text.done", "text": WORDS}),
        said({"type": "response.content_part.done", "part": {"type": "output_text", "text": WORDS}}),
        said({"type": "response.completed", "response": {"output": [{"content": [{"text": WORDS}]}], "usage": {"input_tokens": 5, "output_tokens": 4}}}),
        ), stamps=(3, 4, 5, 6), answer=3, counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd("llama.cpp's own", (
        *(said({"content": word, "stop": False}) for word in WORDS),
        said({"content": "", "stop": True, "stop_type": "limit", "tokens_predicted": 4, "tokens_evaluated": 5})),
        counts={"prompt_tokens": 5, "completion_tokens": 4})  # fmt: skip
    yield Odd(
        "TGI's own",
        (
            *(said({"token": {"text": word}, "generated_text": None, "details": None}) for word in "ABC"),
            said(
                {
                    "token": {"text": "D"},
                    "generated_text": WORDS,
                    "details": {"finish_reason": "length", "generated_tokens": 4},
                }
            ),
        ),
    )
