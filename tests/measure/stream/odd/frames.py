"""Ways to frame an event, to say [DONE], and to go on after it."""

from tests.measure.stream.odd.stream import DONE, END, STOP, STOPPED, WORDS, Odd, delta, each, plain, said


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
    "an empty event": lambda data: b"data:\n\ndata: [[],null,{}]\n\ndata: {}\n\ndata: null\n\ndata: " + data + b"\n\n",
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
