"""Asks questions with one right answer each, alone and among the load: some engines answer wrongly once they are busy."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import cycle, islice
from typing import Any

from seatrial.json_text import JsonError, parse_json
from seatrial.measure.types import Completion
from seatrial.printable import shortened

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_OBJECT = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"[\w-]+")
_A_QUESTION, _FEWEST = 8, 4  # a question for so many requests of a level, and so many at least
LONGEST_ANSWER = 96
"""Tokens of an answer to a question, unless those of the load are longer."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its one right answer."""

    kind: str  # number, copy, order or json
    question: str
    answer: Any

    def is_right(self, reply: str) -> bool:
        """Return True if a reply, in which reasoning may come first, ends in the right answer."""
        if self.kind == "number":
            numbers = _NUMBER.findall(reply)
            return bool(numbers) and float(numbers[-1].replace(",", "")) == float(self.answer)
        if self.kind == "order":
            words = [word.lower() for word in _WORD.findall(reply)]
            return bool(words[-len(self.answer) :] == self.answer)
        if self.kind == "json":
            return any(map(self._is_object, _OBJECT.findall(reply)[-1:]))
        return str(self.answer) in reply

    def _is_object(self, text: str) -> bool:
        try:
            # As text, since for Python True is 1 and 5200.0 is 5200, which are no whole numbers of a schema.
            return repr(sorted(parse_json(text).items())) == repr(sorted(self.answer.items()))
        except JsonError:
            return False


def all_questions() -> tuple[Question, ...]:
    """Load questions.json."""
    data = parse_json(files("seatrial.measure.client").joinpath("questions.json").read_bytes())
    return tuple(Question(**row) for row in data["questions"])


class Questions:
    """Questions that the model answers right when it is asked them alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.known: list[Question] = []

    async def ask_alone(self, ask: Callable[[Question], Awaitable[Completion]]) -> str:
        """Ask each once while nothing else is sent; return a note on what is known."""
        questions = list(all_questions())
        random.Random(f"questions {self._seed}").shuffle(questions)  # noqa: S311 -- load, not secrets
        for question in questions:
            completion = await ask(question)
            if completion.error is not None:
                return f"Answers are not checked: a question alone failed ({completion.error})."
            if question.is_right(completion.text):
                self.known.append(question)
        if not self.known:
            return "No question was answered right alone: there is nothing to compare under load."
        return f"{len(self.known)} of {len(questions)} questions were answered right alone; these are asked among the load."

    def among(self, requests: int) -> list[tuple[int, Question]]:
        """Return before which requests of a level the next questions are asked, spread evenly."""
        number = min(max(requests // _A_QUESTION, _FEWEST), requests) if self.known else 0
        places = [(2 * index + 1) * requests // (2 * number) for index in range(number)]
        asked = list(islice(cycle(self.known), number))
        turn = number % len(self.known) if self.known else 0
        self.known = self.known[turn:] + self.known[:turn]  # the next level goes on with the next ones
        return list(zip(places, asked, strict=True))


def judged(completion: Completion, question: Question) -> Completion:
    """Return the request with whether its answer is right; one that failed is not."""
    return replace(completion, right=completion.error is None and question.is_right(completion.text))


def wrong_answers(asked: Iterable[tuple[str, Completion]], label: str) -> tuple[str, ...]:
    """Return a note on the answers of a level that are wrong, with the first of them; empty if all are right."""
    answers = list(asked)
    wrong = [(question, completion) for question, completion in answers if not completion.right]
    if not wrong:
        return ()
    question, completion = wrong[0]
    said = completion.error or completion.text
    shares = f"At {label} {len(wrong)} of {len(answers)} checked answers were wrong, though each was right alone"
    return (f"{shares}: {shortened(question, 100)!r} was answered {shortened(said, 100)!r}.",)
