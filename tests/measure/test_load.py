"""A load runs beside whoever started it, can be watched, and always ends."""

import array
import contextlib
import fcntl
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest
from tests.measure.conftest import SMALL, TPOT_S, TTFT_S

from seatrial.errors import EngineMissingError, MeasurementError, UsageError
from seatrial.measure import Workload, find_problems, measure_server, start_load
from seatrial.measure.load import Load
from seatrial.measure.target import find_target
from seatrial.measure.workload_check import check_workload

DEADLINE_S = 120.0
ENDLESS = Workload(concurrency=(2,), requests=100_000, prompt_tokens=40, answer_tokens=16)

PARENT = """
    import sys, textwrap
    from seatrial.measure import Workload, start_load
    load = start_load(sys.argv[1], Workload(concurrency=(2,), requests=100_000, prompt_tokens=40, answer_tokens=16))
    while not load.recorder.completions:
        load.wait(0.02)
    print(load.pid, flush=True)
    load.wait()
"""


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid):
    """Whether a process has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def held_bytes(load):
    """How much lies in the client's pipe, not yet read."""
    held = array.array("i", [0])
    fcntl.ioctl(load._process.stdout, termios.FIONREAD, held)
    return held[0]


def test_a_missing_client_is_said(monkeypatch):
    """Without httptools nothing is sent, and the message names the extra to install; as for a missing engine, exit code 4."""
    monkeypatch.setattr("seatrial.measure.load.find_spec", lambda _: None)
    with pytest.raises(EngineMissingError, match=r"seatrial\[measure\]") as caught:
        measure_server("http://127.0.0.1:9", SMALL)
    assert 4 == caught.value.exit_code


def test_times_of_a_request_are_in_order(measured):
    """Scheduled, sent, first, last, ended: in this order, and never before the server can have answered."""
    for one in measured().completions:
        times = [one.scheduled_s, one.sent_s, one.first_token_s, one.last_token_s, one.ended_s]
        assert sorted(times) == times
        assert one.first_token_s - one.sent_s >= TTFT_S
        assert len(one.gaps_s) == one.chunks - 1
        assert pytest.approx(sum(one.gaps_s)) == one.last_token_s - one.first_token_s
        assert sum(one.gaps_s) >= (one.tokens - 1) * TPOT_S - one.first_token_s + one.sent_s + TTFT_S


def test_each_level_keeps_its_streams_busy(measured):
    """At each level exactly so many requests overlap at most, and every request of it is there."""
    measurement = measured(concurrency=(1, 3), requests=9)
    for index, streams in enumerate((1, 3)):
        ours = [one for one in measurement.completions if one.point == index]
        overlaps = [sum(other.sent_s <= one.sent_s < other.ended_s for other in ours) for one in ours]
        assert (9, streams) == (len(ours), max(overlaps))
    assert [1, 3] == [point.concurrency for point in measurement.points]


def test_open_loop_does_not_wait_for_answers(measured):
    """Arrivals come as scheduled although only one request is served at a time: the wait shows in the latency."""
    measurement = measured("--slots=1", rate=50.0, requests=12, answer_tokens=16)
    point = measurement.points[0]
    assert (None, 50.0, 12) == (point.concurrency, point.rate, point.requests.succeeded)
    first, last = measurement.completions[0], measurement.completions[-1]
    # The last one came long before the first was served, and waited for eleven others.
    assert last.scheduled_s < first.scheduled_s + 11 * (TTFT_S + 15 * TPOT_S)
    assert point.ttft_from_schedule_s.p90 > 5 * (TTFT_S + 15 * TPOT_S)


def test_arrivals_are_seeded(simulate):
    """The same seed gives the same arrivals, another seed others."""
    url = simulate().url

    def arrivals(seed):
        workload = replace(SMALL, rate=200.0, requests=10, seed=seed)
        times = sorted(one.scheduled_s for one in measure_server(url, workload).completions)
        return [round(at - times[0], 4) for at in times]

    assert pytest.approx(arrivals(1), abs=1e-3) == arrivals(1)
    assert pytest.approx(arrivals(1), abs=1e-3) != arrivals(2)


