"""What this machine can really run, and what is said where it cannot."""

from dataclasses import replace

import pytest

from seatrial.errors import UnknownNameError
from seatrial.fetch.tiny import write_tiny
from seatrial.launching.this_machine import fetch_stand_in, plan_for, plan_here, predict_levels


def test_auto_is_the_stand_in_where_v4_is_not_here(monkeypatch, tmp_path):
    """Nothing of V4 was fetched: the small real model is planned, for this machine."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    plan = plan_here(engine="llamacpp", context_tokens=512, concurrency=2)
    assert ("smollm2", "llamacpp", True, "measured", 512, 2) == (
        plan.model,
        plan.engine,
        plan.runs,
        plan.hardware.origin,
        plan.context_tokens,
        plan.concurrency,
    )


def test_a_named_model_is_not_replaced(monkeypatch, tmp_path):
    """Who asks for Flash gets a plan for Flash, fitting or not."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    assert "flash" == plan_here("flash").model


def test_plan_for_a_named_machine():
    """Auto is Flash; the machine is the named one."""
    plan = plan_for("h200x4", engine="sglang")
    assert ("flash", "verified", "h200x4") == (plan.model, plan.verdict, plan.hardware.name)


@pytest.mark.parametrize("words", [("h200y4",), ("h200x4", "flesh")])
def test_unknown_names_are_errors(words):
    """The nearest names are given."""
    with pytest.raises(UnknownNameError):
        plan_for(*words)


def test_only_stand_ins_are_fetched(monkeypatch, tmp_path):
    """A plan for V4, or for a file of one's own, downloads nothing."""
    own = write_tiny(tmp_path / "of-my-own.gguf")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    fetch_stand_in(plan_for("h200x4", engine="sglang"))
    fetch_stand_in(replace(plan_for("cpu", "smollm2"), model="local", checkpoint=str(own)))
    assert [own] == list(tmp_path.iterdir())


def test_predictions_at_every_level():
    """One prediction a level, for the same checkpoint and engine; more streams, more output."""
    predictions = predict_levels(plan_for("h200x4", engine="sglang"), (1, 8, 64))
    assert [1, 8, 64] == list(predictions)
    rates = [one.decode_tokens_per_s.expected for one in predictions.values()]
    assert sorted(rates) == rates


def test_nothing_is_predicted_for_a_server_that_was_not_planned():
    """A server at a URL: this kit knows neither its plan nor its machine."""
    assert {} == predict_levels(None, (1, 8))


def test_requests_beyond_the_slots_bring_no_more_throughput():
    """llama.cpp serves as many at once as the plan has slots: further ones wait."""
    one = predict_levels(plan_for("cpu", "smollm2", engine="llamacpp"), (1, 8))
    assert one[1].decode_tokens_per_s == one[8].decode_tokens_per_s
