"""What this machine can really run, and what is said where it cannot."""

from dataclasses import replace

import pytest

from seatrial.errors import UnknownNameError
from seatrial.fetch.tiny import write_tiny
from seatrial.hardware import detect_hardware
from seatrial.launching.this_machine import (
    fetch_stand_in,
    launch_if_possible,
    plan_for,
    plan_here,
    predict_levels,
    server_document,
)
from seatrial.plan import make_plan
from seatrial.server.running import NotLaunched


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


def test_a_named_machine_is_not_launched_on():
    """Its command is exact, but it is not here."""
    outcome = launch_if_possible(plan_for("h200x4", engine="sglang"))
    assert isinstance(outcome, NotLaunched)
    assert "a machine you named" in outcome.why
    assert "Nothing was launched" in repr(outcome)
    assert outcome is outcome.stop()


def test_what_does_not_run_here_is_not_launched(monkeypatch, tmp_path):
    """Pro in FP8 on this machine with vLLM: said, with the change that would help."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    plan = plan_for("auto", "pro", engine="vllm")
    if plan.runs:
        pytest.skip("this machine runs Pro")
    outcome = launch_if_possible(plan)
    assert isinstance(outcome, NotLaunched)
    assert "does not run on this machine" in outcome.why


def test_a_checkpoint_that_was_not_fetched_is_not_launched(monkeypatch, tmp_path, require):
    """The fetch command is the remedy."""
    require("xllamacpp")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    outcome = launch_if_possible(plan_here("smollm2", engine="llamacpp"))
    assert isinstance(outcome, NotLaunched)
    assert "seatrial fetch" in outcome.remedy


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


def test_what_a_record_keeps_of_nothing():
    """A server that was not launched is recorded as such, with the reason."""
    nothing = NotLaunched("No GPU.", "Rent one.")
    document = server_document(nothing, nothing.stop())
    assert (False, "No GPU.") == (document["launched"], document["why"])


@pytest.mark.engine
def test_what_a_record_keeps_of_a_server(require):
    """Where it answered, and the proof that it is gone; never the key."""
    require("xllamacpp")
    require("stand-in model")
    server = launch_if_possible(plan_here("smollm2", engine="llamacpp", context_tokens=512))
    key = server.api_key()
    document = server_document(server, server.stop())
    assert (True, True, 0) == (document["launched"], document["stand_in"], document["stopped"]["processes_left"])
    assert key not in str(document)


@pytest.mark.parametrize(
    ("machine", "engine", "setting", "says", "why"),
    [
        ("rtx4090x1", "llamacpp", "SEATRIAL_LLAMA_SERVER", "version: 8145 (abc)", "b9840 or newer"),
        ("h200x4", "sglang", "SEATRIAL_SGLANG_PYTHON", "\n0.4.0", "sglang 0.4.0 is installed"),
    ],
)
def test_an_engine_that_is_too_old_is_not_launched(monkeypatch, tmp_path, machine, engine, setting, says, why):  # noqa: PLR0913, PLR0917 -- one case
    """As with one that is missing: said, with the remedy; on GPUs the build that can use them is asked."""
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv(setting, str(program))
    monkeypatch.setattr("sys.platform", "linux")
    named = detect_hardware(machine, host_memory_gib=192)
    plan = make_plan("flash", hardware=replace(named, origin="measured"), engine=engine)
    assert plan.runs
    outcome = launch_if_possible(plan)
    assert isinstance(outcome, NotLaunched)
    assert why in outcome.why