def test_watching_a_load(simulate):
    """While a load runs its recorder fills: samples with tokens per second, completions, then the point."""
    seen = []
    with start_load(simulate().url, replace(SMALL, requests=40), on_event=seen.append) as load:
        until(lambda: load.recorder.completions)
        assert load.running
        measurement = load.result()
    assert not load.running
    assert measurement.points == load.recorder.points
    times = [sample.at_s for sample in load.recorder.samples]
    assert sorted(times) == times
    assert max(sample.tokens_per_s for sample in load.recorder.samples) > 0
    assert 40 == max(progress.done for progress in seen)
    assert {"2 streams"} == {progress.level for progress in seen}


def test_whoever_watches_cannot_break_the_measurement(simulate, caplog):
    """A callback that raises is not called again; the measurement goes on, and the log says why."""

    def broken(_progress):
        raise RuntimeError("the plot is gone")

    assert measure_server(simulate().url, SMALL, on_event=broken).points[0].requests.succeeded == 6
    assert "on_event failed" in caplog.text


def test_stop_ends_the_process_and_keeps_what_was_collected(simulate):
    """Stopped in the middle: the client process is gone, what was collected is kept and called incomplete."""
    with start_load(simulate().url, ENDLESS) as load:
        until(lambda: len(load.recorder.completions) > 2)
        pid = load.pid
        load.stop()
        assert gone(pid)
        measurement = load.result()
    assert len(measurement.completions) > 2
    assert "Stopped before its end." in measurement.notes
    assert find_problems(measurement) == ("0 of 1 load levels were completed.",)
    (point,) = measurement.points
    assert (True, len(measurement.completions)) == (point.partial, point.requests.succeeded)
    assert point.ttft_s is not None


def test_stopped_before_the_first_answer(simulate):
    """Tokens of requests in flight are not lost: the partial level has the throughput until then."""
    endless = replace(ENDLESS, answer_tokens=4000)
    with start_load(simulate("--answer-tokens=4000").url, endless) as load:
        until(lambda: sum(sample.active_streams == 2 for sample in load.recorder.samples) > 1)
        load.stop()
        measurement = load.result()
    (point,) = measurement.points
    assert (True, 0) == (point.partial, point.requests.sent)
    assert point.output_tokens_per_s > 0


def test_a_stop_after_the_end_changes_nothing(measured):
    """A load that ended is complete, whoever stops it afterwards."""
    measurement = measured()
    assert [False] == [point.partial for point in measurement.points]
    assert "Stopped before its end." not in measurement.notes


def test_what_was_complete_stays(simulate):
    """Stopped in the second level: the first one is complete, the second partial."""
    with start_load(simulate().url, replace(SMALL, concurrency=(1, 2), requests=400)) as load:
        until(lambda: load.recorder.points)
        load.stop()
        measurement = load.result()
    assert [False] == [point.partial for point in measurement.points][:1]
    assert all(point.partial for point in measurement.points[1:])
    assert find_problems(measurement) == ("1 of 2 load levels were completed.",)


def test_stop_ends_a_client_that_hangs(simulate):
    """A client that does not even react to the end of its input is killed."""
    with start_load(simulate().url, ENDLESS) as load:
        until(lambda: load.recorder.completions)
        pid = load.pid
        psutil.Process(pid).suspend()
    assert gone(pid)


def test_no_orphan(simulate, tmp_path):
    """Whoever started a load is killed: its client ends by itself."""
    script = tmp_path / "parent.py"
    script.write_text("\n".join(line[4:] for line in PARENT.splitlines()))
    parent = subprocess.Popen([sys.executable, script, simulate().url], stdout=subprocess.PIPE, text=True)
    client = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: gone(client))


