"""Reasoning and calls of a function are asked for in each request, and the result says if the server ignored that."""

from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL
from tests.measure.raw_server import DONE, HEAD, answers_of, event, http_error, raw_server, token
from tests.measure.scripted_server import LAST, WORD, Script, scripted_server

from seatrial.measure import measure_server
from seatrial.measure.client.request_fields import CALL, RequestFields

THOUGHT = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm "}, "finish_reason": None}]}
CALLED = {
    "choices": [
        {
            "index": 0,
            "delta": {
                "tool_calls": [{"index": 0, "id": "1", "function": {"name": CALL, "arguments": '{"title": "x"}'}}]
            },
        }
    ]
}


def measured(*events, **changes):
    """Return the bodies of the requests for a completion, and the notes."""
    script = Script(chat=lambda exchange: exchange.stream(*events, LAST, b"[DONE]"))
    with scripted_server(script) as url:
        return script.seen, measure_server(url, replace(SMALL, **changes)).notes


@pytest.mark.parametrize(("reasoning", "thinks"), [("on", True), ("off", False)])
def test_reasoning_is_asked_for(reasoning, thinks):
    """Both names that templates know are sent with each request."""
    seen, notes = measured(*[THOUGHT] * 4 if thinks else [], *[WORD] * 4, reasoning=reasoning)
    assert [{"thinking": thinks, "enable_thinking": thinks}] * len(seen) == [
        one["chat_template_kwargs"] for one in seen
    ]
    assert not any("reasoning" in note for note in notes)


def test_nothing_is_asked_by_itself():
    """Without a wish the server's own setting counts, and no function is offered."""
    seen, _ = measured(*[WORD] * 8)
    assert not any({"chat_template_kwargs", "tools", "temperature"} & set(one) for one in seen)


def test_a_server_that_does_not_reason():
    """Asked to, it answers at once: the result says so."""
    _, notes = measured(*[WORD] * 8, reasoning="on")
    assert any("At 2 streams no answer had reasoning that can be told apart" in note for note in notes)


def test_a_server_that_reasons_nevertheless():
    """Asked not to, it does: the result says of how many answers."""
    _, notes = measured(*[THOUGHT] * 4, *[WORD] * 4, reasoning="off")
    assert "At 2 streams 6 of 6 answers began with reasoning, which was asked to be off." in notes


@pytest.mark.parametrize(("events", "calls"), [([CALLED], 6), ([WORD] * 8, 0)])
def test_calls_are_counted(events, calls):
    """A stream of a call is an answer like another; how many called is said."""
    seen, notes = measured(*events, tools=True)
    assert {CALL} == {tool["function"]["name"] for one in seen for tool in one["tools"]}
    assert f"At 2 streams {calls} of 6 answers called the function that was offered." in notes


def test_a_server_that_takes_no_tools():
    """A refusal of the tools is asked about again without them, and said."""

    def answer(send, asked):
        refusal = http_error(400, {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}})
        send(refusal if "tools" in asked else HEAD + token() * 8 + event(choices=[]) + token("", "stop") + DONE)

    with raw_server(answer) as url:
        answers, (note,) = answers_of(url, 2, tools=True)
    assert [None, None] == [one.error for one in answers]
    assert "takes it without tools (answers then call no function)" in note


def test_plain_completions_have_neither():
    """What only chats know is not sent to the endpoint of plain completions, nor tools with a checked question."""
    fields = RequestFields(ignore_eos=False, reasoning="on", tools=True)
    chat = {"messages": []}
    assert {"chat_template_kwargs", "tools"} <= set(fields.body("m", chat, 8))
    assert not {"chat_template_kwargs", "tools"} & set(fields.body("m", {"prompt": "x"}, 8))
    checked = fields.body("m", chat, 8, checked=True)
    assert (0, False, True) == (checked["temperature"], "tools" in checked, "chat_template_kwargs" in checked)
