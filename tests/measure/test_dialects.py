"""Against a real process on loopback: what engines do differently is read right, and failures are counted."""

from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL, TPOT_S, TTFT_S

from seatrial.errors import UsageError
from seatrial.measure import measure_server, tpot_s, ttft_s

ANSWER = 16


@pytest.mark.parametrize("oddity", ["crlf", "no_space", "keepalive", "split", "no_done", "early_role"])
def test_oddities_are_read_right(measured, oddity):
    """Each dialect gives the same answer, and no token comes before the server can have sent it."""
    measurement = measured(f"--fault={oddity}")
    assert [None] * 6 == [one.error for one in measurement.completions]
    for one in measurement.completions:
        assert one.text.startswith("This answer is simulated: no model stands behind it. A ship ⚓")
        assert (ANSWER, ANSWER, "usage", 64) == (one.chunks, one.tokens, one.token_source, one.prompt_tokens)
        assert ttft_s(one) >= TTFT_S
        assert one.last_token_s - one.sent_s >= TTFT_S + (ANSWER - 1) * TPOT_S


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning(measured, field):
    """Reasoning is the first token; the first answer comes after all of it."""
    for one in measured("--reasoning-tokens=10", f"--reasoning-field={field}").completions:
        assert ANSWER == one.tokens
        assert TTFT_S + 10 * TPOT_S <= one.first_answer_s - one.sent_s
        assert one.first_token_s < one.first_answer_s
        assert one.text.startswith("This answer is simulated")


@pytest.mark.parametrize("usage", ["last", "each"])
def test_several_tokens_a_chunk(measured, usage):
    """Four tokens a chunk: counted from usage, and TPOT leaves out the four of the first chunk."""
    measurement = measured("--tokens-per-chunk=4", f"--usage={usage}")
    assert measurement.points[0].tokens_per_chunk == 4
    for one in measurement.completions:
        assert (4, ANSWER, 4) == (one.chunks, one.tokens, one.first_chunk_tokens)
        assert pytest.approx((one.last_token_s - one.first_token_s) / 12) == tpot_s(one)


