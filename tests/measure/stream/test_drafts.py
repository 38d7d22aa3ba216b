"""Drafts are read in each spelling; counts that cannot be right are none."""

import json

import pytest

from seatrial.measure.stream.drafts import Drafts, read_drafts


def of(*events, tokens=20):
    """Return the drafts that these events tell."""
    return read_drafts([json.dumps(event).encode() for event in events], tokens)


@pytest.mark.parametrize(
    "event",
    [
        {"timings": {"draft_n": 24, "draft_n_accepted": 12}},
        {"timings": {"draft_n": 24.0, "draft_n_accepted": "12"}},
        {"usage": {"completion_tokens_details": {"accepted_prediction_tokens": 12, "rejected_prediction_tokens": 12}}},
        {"usage": {"spec_verify_ct": 8, "spec_draft_token_num": 24, "spec_accept_token_num": 12}},
        {"meta_info": {"spec_verify_ct": 8, "spec_draft_token_num": 24, "spec_accept_token_num": 12}},
        {"choices": [{"meta_info": {"spec_verify_ct": 8, "spec_draft_token_num": 24, "spec_accept_token_num": 12}}]},
    ],
)
def test_spellings(event):
    """Of 20 tokens 12 were drafted and accepted: the model made 8 steps."""
    assert Drafts(8, 24, 12) == of(event)


def test_the_first_event_that_counts():
    """Events are read until one has counts; one that is no JSON is passed over."""
    timings = {"timings": {"draft_n": 4, "draft_n_accepted": 2}}
    assert Drafts(18, 4, 2) == of({"usage": None}, timings)
    assert Drafts(18, 4, 2) == read_drafts([b"{", json.dumps(timings).encode()], 20)


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        {"timings": None, "usage": [], "meta_info": 3, "choices": {}},
        {"choices": []},
        {"choices": [None]},
        {"timings": {"draft_n": 0, "draft_n_accepted": 0}},
        {"timings": {"draft_n": 5}},
        {"timings": {"draft_n": 5, "draft_n_accepted": 9}},
        {"timings": {"draft_n": 5, "draft_n_accepted": -1}},
        {"timings": {"draft_n": 50, "draft_n_accepted": 20}},
        {"timings": {"draft_n": 1 << 62, "draft_n_accepted": 1}},
        {"timings": {"draft_n": 5.5, "draft_n_accepted": True}},
        {"usage": {"completion_tokens_details": {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}},
        {"usage": {"completion_tokens_details": {"accepted_prediction_tokens": 4}}},
        {"meta_info": {"spec_verify_ct": 0, "spec_draft_token_num": 24, "spec_accept_token_num": 12}},
    ],
)
def test_no_drafts(event):
    """Nothing was drafted, or the counts cannot be right."""
    assert of(event) is None
