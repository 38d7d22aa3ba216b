"""Questions with one right answer are asked alone, then among the load; engines that answer wrongly when busy are caught."""

import threading
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL
from tests.measure.scripted_server import Script, scripted_server

from seatrial.errors import UsageError
from seatrial.measure import Workload, measure_server
from seatrial.measure.client.questions import Question, Questions, all_questions
from seatrial.measure.workload_check import check_workload

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
RIGHT = {
    "number": "The answer is {0}.", "copy": "{0}", "order": "{0}", "json": "Here you are: {0}"
}  # fmt: skip


def reply_to(question):
    """Return a right answer in the words of a model."""
    answer = question.answer
    if question.kind == "order":
        answer = ", ".join(answer).title()
    if question.kind == "json":
        answer = repr(answer).replace("'", '"').replace("True", "true")
    return RIGHT[question.kind].format(answer)


@pytest.mark.parametrize("question", all_questions(), ids=lambda question: question.question[:40])
def test_a_right_answer_is_right(question):
    """A model's words around the answer do no harm, nor does reasoning before it; nothing else is right."""
    assert question.is_right(reply_to(question))
    assert question.is_right("Let me think: 1, 2, 3, {}, anchor. " + reply_to(question))
    for wrong in ("", "I do not know.", "41", "{}", '{"sum": "45"}', "anchor, keel, bow, rudder", "42 or 43", "{" * 50):
        assert not question.is_right(wrong)


@pytest.mark.parametrize(
    ("kind", "answer", "reply", "right"),
    [
        ("number", 5200, "5,200 tons", True),
        ("number", 42, "42.0", True),
        ("number", 42, "-42", False),
        ("number", 42, "4 2", False),
        ("json", {"a": 1, "b": True}, '```json\n{"b": true, "a": 1}\n```', True),
        ("json", {"a": 1}, '{"a": 1.0}', False),
        ("json", {"a": 1}, '{"a": true}', False),
        ("json", {"a": 1}, '{"a": 1, "b": 2}', False),
        ("json", {"a": 1}, '{"a": 1', False),
        ("json", {"a": 1}, "{a: 1}", False),
        ("order", ["b", "a"], "1. b\n2. a", False),
        ("order", ["b", "a"], "B, A.", True),
        ("copy", "KX7", "kx7", False),
    ],
)
def test_answers(kind, answer, reply, right):
    """Types, order and case count; the way of writing does not."""
    assert right == Question(kind, "?", answer).is_right(reply)


def test_questions_are_spread():
    """At least four, one for eight requests, evenly; the next level goes on with the next questions."""
    questions = Questions(0)
    questions.known = [Question("copy", str(index), "x") for index in range(6)]
    first, second = questions.among(8), questions.among(80)
    assert [(1, "0"), (3, "1"), (5, "2"), (7, "3")] == [(place, one.question) for place, one in first]
    assert [4, 12, 20, 28, 36, 44, 52, 60, 68, 76] == [place for place, _ in second]
    assert ["4", "5", "0", "1", "2", "3", "4", "5", "0", "1"] == [one.question for _, one in second]
    assert [0] == [place for place, _ in questions.among(1)]
    questions.known = []
    assert [] == questions.among(8)


class Engine(Script):
    """A server that answers questions, wrongly if ``wrong`` says so of whether it works on others, too."""

    def __init__(self, wrong, known=True):
        super().__init__(chat=self.reply)
        self.wrong, self.known = wrong, known
        self.busy, self.changed = 0, threading.Condition()
        self.replies = {question.question: reply_to(question) for question in all_questions()}

    def reply(self, exchange):
        """Answer a request, once another one is there or none has come for a while."""
        prompt = exchange.body["messages"][0]["content"]
        with self.changed:
            self.busy += 1
            self.changed.notify_all()
            met = self.changed.wait_for(lambda: self.busy > 1, timeout=0.15)
        text = "word " * 8
        if not prompt.startswith("["):
            text = "mistaken" if self.wrong(met) or not self.known else self.replies[prompt]
        usage = {"prompt_tokens": 64, "completion_tokens": 8}
        exchange.stream({"choices": [{"index": 0, "delta": {"content": text}}]}, {**STOP, "usage": usage}, b"[DONE]")
        with self.changed:
            self.busy -= 1


def checked(engine, **changes):
    """Return the measurement of a load with questions among it."""
    with scripted_server(engine) as url:
        return measure_server(url, replace(SMALL, check_answers=True, requests=16, **changes))


def test_a_right_engine():
    """All answers stay right; the load's own requests are counted without the questions."""
    engine = Engine(lambda _: False)
    measurement = checked(engine, concurrency=(1, 2))
    assert [(4, 4, 16), (4, 4, 16)] == [
        (point.checked_answers, point.right_answers, point.requests.sent) for point in measurement.points
    ]
    assert "16 of 16 questions were answered right alone; these are asked among the load." in measurement.notes
    asked = [body for body in engine.seen if not body["messages"][0]["content"].startswith("[")]
    assert (24, {0}) == (len(asked), {body["temperature"] for body in asked})
    assert {None, True} == {one.right for one in measurement.completions}


def test_an_engine_that_is_wrong_when_busy():
    """Right alone, wrong when two requests meet: the share falls at the level with streams, and a note shows one."""
    engine = Engine(lambda met: met)
    single, busy = checked(engine, concurrency=(1, 8)).points
    assert (4, 4) == (single.checked_answers, single.right_answers)
    assert busy.right_answers < busy.checked_answers == 4


def test_wrong_answers_are_shown():
    """The result says how many were wrong, with the question and what was said."""
    asked = len(all_questions())
    engine = Engine(lambda _: False)
    ends = iter(range(10**6))
    engine.wrong = lambda _: next(ends) >= asked  # each right once, then never
    measurement = checked(engine)
    (point,) = measurement.points
    assert (4, 0) == (point.checked_answers, point.right_answers)
    (note,) = [note for note in measurement.notes if "checked answers were wrong" in note]
    assert note.startswith("At 2 streams 4 of 4 checked answers were wrong, though each was right alone: ")
    assert note.endswith("was answered 'mistaken'.")


def test_a_model_that_knows_nothing():
    """A small stand-in answers none right alone: nothing is compared, and that is said."""
    measurement = checked(Engine(lambda _: False, known=False))
    assert (None, None) == (measurement.points[0].checked_answers, measurement.points[0].right_answers)
    assert "No question was answered right alone: there is nothing to compare under load." in measurement.notes


def test_under_arrivals(simulate):
    """With a rate each question leaves with a request; a simulated engine knows no answer."""
    measurement = measure_server(simulate().url, replace(SMALL, check_answers=True, rate=50, requests=8))
    assert 8 == measurement.points[0].requests.sent


def test_an_engine_with_questions_under_arrivals():
    """Questions among the arrivals are checked, too, and the arrivals stay as many as they were."""
    (point,) = checked(Engine(lambda _: False), rate=100).points
    assert (16, 4, 4) == (point.requests.sent, point.checked_answers, point.right_answers)


def test_not_without_an_end():
    """A load that runs until it is stopped has no levels to compare."""
    with pytest.raises(UsageError, match="check_answers goes with levels"):
        check_workload(Workload(concurrency=1, until_stopped=True, check_answers=True), None)
