"""The server's tokenizer is asked after the last answer of a level, never while answers are timed."""

from dataclasses import replace

from tests.measure.conftest import SMALL
from tests.measure.scripted_server import WORD, Script, scripted_server

from seatrial.measure import measure_server

NO_USAGE = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
PAIR = {"choices": [{"index": 0, "delta": {"content": "two words "}, "finish_reason": None}]}


class Counting(Script):
    """A server without usage, with a tokenizer of a token a word; it notes what it is asked."""

    def __init__(self, *events):
        super().__init__(chat=lambda exchange: exchange.stream(*events, NO_USAGE, b"[DONE]"), others=self.count)
        self.paths = []

    def answer(self, exchange):
        """Answer one request."""
        self.paths.append(exchange.path)
        return super().answer(exchange)

    def count(self, exchange):
        """Answer the tokenizer's requests, and no others."""
        if exchange.path == "/tokenize":
            exchange.reply({"count": len(str(exchange.body["prompt"]).split())})
        else:
            exchange.reply({"error": "not found"}, "404 Not Found")


def measured(script):
    """Return the measurement of six requests."""
    with scripted_server(script) as url:
        return measure_server(url, replace(SMALL, requests=6))


def test_counted_after_the_level():
    """Six answers, then six counts: none of them delays a request."""
    script = Counting(*[WORD] * 8)
    (point,) = measured(script).points
    assert ("tokenize", 6) == (point.token_source, point.requests.succeeded)
    asked = [path for path in script.paths if path in {"/v1/chat/completions", "/tokenize"}]  # telemetry asks others
    assert ["/v1/chat/completions"] * 6 + ["/tokenize"] * 6 == asked[-12:]


def test_several_tokens_a_chunk():
    """The first chunk's tokens are counted, too; result and recorder have the same requests."""
    script = Counting(*[PAIR] * 4)
    measurement = measured(script)
    assert {(8, "tokenize", 2, 4)} == {
        (one.tokens, one.token_source, one.first_chunk_tokens, one.chunks) for one in measurement.completions
    }
    assert 2.0 == measurement.points[0].tokens_per_chunk


def test_a_tokenizer_that_fails_leaves_the_chunks():
    """It counted the prompts and refuses the answers: the chunks are what is known, and the result says so."""
    script = Counting(*[WORD] * 8)
    count = script.count

    def refuse(exchange):
        if exchange.path == "/tokenize" and str(exchange.body["prompt"]).startswith("word"):
            exchange.reply({"error": "busy"}, "500 Internal Server Error")
        else:
            count(exchange)

    script.others = refuse
    (point,) = measured(script).points
    assert ("chunks", 6) == (point.token_source, point.requests.succeeded)
