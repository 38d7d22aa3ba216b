"""Faults 14 to 18: a server that was ready hangs, dies under load, or answers wrongly."""

import os
import signal

import psutil
import pytest
from tests.measure.conftest import SMALL
from tests.server.conftest import until

from seatrial.launching import launch
from seatrial.measure import find_problems, start_load

COUNTED = "the measurement's problems say how many"
LONG = {"concurrency": (2,), "requests": 8, "answer_tokens": 200}


@pytest.mark.fault(14)
def test_a_server_hangs(fake, seen):
    """SIGSTOP for the engine: it runs, does not respond, and stop still ends it with its child."""
    server = fake("--children=1")
    os.kill(server.pid, signal.SIGSTOP)  # its threads stop one after another
    until(lambda: not server.responds(timeout_s=0.3), "the end of its answers")
    assert server.alive()
    proof = server.stop()
    assert (0, True) == (proof.processes_left, proof.port_free)
    seen.took("stop", proof.took_s)


@pytest.mark.fault(14)
def test_a_server_hangs_and_its_supervisor_too(fake, seen):
    """Nobody is left to help: stop ends it by itself."""
    server = fake("--children=1", "--ignore-term")
    for process in (psutil.Process(server.pid).parent(), psutil.Process(server.pid)):
        process.suspend()
    proof = server.stop()
    assert (0, True) == (proof.processes_left, proof.port_free)
    seen.took("stop", proof.took_s)
    seen.ran("supervisor hangs too, engine ignores TERM")


@pytest.mark.fault(14)
@pytest.mark.engine
def test_the_real_engine_hangs(stand_in, seen):
    """Real llama.cpp, stopped by SIGSTOP."""
    server = launch(stand_in, name="real")
    os.kill(server.pid, signal.SIGSTOP)  # its threads stop one after another
    until(lambda: not server.responds(timeout_s=0.3), "the end of its answers")
    assert server.alive()
    proof = server.stop()
    assert (0, True) == (proof.processes_left, proof.port_free)
    seen.took("stop", proof.took_s)
    seen.ran("real llama.cpp")


@pytest.mark.fault(15)
def test_a_server_dies_in_a_stream(simulate, seen):
    """Killed while two answers run: both end with an error of a named kind and the text until then."""
    server = simulate("--tpot-s=0.05")
    with start_load(server.url, replaced({**LONG, "warmup_requests": 0})) as load:
        until(lambda: any(sample.tokens_per_s for sample in load.recorder.samples), "the first tokens")
        server.process.kill()
        measurement = load.result()
    assert not load.running
    kinds = measurement.points[0].requests.errors
    assert (8, {"disconnected", "unreachable"}) == (sum(kinds.values()), set(kinds))
    assert any(one.text for one in measurement.completions)
    seen.told("disconnected", find_problems(measurement)[0], COUNTED)


def replaced(changes):
    """Return the small workload of the measuring tests with changes."""
    from dataclasses import replace

    return replace(SMALL, **changes)


@pytest.mark.fault(15)
@pytest.mark.engine
def test_the_real_engine_dies_in_a_stream(stand_in, ends, seen):
    """Real llama.cpp crashes under load: the load ends with what came, the server knows why it ended."""
    with launch(stand_in, name="real") as server:
        with start_load(server, replaced({**LONG, "requests": 200, "answer_tokens": 32})) as load:
            until(lambda: load.recorder.completions, "the first answer")
            ago_s = ends(server.pid)
            os.kill(server.pid, signal.SIGSEGV)
            diagnosis = until(server.why_ended, "the diagnosis")
            seen.took("diagnosis", ago_s())
            measurement = load.result()
        assert "segmentation fault" == seen.cause(diagnosis)
        assert measurement.points[0].requests.failed
        assert measurement.completions
    seen.ran("real llama.cpp")


@pytest.mark.fault(16)
@pytest.mark.parametrize("oddity", ["split", "no_done", "crlf", "keepalive"])
def test_an_odd_stream_is_read_right(measured, oddity, seen):
    """UTF-8 cut in the middle, no [DONE], other line ends: every answer complete."""
    measurement = measured(f"--fault={oddity}")
    assert [None] * 6 == [one.error for one in measurement.completions]
    assert all("⚓" in one.text for one in measurement.completions)
    seen.ran(oddity)


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("cut", "disconnected"),
        ("eof", "incomplete"),
        ("garbled", "malformed"),
        ("bad_utf8", "malformed"),
        ("error_event", "stream_error"),
    ],
)
def test_a_broken_stream_is_counted(measured, fault, kind, seen):
    """Two of six requests meet it: counted by kind, their text kept, the others complete."""
    measurement = measured(f"--fault={fault}", "--fault-skip=3", "--fault-times=2", concurrency=(1,))
    assert ({kind: 2}, 4) == (measurement.points[0].requests.errors, measurement.points[0].requests.succeeded)
    failed = [one for one in measurement.completions if one.error is not None]
    assert ["This answer is"] * 2 == [one.text for one in failed]
    seen.told(kind, failed[0].error, COUNTED)


@pytest.mark.fault(17)
@pytest.mark.parametrize("status", ["429", "503"])
def test_turned_away(measured, status, seen):
    """Twice with Retry-After, then served: the attempts are recorded; for ever: three more attempts, then counted."""
    busy = (f"--fault=http_{status}", "--retry-after-s=0.1")
    counts = measured(*busy, "--fault-skip=2", "--fault-times=2", concurrency=(1,), requests=2, warmup_requests=1)
    assert (2, 2) == (counts.points[0].requests.succeeded, counts.points[0].requests.retries)
    counts = measured(*busy, requests=2).points[0].requests
    assert ({f"http_{status}": 2}, 6) == (counts.errors, counts.retries)
    seen.told(f"http_{status}", f"{counts.retries} repeated, {counts.failed} failed", COUNTED)


@pytest.mark.fault(18)
def test_one_byte_a_second(measured, seen):
    """Given up after the limit for one token, and the next request is served."""
    options = ("--fault=drip", "--fault-skip=3", "--fault-times=1")
    measurement = measured(*options, concurrency=(1,), requests=3, token_timeout_s=0.3)
    requests = measurement.points[0].requests
    assert ({"token_timeout": 1}, 2) == (requests.errors, requests.succeeded)
    seen.told("token_timeout", next(one.error for one in measurement.completions if one.error), COUNTED)
