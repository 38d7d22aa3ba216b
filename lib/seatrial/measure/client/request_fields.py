"""Builds the body of a completion request, without the fields that a server has refused.

Older servers, gateways and strict validators answer 400 or 422 to fields they do not know. A request is then sent again
without the field, and from then on all are; a note says so.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from seatrial.measure.client.session import RequestError
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.workload import Reasoning

_OPTIONAL = {
    "stream_options": (("stream_options", "include_usage"), "the server may then send no usage"),
    "ignore_eos": (("ignore_eos",), "answers then end where the model ends them"),
    "chat_template_kwargs": (
        ("chat_template_kwargs", "enable_thinking", "thinking"),
        "it then reasons or not as it was set up",
    ),
    "tools": (("tool",), "answers then call no function"),
}  # of each field: the words that name it in a refusal, and what its absence means
_OF_CHATS = frozenset({"chat_template_kwargs", "tools"})
CALL = "report_answer"
_TOOL = {
    "type": "function",
    "function": {
        "name": CALL,
        "description": "Report the answer to the question. Always call this function instead of answering in text.",
        "parameters": {
            "type": "object",
            "properties": {"title": {"type": "string"}, "answer": {"type": "string"}},
            "required": ["title", "answer"],
        },
    },
}
_LENGTH = "max_tokens"
_NEW_LENGTH = "max_completion_tokens"  # OpenAI's own servers take no other name for some models
_MAY_NAME_NONE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


class RequestFields:
    """Fields of the requests to one server."""

    def __init__(self, *, ignore_eos: bool, reasoning: Reasoning | None = None, tools: bool = False) -> None:
        thinks = reasoning == "on"
        values = {
            "ignore_eos": True if ignore_eos else None,
            "stream_options": {"include_usage": True},
            # The names of SGLang and vLLM for V4, and of llama.cpp: a template ignores the one it does not know.
            "chat_template_kwargs": {"thinking": thinks, "enable_thinking": thinks} if reasoning else None,
            "tools": [_TOOL] if tools else None,
        }
        self._values = {name: value for name, value in values.items() if value is not None}
        self._sent = list(self._values)
        self._length = _LENGTH
        self._before: tuple[list[str], str] | None = None  # the fields before the attempt without some of them
        self._refusal = ""  # of those
        self._settled = False  # a request succeeded
        self._tried: set[str] = set()  # paths at which fewer fields did not help
        self.notes: list[str] = []

    def body(self, model: str, text: dict[str, Any], answer_tokens: int, *, checked: bool = False) -> dict[str, Any]:
        """Return the body of a request whose prompt is ``text``; one whose answer is checked is to be repeatable."""
        needed = {"model": model, **text, self._length: answer_tokens, "stream": True}
        left_out = set() if "messages" in text else _OF_CHATS
        if checked:
            needed["temperature"] = 0
            left_out = left_out | {"tools"}
        return needed | {name: self._values[name] for name in self._sent if name not in left_out}

    def accepted(self) -> None:
        """Note that a request succeeded: what it left out stays left out."""
        if self._before is not None:
            sent, length = self._before
            gone = [name for name in sent if name not in self._sent]
            words = [f"without {name} ({_OPTIONAL[name][1]})" for name in gone]
            words += [f"with {self._length} instead of {length}"] if length != self._length else []
            self.notes.append(f"The server refused a request ({self._refusal}) and takes it {' and '.join(words)}.")
        self._before, self._settled = None, True

    def give_way(self, path: str, error: StreamError) -> bool:
        """Leave out the fields that ``error`` refuses; return True if the request is worth sending again."""
        named = self._named(str(error).lower())
        if path in self._tried or not (named or self._may_be_a_field(error)):
            return self._restore(path)
        if self._before is None:
            self._before, self._refusal = (list(self._sent), self._length), str(error).partition(": ")[2]
        if named == [_NEW_LENGTH]:
            self._length = _NEW_LENGTH
        else:
            self._sent = [name for name in self._sent if named and name not in named]
        return True

    def _named(self, refusal: str) -> list[str]:
        found = [name for name in self._sent if any(word in refusal for word in _OPTIONAL[name][0])]
        return found or ([_NEW_LENGTH] if self._length == _LENGTH and _NEW_LENGTH in refusal else [])

    def _may_be_a_field(self, error: StreamError) -> bool:
        unclear = isinstance(error, RequestError) and error.status in _MAY_NAME_NONE
        return unclear and bool(self._sent) and not self._settled

    def _restore(self, path: str) -> bool:
        if self._before is not None:
            (self._sent, self._length), self._before = self._before, None
            self._tried.add(path)
        return False
