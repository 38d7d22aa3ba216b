"""Servers that answer with an error, or with no answer at all: what is said of them, and when they are given up."""

import gzip
import json
import socket
import threading
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL
from tests.measure.scripted_server import Script, scripted_server

from seatrial.errors import MeasurementError, UsageError
from seatrial.measure import find_problems, measure_server
from seatrial.measure.ask import ask
from seatrial.measure.stream.chunks import MAX_MESSAGE

DEEP = b"[" * 100_000 + b"]" * 100_000
FEW = replace(SMALL, concurrency=(1,), requests=3, prompt_tokens=16, answer_tokens=8)
CANNOT = "cannot be measured"


@pytest.fixture
def measured_script():
    """Measure a server that answers as this script says; gives the measurement and the script."""

    def run(model=None, **parts):
        script = Script(**parts)
        with scripted_server(script) as url:
            return measure_server(url, FEW, model=model), script

    return run


@pytest.fixture
def asked():
    """Ask a server whose chat endpoint answers so."""

    def run(chat, question="Why?", **settings):
        with scripted_server(Script(chat=chat)) as url:
            return ask(url, question, model="m", **settings)

    return run


def failing(body, status="500 Internal Server Error", *headers):
    """Return an answer with this error."""
    return lambda exchange: exchange.reply(body, status, *headers)


def drip(exchange, begin=b"", status="500 Internal Server Error"):
    """Send an error byte by byte, until the client leaves."""
    exchange.head(status, "Content-Type: text/plain")
    exchange.send(begin)
    while not exchange.closed(0.1):
        exchange.send(b".")


def flood(exchange):
    """Send an error that never ends, as fast as the client takes it."""
    exchange.head("500 Internal Server Error", "Content-Type: text/plain")
    while True:
        exchange.send(b"no room " * 8192)


REASONS = [
    (json.dumps({"error": {"message": "max_tokens is too large"}}).encode(), "max_tokens is too large"),
    (b'{"object": "error", "message": "no such adapter"}', "no such adapter"),
    (b'{"error": "busy"}', "busy"),
    (
        b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "not a number", "input": 3}]}',
        "body.max_tokens: not a number",
    ),
    (b'{"detail": "Not authenticated"}', "Not authenticated"),
    (b"<html><head><title>502 Bad Gateway</title></head>\n<body><h1>nginx</h1></body></html>", "502 Bad Gateway nginx"),
    (b"plain words\r\nof two lines", "plain words of two lines"),
    (b"\xef\xbb\xbfwords after a mark", "words after a mark"),
    (b"\x00\xff\xfe\x80" * 500, "2,000 bytes that are no text"),
    (b"", "Internal Server Error"),
    (b"{}", "Internal Server Error"),
    (DEEP, "[" * (MAX_MESSAGE - 3) + "..."),
    (b'{"error": "' + b"E" * 50_000 + b'"}', "E" * (MAX_MESSAGE - 3) + "..."),
    (b'{"error": "' + b"E" * 5_000_000 + b'"}', '{"error": "' + "E" * (MAX_MESSAGE - 14) + "..."),
    (b'{"error": {"message": "half \\ud83d emoji"}}', "half \ufffd emoji"),
    (b'{"error": {"message": "\\u001b]0;title\\u0007moved"}}', "]0;title moved"),
]


@pytest.mark.parametrize(("body", "reason"), REASONS, ids=[reason[:20] for _, reason in REASONS])
def test_the_reason_is_told_on_one_short_line(measured_script, asked, body, reason):
    """JSON in each shape, a gateway's page, bytes, nothing: the server's own reason, in the result and in the message."""
    measurement, _ = measured_script(chat=failing(body))
    (point,) = measurement.points
    said = f"HTTP 500: {reason}"
    assert ({"http_500": 3}, {"http_500": said}) == (point.requests.errors, point.requests.reasons)
    assert (f"1 stream: none of 3 requests succeeded (http_500 x3: {said}).",) == find_problems(measurement)
    with pytest.raises(MeasurementError) as caught:
        asked(failing(body))
    assert caught.value.what.endswith(f"answered 500: {reason}")


def test_a_compressed_error_is_read(measured_script):
    """A gateway may compress although nobody asked for it."""
    chat = failing(gzip.compress(b'{"error": "no room"}'), "500 Oops", "Content-Encoding: gzip")
    measurement, _ = measured_script(chat=chat)
    assert {"http_500": "HTTP 500: no room"} == measurement.points[0].requests.reasons


@pytest.mark.parametrize("encoding", ["gzip", "none-such"])
def test_an_error_in_an_unknown_encoding_is_one_failure(measured_script, encoding):
    """What cannot be read is said; the status stays."""
    measurement, _ = measured_script(chat=failing(b"\x00\x01\x02" * 9, "500 Oops", f"Content-Encoding: {encoding}"))
    assert {"http_500": 3} == measurement.points[0].requests.errors


