"""Finish reasons, errors, and events that nobody can read."""

import json

from tests.measure.stream.odd.stream import DONE, END, RAW, Odd, each, plain, raw, said

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