def test_server_dies_in_the_middle(simulate):
    """The server is killed under load: typed errors, partial text kept, later levels not tried, no hang."""
    server = simulate("--tpot-s=0.05")
    workload = replace(SMALL, concurrency=(2, 4), requests=8, answer_tokens=200)
    with start_load(server.url, workload) as load:
        until(lambda: any(sample.tokens_per_s for sample in load.recorder.samples))
        server.process.kill()
        measurement = load.result()
    kinds = measurement.points[0].requests.errors
    assert {"disconnected", "unreachable"} == set(kinds)
    assert 8 == sum(kinds.values())
    texts = [one.text for one in measurement.completions]
    assert any(texts)
    assert all("This answer is simulated: no model".startswith(text[:34]) for text in texts)
    assert "1 of 2 load levels were completed." in find_problems(measurement)


def test_a_dying_server_leaves_a_partial_level(simulate):
    """Some requests had succeeded when the server was killed: the level is partial, no further one is tried, and why is said."""
    server = simulate()
    workload = replace(SMALL, concurrency=(2, 4), requests=400)
    with start_load(server.url, workload) as load:
        until(lambda: load.recorder.completions)
        server.process.kill()
        measurement = load.result()
    (point,) = measurement.points
    assert point.partial
    assert point.requests.succeeded > 0
    assert any(note.startswith("The server went away during 2 streams (unreachable: ") for note in measurement.notes)
    assert find_problems(measurement) == ("0 of 2 load levels were completed.",)


def test_client_dies(simulate):
    """The client process is killed: what it had brought is kept, and the result says what happened."""
    with start_load(simulate().url, ENDLESS) as load:
        until(lambda: load.recorder.completions)
        psutil.Process(load.pid).kill()
        measurement = load.result()
    assert measurement.completions
    assert [True] == [point.partial for point in measurement.points]
    assert any("ended unexpectedly with code -9" in note for note in measurement.notes)


def test_no_server():
    """Nobody listens: a clear error that says where."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, so that nobody else listens there
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(MeasurementError, match=f"{url} cannot be measured: unreachable"):
            measure_server(url, SMALL)


def test_not_an_http_server():
    """A server that speaks another protocol is told apart from one that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(MeasurementError, match="not HTTP"):
            measure_server(f"http://127.0.0.1:{listener.getsockname()[1]}", SMALL)
        thread.join()


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (Workload(concurrency=()), "concurrency has no load level"),
        (Workload(rate=()), "rate has no load level"),
        (Workload(rate=(1, -2)), "rate is -2"),
        (Workload(prompt_tokens=()), "prompt_tokens has no load level"),
        (Workload(prompt_tokens=(128, 0)), "prompt_tokens is 0"),
        (Workload(concurrency=tuple(range(1, 13)), prompt_tokens="1000,2000,3000"), "has 36 levels, more than 32"),
        (Workload(arrivals="ramp"), "arrivals ramp goes with a rate"),
        (Workload(shared_share=1), "shared_share is 1"),
        (Workload(repeat=0), "repeat is 0"),
        (Workload(warmup_requests=-1), "warmup_requests is -1"),
        (Workload(concurrency=(1, 0)), "concurrency is 0"),
        (Workload(concurrency=(1 << 20,)), "concurrency is 1,048,576"),
        (Workload(requests=-1), "requests is -1"),
        (Workload(prompt_tokens=0), "prompt_tokens is 0"),
        (Workload(answer_tokens=-5), "answer_tokens is -5"),
        (Workload(rate=0.0), "rate is 0.0"),
        (Workload(slo_ttft_s=-1.0), "slo_ttft_s is -1.0"),
        (Workload(concurrency=(1, 16), requests=8), "8 requests cannot keep 16 streams busy"),
        (Workload(ignore_eos=True), "not known to work with an unknown engine"),
    ],
)
def test_impossible_workloads(workload, message):
    """A load that cannot be sent, or would measure nothing, is refused before anything starts."""
    with pytest.raises(UsageError, match=message):
        check_workload(workload, None)