def test_a_dripping_error_is_given_up(asked):
    """Its beginning says why; the rest is not waited for."""
    with pytest.raises(MeasurementError, match=r"answered 500: no room\.+\n"):
        asked(lambda exchange: drip(exchange, b"no room"), timeout_s=60)


def test_an_error_without_end_is_given_up(measured_script, asked):
    """It fills neither the memory nor the terminal."""
    measurement, _ = measured_script(chat=flood)
    (reason,) = measurement.points[0].requests.reasons.values()
    assert reason.startswith("HTTP 500: no room no room")
    with pytest.raises(MeasurementError, match="answered 500: no room no room") as caught:
        asked(flood)
    assert len(str(caught.value)) < 2 * MAX_MESSAGE


def test_the_rest_of_a_dripping_error_is_said_to_be_missing(measured_script):
    """The limit that passed is said beside what came."""
    measurement, _ = measured_script(chat=lambda exchange: drip(exchange, b"no room "))
    (reason,) = measurement.points[0].requests.reasons.values()
    assert reason.startswith("HTTP 500: no room .")
    assert reason.endswith(" (the rest did not come within 5 s)")


def test_an_answer_that_drips_is_given_up(asked):
    """Every byte begins the silence anew, but not the limit; the message has the time that passed."""
    with pytest.raises(MeasurementError, match="no complete answer within 1 s"):
        asked(lambda exchange: drip(exchange, b'{"choices": [', "200 OK"), timeout_s=1)