@pytest.mark.parametrize(
    ("options", "source", "tokens", "note"),
    [
        (["--usage=none"], "tokenize", ANSWER, "counted by tokenize"),
        (["--usage=none", "--no-tokenizer"], "chunks", ANSWER // 4, "counted by chunks"),
    ],
)
def test_without_usage(measured, options, source, tokens, note):
    """Without usage the server's tokenizer counts, without that the chunks do; the result says which."""
    measurement = measured("--tokens-per-chunk=4", *options)
    assert {(source, tokens)} == {(one.token_source, one.tokens) for one in measurement.completions}
    assert source == measurement.points[0].token_source
    assert any(note in said for said in measurement.notes)


def test_answers_that_end_early_are_not_counted_as_asked(measured):
    """Tokens are those that came, never those that were asked for."""
    assert {5} == {one.tokens for one in measured("--answer-tokens=5").completions}


def test_plain_completions_where_there_is_no_chat(measured):
    """Without a chat endpoint plain completions are measured, and the result says so."""
    measurement = measured("--no-chat")
    assert measurement.points[0].requests.succeeded == 6
    assert any("/v1/completions" in said for said in measurement.notes)


@pytest.mark.parametrize(
    ("fault", "kind", "begins"),
    [
        ("http_400", "http_400", ""),
        ("http_500", "http_500", ""),
        ("redirect", "redirect", ""),
        ("not_a_stream", "not_a_stream", ""),
        ("empty", "empty", ""),
        ("error_event", "stream_error", "This answer is"),
        ("garbled", "malformed", "This answer is"),
        ("bad_utf8", "malformed", "This answer is"),
        ("cut", "disconnected", "This answer is"),
        ("eof", "incomplete", "This answer is"),
        ("long_line", "oversized", "This answer is"),
    ],
)
def test_failures_are_counted_and_what_came_is_kept(measured, fault, kind, begins):
    """Two requests meet the fault, four do not: two failures by their kind, with the text until then."""
    measurement = measured(f"--fault={fault}", "--fault-skip=3", "--fault-times=2", concurrency=(1,))
    assert {kind: 2} == measurement.points[0].requests.errors
    assert measurement.points[0].requests.succeeded == 4
    failed = [one for one in measurement.completions if one.error is not None]
    assert [begins] * 2 == [one.text for one in failed]
    assert all(one.error.startswith(f"{kind}: ") for one in failed)


@pytest.mark.parametrize("fault", ["freeze", "drip"])
def test_a_stream_that_falls_silent(measured, fault):
    """A stream that brings no token for the token timeout is given up, and its slot goes on."""
    options = (f"--fault={fault}", "--fault-skip=3", "--fault-times=1")
    measurement = measured(*options, concurrency=(1,), requests=3, token_timeout_s=0.3)
    assert {"token_timeout": 1} == measurement.points[0].requests.errors
    assert measurement.points[0].requests.succeeded == 2


def test_waiting_for_the_first_token_is_no_silence(measured):
    """A long prefill is not a frozen stream: before the first token only the request's own limit counts."""
    measurement = measured("--ttft-s=0.9", "--fault=early_role", requests=2, token_timeout_s=0.3)
    assert measurement.points[0].requests.succeeded == 2


def test_request_timeout(measured):
    """A request that takes longer than its limit is a failure."""
    measurement = measured("--ttft-s=30", requests=2, request_timeout_s=0.4, warmup_requests=0)
    assert {"timeout": 2} == measurement.points[0].requests.errors


@pytest.mark.parametrize("status", ["429", "503"])
def test_turned_away_and_repeated(measured, status):
    """A request turned away with Retry-After comes again and succeeds; the attempts are recorded."""
    options = (f"--fault=http_{status}", "--fault-skip=2", "--fault-times=2", "--retry-after-s=0.1")
    counts = measured(*options, concurrency=(1,), requests=2, warmup_requests=1).points[0].requests
    assert (2, {}, 2) == (counts.succeeded, counts.errors, counts.retries)


def test_turned_away_for_good(measured):
    """After three more attempts a request that is always turned away has failed."""
    counts = measured("--fault=http_429", "--retry-after-s=0.01", requests=2).points[0].requests
    assert ({"http_429": 2}, 6) == (counts.errors, counts.retries)


def test_no_prompt_is_answered_from_the_prefix_cache(simulate):
    """Every prompt begins anew: measured twice with one seed, the server's prefix cache knows none of them."""
    url = simulate().url
    cached = [measure_server(url, SMALL).points[0].cached_tokens for _ in range(2)]
    assert cached == [0, 0]


@pytest.mark.parametrize("tokens", [40, 128, 1000])
def test_exact_prompt_length(measured, tokens):
    """Prompts have exactly the length asked for, chat template included, as the server counts them."""
    measurement = measured(prompt_tokens=tokens, requests=4)
    assert {tokens} == {one.prompt_tokens for one in measurement.completions}
    assert measurement.notes == ()


def test_prompts_too_short_to_be_exact(measured):
    """A question needs some words: a shorter length is not claimed."""
    measurement = measured(prompt_tokens=2, requests=4)
    assert measurement.completions[0].prompt_tokens > 2
    assert any("exactly 2 tokens" in said for said in measurement.notes)


def test_approximate_prompts_are_said(measured):
    """Without a tokenizer the length is approximate, close, and the result says so."""
    measurement = measured("--no-tokenizer", prompt_tokens=200)
    assert any("approximate" in said for said in measurement.notes)
    assert all(150 < one.prompt_tokens < 250 for one in measurement.completions)


def test_key(simulate, tmp_path):
    """The right key opens the server; a wrong one or none is a clear error that does not repeat it."""
    key = tmp_path / "key"
    key.write_text("open sesame")
    url = simulate(f"--api-key-file={key}").url
    assert measure_server(url, replace(SMALL, requests=2), api_key="open sesame").points[0].requests.succeeded == 2
    with pytest.raises(UsageError, match="asks for an API key"):
        measure_server(url, SMALL)
    with pytest.raises(UsageError, match="refuses this API key") as caught:
        measure_server(url, SMALL, api_key="wrong-key-123")
    assert "wrong-key-123" not in str(caught.value)


def test_another_model(simulate):
    """A model the server does not list is refused before any load, and the listed one named."""
    with pytest.raises(UsageError, match="Nearest: simulated"):
        measure_server(simulate().url, SMALL, model="simulates")
