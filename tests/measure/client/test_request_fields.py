"""A server that refuses a field is asked again without it, and that is said; any other refusal stands."""

import pytest
from tests.measure.conftest import SMALL
from tests.measure.raw_server import CHAT, DONE, END, HEAD, PLAIN, answers_of, event, http_error, raw_server, token

from seatrial.measure import measure_server
from seatrial.measure.client.request_fields import RequestFields
from seatrial.measure.client.session import RequestError
from seatrial.measure.stream.answer import StreamError

WHOLE = HEAD + token() * 8
NO_USAGE = token("", "stop") + DONE
REFUSALS = {
    "openai": (400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
    "pydantic": (
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]},
    ),
    "sglang": (400, {"object": "error", "message": "stream_options is not supported"}),
    "value": (400, {"error": "include_usage: unknown variant"}),
    "plain": (400, b"Bad Request"),
    "empty": (422, b""),
    "page": (400, b"<html><h1>400</h1></html>"),
    "server error": (500, {"error": {"message": "create() got an unexpected keyword argument 'stream_options'"}}),
    "not implemented": (501, {"error": {"message": "stream_options"}}),
}


def strict(seen, refused, status, document, *, stream=None):
    """Return a server's answer that refuses a request with any of these fields."""

    def answer(send, asked):
        seen.append(asked)
        if refused & set(asked):
            send(stream or http_error(status, document))
        else:
            send(WHOLE + (END if "stream_options" in asked else NO_USAGE))

    return answer


@pytest.mark.parametrize(("status", "document"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("path", [CHAT, PLAIN])
def test_without_stream_options(status, document, path):
    """However a server refuses stream_options, the first request comes again without them, and all others do at once."""
    seen = []
    with raw_server(strict(seen, {"stream_options"}, status, document)) as url:
        answers, (note,) = answers_of(url, 3, path=path)
    assert [(None, 8, "chunks")] * 3 == [(one.error, one.tokens, one.token_source) for one in answers]
    assert [True, False, False, False] == ["stream_options" in asked for asked in seen]
    assert note.startswith(f"The server refused a request (HTTP {status}: ")
    assert note.endswith("takes it without stream_options (the server may then send no usage).")


@pytest.mark.parametrize(
    "stream",
    [
        HEAD + event(error={"message": "stream_options: unknown field"}),
        http_error(200, {"error": {"message": "stream_options: unknown field"}}),
    ],
)
def test_refused_under_status_200(stream):
    """A refusal may come as an event of a stream, or as JSON with status 200."""
    seen = []
    with raw_server(strict(seen, {"stream_options"}, 0, b"", stream=stream)) as url:
        ((one,), (note,)) = answers_of(url)
    assert (None, 2) == (one.error, len(seen))
    assert "stream_options: unknown field" in note


def test_without_ignore_eos():
    """A server that refuses two fields is asked without both; a field it takes stays."""
    seen = []
    refused = (400, {"error": "ignore_eos is not a known field"})
    with raw_server(strict(seen, {"ignore_eos"}, *refused)) as url:
        (_, (note,)) = answers_of(url, ignore_eos=True)
    assert [(True, True), (False, True)] == [("ignore_eos" in asked, "stream_options" in asked) for asked in seen]
    assert note.endswith("without ignore_eos (answers then end where the model ends them).")


def test_without_two_fields():
    """Fields that are refused one after the other are all left out."""
    seen = []

    def answer(send, asked):
        seen.append(set(asked) & {"ignore_eos", "stream_options"})
        name = next((name for name in ("ignore_eos", "stream_options") if name in asked), None)
        send(http_error(422, {"detail": f"{name}: extra"}) if name else WHOLE + NO_USAGE)

    with raw_server(answer) as url:
        ((one,), (note,)) = answers_of(url, ignore_eos=True)
    assert (None, [{"ignore_eos", "stream_options"}, {"stream_options"}, set()]) == (one.error, seen)
    assert "without ignore_eos" in note
    assert "without stream_options" in note


def test_the_new_name_of_max_tokens():
    """A server that takes only max_completion_tokens gets it."""
    seen = []
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with raw_server(strict(seen, {"max_tokens"}, 400, {"error": {"message": said}})) as url:
        (answers, (note,)) = answers_of(url, 2)
    assert [(8, None)] * 2 == [(asked["max_completion_tokens"], asked.get("max_tokens")) for asked in seen[1:]]
    assert [None, None] == [one.error for one in answers]
    assert note.endswith("takes it with max_completion_tokens instead of max_tokens.")


def test_another_refusal_stands():
    """A refusal that has nothing to do with fields is reported as it is, and asked about only once."""
    seen = []

    def answer(send, asked):
        seen.append("stream_options" in asked)
        send(http_error(400, {"error": {"message": "the context is too long"}}))

    with raw_server(answer) as url:
        (answers, notes) = answers_of(url, 3)
    assert ["http_400: HTTP 400: the context is too long"] * 3 == [one.error for one in answers]
    assert ((), [True, False, True, True]) == (notes, seen)


def test_an_answer_that_repeats_the_request():
    """An error that repeats the whole request, fields included, refuses none of them: it stands, with the fields."""
    seen = []

    def answer(send, asked):
        seen.append("stream_options" in asked)
        send(http_error(422, {"detail": f"too long: {asked}"}))

    with raw_server(answer) as url:
        (answers, notes) = answers_of(url, 2)
    assert ([True, False, True], ()) == (seen, notes)
    assert all(one.error.startswith("http_422") for one in answers)


def test_a_refusal_after_success_is_none_of_a_field():
    """Once a request with all fields succeeded, a refusal without a name is not of a field."""
    fields = RequestFields(ignore_eos=False)
    fields.accepted()
    assert not fields.give_way(CHAT, RequestError("http_400", "HTTP 400: no", 400))
    assert "stream_options" in fields.body("m", {"prompt": "x"}, 8)


@pytest.mark.parametrize("error", [StreamError("incomplete", "x"), RequestError("http_500", "HTTP 500: broke", 500),
                                   RequestError("http_404", "HTTP 404: no such page", 404)])  # fmt: skip
def test_no_refusal_of_a_field(error):
    """A failure of another kind is no reason to send anything again."""
    assert not RequestFields(ignore_eos=False).give_way(CHAT, error)


def test_the_result_says_it():
    """A measurement says that the field was left out, and how tokens were counted."""
    with raw_server(strict([], {"stream_options"}, *REFUSALS["openai"])) as url:
        measurement = measure_server(url, SMALL)
    assert 6 == measurement.points[0].requests.succeeded
    assert any("takes it without stream_options" in note for note in measurement.notes)
    assert any("output tokens are counted by chunks" in note for note in measurement.notes)