def test_a_head_that_drips_is_given_up(asked):
    """So with the lines before the answer."""

    def chat(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        while not exchange.closed(0.1):
            exchange.send(b"X")

    with pytest.raises(MeasurementError, match="no complete answer within 1 s"):
        asked(chat, timeout_s=1)


@pytest.fixture
def full_port():
    """Listen on a port at which no further connection is taken up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


def test_no_connection_is_said_with_the_time_that_passed(full_port):
    """A full backlog, or a firewall that drops: not the longer limit of an answer."""
    with pytest.raises(MeasurementError, match=r"no connection within 1[0-9] s") as caught:
        measure_server(full_port, FEW)
    assert "30 s" not in str(caught.value)
    with pytest.raises(MeasurementError, match="no connection within 1 s"):
        ask(full_port, "Why?", model="m", timeout_s=1)


DEEP_PLACES = {
    "event": {"chat": lambda exchange: exchange.stream(b'{"choices": [], "x": ' + DEEP + b"}")},
    "error": {"chat": failing(DEEP)},
    "tokenizer": {
        "others": lambda exchange: (
            exchange.reply(b'{"count": ' + DEEP + b"}")
            if exchange.path == "/tokenize"
            else exchange.reply({}, "404 Not Found")
        )
    },
}


@pytest.mark.parametrize(
    ("place", "errors"), [("event", {"malformed": 3}), ("error", {"http_500": 3}), ("tokenizer", {})]
)
def test_deep_json_is_counted_by_kind(measured_script, place, errors):
    """Brackets without end overflow no stack, wherever they come."""
    measurement, _ = measured_script(**DEEP_PLACES[place])
    assert errors == measurement.points[0].requests.errors


MALFORMED = {
    b'{"data": ' + DEEP + b"}": "is nested too deeply",
    b'{"data": [{"id": NaN}]}': "holds NaN, which is no JSON number",
    b'{"data": [{"id": "m", "id": "n"}]}': "names 'id' twice in one object",
    b'{"data": [{"id": "m\\ud800"}]}': "holds half a character",
    b'{"data": [{"id": ' + b"9" * 5000 + b"}]}": "holds a number of 5,000 digits, out of range",
    b'{"data": [{"id": "\xff"}]}': "is not UTF-8 text",
    b"<html>": "is not JSON",
    b"": "is not JSON: it is empty",
}


@pytest.mark.parametrize("body", MALFORMED, ids=MALFORMED.values())
def test_a_malformed_list_of_models_is_one_error(measured_script, body):
    """The message says what is wrong with it."""
    with pytest.raises(MeasurementError, match=f"malformed: the answer of /v1/models {MALFORMED[body]}"):
        measured_script(models=lambda exchange: exchange.reply(body))


@pytest.mark.parametrize("body", [DEEP, b"", b"<html>", b'{"choices": NaN}', b'"\xff"'])
def test_a_malformed_reply_is_one_error(asked, body):
    """So is an answer to a question."""
    with pytest.raises(MeasurementError, match="did not answer with a chat completion: what it sent "):
        asked(lambda exchange: exchange.reply(body))


IDS = {
    "two blanks": "My  Model",
    "a no-break space": "My\u00a0Model",
    "blanks around": "  m  ",
    "320 letters": "/" + "m" * 320,
    "control characters": "m\x1b[31m\x07\n",
    "right to left": "m\u202etxet",
    "quotes and braces": "{m} \"m\" 'm' \\m",
    "an emoji": "m\U0001f600",
    "combining": "e\u0301",
    "digits": "7",
}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("what", IDS)
def test_an_id_is_sent_as_it_was_listed(measured_script, what, named):
    """The server takes that id alone, with every blank and sign in it."""
    name = IDS[what]
    measurement, script = measured_script(
        model=name if named else None, models=lambda exchange: exchange.reply({"data": [{"id": name}]})
    )
    assert 3 == measurement.points[0].requests.succeeded
    assert {name} == {body["model"] for body in script.seen}
    assert name == measurement.model


def test_a_model_listed_twice_is_one(measured_script):
    """Some gateways list a model for each worker."""
    measurement, _ = measured_script(models=lambda exchange: exchange.reply({"data": [{"id": "m"}, {"id": "m"}]}))
    assert "m" == measurement.model


def test_long_and_odd_ids_are_shown_short_and_escaped(measured_script):
    """A list of them fills no screen and moves no cursor."""
    ids = ["m" * 5000 + str(number) for number in range(5)] + ["\x1b[31m"]
    models = lambda exchange: exchange.reply({"data": [{"id": one} for one in ids]})  # noqa: E731
    with pytest.raises(UsageError, match="lists 6 models") as caught:
        measured_script(models=models)
    assert len(str(caught.value)) < 3000
    assert "\x1b" not in str(caught.value)
    with pytest.raises(UsageError, match="Unknown model") as caught:
        measured_script(model="n" * 5000, models=models)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    "message",
    ["model {} not found", "The model `{}` does not exist.", 'model "{}" not found, try pulling it first'],
)
def test_a_404_about_the_model_is_no_missing_endpoint(measured_script, message):
    """The server says that it has no such model: its words are told, and nothing else is measured."""
    name = "/" + "m" * 320
    with pytest.raises(UsageError, match="does not serve the model") as caught:
        measured_script(
            models=lambda exchange: exchange.reply({"data": [{"id": name}]}),
            chat=lambda exchange: exchange.reply({"error": {"message": message.format(name)}}, "404 Not Found"),
        )
    assert "chat endpoint" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("model", ["m\udcff", "m" * 100_000])
def test_an_id_that_no_server_takes_is_refused(model):
    """An argument that is no UTF-8 reaches Python as half a character."""
    for call in (
        lambda: measure_server("http://127.0.0.1:9", FEW, model=model),
        lambda: ask("http://127.0.0.1:9", "Why?", model=model),
    ):
        with pytest.raises(UsageError, match="cannot be sent"):
            call()


def test_a_question_that_is_no_text_is_refused():
    """Half a character is sent to nobody."""
    with pytest.raises(UsageError, match="holds half a character"):
        ask("http://127.0.0.1:9", "Why \ud800?", model="m")


ODD_REPLIES = [
    ({"content": "Because."}, {"usage": []}, ("Because.", "", None)),
    ({"content": "Because."}, {"usage": {"completion_tokens": "8"}}, ("Because.", "", None)),
    ({"content": "Because."}, {"usage": {"completion_tokens": -1}}, ("Because.", "", None)),
    ({"content": "Because.", "reasoning_content": {}}, {}, ("Because.", "", None)),
    ({"content": None, "reasoning": "Let me see."}, {"usage": None}, ("", "Let me see.", None)),
]


@pytest.mark.parametrize(("message", "more", "expected"), ODD_REPLIES)
def test_one_odd_field_does_not_hide_the_reply(asked, message, more, expected):
    """The text is plain to read; a count that is none is unknown."""
    reply = asked(lambda exchange: exchange.reply({"choices": [{"message": message}], **more}))
    assert expected == (reply.text, reply.reasoning, reply.tokens)


def test_content_that_is_no_text_is_named(asked):
    """It is neither shown nor taken for an answer."""
    with pytest.raises(MeasurementError, match=r"its content is no text but \{'a': 1\}"):
        asked(lambda exchange: exchange.reply({"choices": [{"message": {"content": {"a": 1}}}]}))


def test_half_an_emoji_in_a_reply_is_shown_as_unknown(asked):
    """An answer may end in the middle of one."""
    reply = asked(lambda exchange: exchange.reply(b'{"choices": [{"message": {"content": "ship \\ud83d"}}]}'))
    assert "ship \ufffd" == reply.text


def test_nothing_is_left_after_an_answer_that_was_given_up(asked):
    """The thread that watches the time ends with the question."""
    before = threading.active_count()
    with pytest.raises(MeasurementError):
        asked(lambda exchange: drip(exchange, b"{", "200 OK"), timeout_s=0.5)
    assert before == threading.active_count()
