"""Levels of every kind against a server with known timing."""

from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL, TPOT_S, TTFT_S
from tests.measure.scripted_server import Script, scripted_server

from seatrial.measure import measure_server


def sent_after(measurement, point=0):
    """Return when the requests of a level should have left, from its first on."""
    times = sorted(one.scheduled_s for one in measurement.completions if one.point == point)
    return [at - times[0] for at in times]


def test_several_rates(measured):
    """Each rate is a level with its own point and label."""
    measurement = measured(rate=(40, 80.0), requests=8, answer_tokens=4)
    assert [(None, 40.0, "40 requests/s", 8), (None, 80.0, "80 requests/s", 8)] == [
        (point.concurrency, point.rate, point.label, point.requests.succeeded) for point in measurement.points
    ]
    assert [2 * at for at in sent_after(measurement, 1)] == pytest.approx(sent_after(measurement, 0), abs=1e-6)


def test_constant_arrivals(measured):
    """Requests should leave at equal gaps, whatever the server does."""
    measurement = measured("--slots=1", rate=50, arrivals="constant", requests=10)
    assert [index / 50 for index in range(10)] == pytest.approx(sent_after(measurement), abs=1e-6)


def test_a_ladder_of_prompt_lengths(measured):
    """Each length is a level, whose prompts have exactly that length by the server's own count."""
    measurement = measured(concurrency=2, prompt_tokens="64,500,2000", requests=4, answer_tokens=4)
    assert [{64}, {500}, {2000}] == [
        {one.prompt_tokens for one in measurement.completions if one.point == point} for point in range(3)
    ]
    assert "2 streams, prompts of 2,000 tokens" == measurement.points[2].label


def test_a_length_that_the_server_refuses_does_not_end_the_ladder():
    """Prompts above its context get 400; the shorter ones after them are measured."""

    def answer(exchange):
        prompt = exchange.body["messages"][0]["content"]
        if len(prompt.split()) > 300:
            exchange.reply({"error": {"message": "the context is too long"}}, "400 Bad Request")
        else:
            exchange.stream()

    with scripted_server(Script(chat=answer)) as url:
        points = measure_server(url, replace(SMALL, concurrency=1, requests=2, prompt_tokens="2000,64")).points
    assert [(0, {"http_400": 2}), (2, {})] == [(point.requests.succeeded, point.requests.errors) for point in points]


def test_unique_and_shared_prompts_side_by_side(measured):
    """Unique prompts find nothing in the cache, shared ones nearly their whole beginning."""
    measurement = measured(concurrency=2, prompt_tokens=1000, prefix="both", requests=6, answer_tokens=4)
    unique, shared = measurement.points
    assert ("2 streams, unique prompts", "2 streams, shared prefix") == (unique.label, shared.label)
    assert (0, 6) == (unique.cached_tokens, shared.requests.succeeded)
    assert {1000} == {one.prompt_tokens for one in measurement.completions}
    # Blocks of 16 words; the chat template's words are in front of nothing that is shared less.
    assert {True} == {880 <= one.cached_tokens <= 900 for one in measurement.completions if one.point == 1}


def test_an_open_loop_of_long_answers_is_summed_up(measured):
    """The times are the server's at a rate, too."""
    (point,) = measured(rate=20, requests=10).points
    assert TTFT_S <= point.ttft_s.p50
    assert TPOT_S <= point.tpot_s.p50 * 1.1
