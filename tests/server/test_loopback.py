"""Answers of a server that are not what the contract says are no answers, never a traceback."""

import pytest

from seatrial.server.loopback import HttpReply, generated_a_token, served_models

DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    "body", [b"", b"5", b"null", b"\xff", b'{"data":5}', b'{"data":[5]}', b'{"data":{"id":1}}', b"<html>", DEEP]
)
def test_no_models_are_read_from_what_is_no_list_of_models(body):
    """Whatever comes back: nothing is served."""
    assert [] == served_models(HttpReply(200, body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":5}',
        b'{"choices":[null]}',
        b'{"choices":["x"]}',
        b'{"choices":[{"message":"x"}]}',
        b'{"choices":[{"text":"x"}],"usage":{"completion_tokens":0}}',
        b'{"choices":[{"message":{"content":null}}],"usage":[]}',
        DEEP,
    ],
)
def test_no_token_is_read_from_what_is_no_completion(body):
    """Whatever comes back: nothing was generated."""
    assert not generated_a_token(HttpReply(200, body))


@pytest.mark.parametrize(
    "choice", [b'{"text":"a"}', b'{"message":{"content":"a"}}', b'{"message":{"reasoning_content":"a"}}']
)
def test_a_token_is_read_from_what_engines_answer(choice):
    """Of a completion, a chat, and a chat of a model that thinks."""
    assert generated_a_token(HttpReply(200, b'{"choices":[' + choice + b"]}"))