def test_ignore_eos_where_the_engine_takes_it(simulate):
    """Asked for and known, answers reach the full length although the model would stop."""
    url = simulate("--answer-tokens=5").url
    server = SimpleNamespace(
        url=url, model="simulated", engine="simulated", pid=None, stand_in=False, simulated=True, metrics_path=None,
        api_key=lambda: None,
    )  # fmt: skip
    measurement = measure_server(server, replace(SMALL, ignore_eos=True))
    assert {16} == {one.tokens for one in measurement.completions}
    assert measurement.simulated


def test_the_engine_s_processes_are_sampled(simulate):
    """Of a server on this machine the samples tell memory and CPU of its process."""
    started = simulate()
    server = SimpleNamespace(
        url=started.url, model="simulated", engine="simulated", pid=started.process.pid,
        stand_in=False, simulated=True, metrics_path="/metrics", api_key=lambda: None,
    )  # fmt: skip
    measurement = measure_server(server, replace(SMALL, requests=40))
    samples = measurement.samples
    assert any(sample.memory_bytes for sample in samples)
    assert any(sample.cpu_share is not None for sample in samples)
    assert not {"memory_bytes", "host_memory_bytes", "running_requests", "kv_cache_usage"} & set(measurement.missing)
    assert "Simulator does not show it in its /metrics" == measurement.missing["drafted_tokens"]


def test_a_server_by_its_url_is_read_as_well(simulate):
    """Its own page by the names on it, and its process by its port, since that is on this machine."""
    measurement = measure_server(simulate().url, replace(SMALL, requests=40))
    assert any(sample.generated_tokens for sample in measurement.samples)
    assert any(sample.memory_bytes for sample in measurement.samples)
    assert not {"generated_tokens", "memory_bytes"} & set(measurement.missing)


def test_client_dies_in_the_middle_of_a_line(simulate):
    """Half an event is the end of the client's output: the result says that the client died."""
    waiting, read = threading.Event(), threading.Event()

    def hold(_progress):
        waiting.set()
        read.wait()

    url = simulate("--tpot-s=0.00001", "--tokens-per-chunk=2000").url
    workload = replace(ENDLESS, concurrency=(4,), answer_tokens=40_000)
    with start_load(url, workload, on_event=hold) as load:
        try:
            assert waiting.wait(DEADLINE_S)
            # Nobody reads, and an answer is longer than the pipe: the client is left hanging within a line.
            room = fcntl.fcntl(load._process.stdout, fcntl.F_GETPIPE_SZ)
            until(lambda: held_bytes(load) > room // 2)
            client = psutil.Process(load.pid)
            client.kill()
        finally:
            read.set()
        try:
            said = load.result().notes  # of a partial level, if a tick had told of its tokens
        except MeasurementError as error:
            said = (error.what,)
    assert any("ended unexpectedly with code -9" in note for note in said)


def test_an_error_while_the_load_is_followed_is_said(simulate):
    """A state folder that cannot be read any more, say: the client is ended, and the result says what happened."""

    def broken():
        raise UsageError("The state folder cannot be read.", remedy="Mend it.")

    page = SimpleNamespace(read=broken, close=lambda: None, why_missing=lambda *_, **__: "")
    target = replace(find_target(simulate().url), page=page)
    with Load(target, ENDLESS, None) as load:
        with pytest.raises(MeasurementError, match=r"broken off \(UsageError: The state folder cannot be read"):
            load.result()
        assert gone(load.pid)
    assert not load.running


def test_without_a_thread_no_client_is_left(simulate, monkeypatch):
    """This machine starts no further thread: an error at once, and nothing that nobody follows."""

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    target = find_target(simulate().url)
    before = {process.pid for process in psutil.Process().children()}
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        Load(target, ENDLESS, None)
    assert before == {process.pid for process in psutil.Process().children()}
