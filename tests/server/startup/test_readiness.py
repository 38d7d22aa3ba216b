"""A start that is watched: phases with counts and time left, stalls that are said, and waiting from elsewhere."""

import contextlib
import json
import os
import re
import signal
import threading
import time
from dataclasses import replace

import pytest
from tests.server.conftest import fake_command, launched_processes, until

from seatrial.errors import EngineError, UsageError
from seatrial.launching import launch
from seatrial.server import find_server, list_servers
from seatrial.server.folder import folder_of, launching
from seatrial.server.startup.history import earlier_starts
from seatrial.server.startup.readiness import Startup
from seatrial.server.state import Exit
from seatrial.server.waiting import wait_ready

SHARD = "\rLoading safetensors checkpoint shards: {}% Completed | {}/4 [00:0{}<00:02,  1.52s/it]"
SGLANG = [
    (0, "[2026-11-20 09:14:02] server_args=ServerArgs(model_path='x')\n"),
    (0.3, "[2026-11-20 09:14:15 TP0] Load weight begin. avail mem=139.12 GB\n"),
    *((0.3, SHARD.format(25 * n, n, n)) for n in range(5)),
    (0.3, "\n[2026-11-20 09:16:45 TP0] Load weight end. elapsed=149.31 s, avail mem=100.02 GB\n"),
    (0.3, "[2026-11-20 09:21:00 TP0] Capture target decode CUDA graph begin. backend=full\n"),
    (0.3, "[2026-11-20 09:23:01] INFO:     Started server process [4242]\n"),
    (0.3, ""),
]


@pytest.fixture
def scripted(tmp_path):
    """Launch the scripted engine as SGLang, with a log of one's own making."""

    def start(steps, *flags, **wishes):
        script = tmp_path / "script.json"
        script.write_text(json.dumps(steps))
        command = fake_command(f"--script={script}", *flags, engine="sglang", model="fake-model")
        return launch(command, **{"name": "fake", **wishes})

    return start


def test_phases_counts_and_durations_of_a_start(scripted):
    """Whoever waits hears of each phase as it begins and of the count as it grows; the server knows how long they took."""
    events = []
    server = scripted(SGLANG, on_event=events.append)
    phases = [event.phase for event in events if event.begins]
    told = ["starting ranks", "loading weights", "allocating caches", "capturing graphs", "warming up"]
    assert ["starting", *told, "first token", "ready"] == phases
    counts = [event.done for event in events if event.phase == "loading weights" and event.total == 4]
    assert sorted(counts) == counts
    assert 4 == counts[-1]
    assert phases[:-1] == [time.name for time in server.phases] == [time.name for time in events[-1].passed]
    assert any("Load weight begin" in line for line in events[-1].log)
    assert sum(time.seconds for time in server.phases) == pytest.approx(server.ready_after_s, abs=0.5)
    assert server.phases == find_server("fake").phases


def test_bytes_read_from_disk_are_told_where_nothing_is_counted(tmp_path):
    """llama.cpp counts nothing while it loads: how much it has read is known all the same."""
    weights = tmp_path / "weights"
    with weights.open("wb") as file:
        for _ in range(96):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    loading = "0.00.003.487 I srv    load_model: loading model '/models/m.gguf'"
    events = []
    command = fake_command(f"--say={loading}", f"--read-file={weights}", engine="llamacpp")
    launch(command, name="fake", on_event=events.append)
    details = [event.detail for event in events if event.phase == "loading weights" and event.detail]
    assert details
    assert all("read from disk" in detail for detail in details)


def test_the_time_left_is_learnt(scripted):
    """The first start knows nothing of what follows, and says so; the second one does, and says from what."""
    first, second = [], []
    scripted(SGLANG, on_event=first.append).stop()
    scripted(SGLANG, on_event=second.append).stop()
    assert first[0].left.seconds is None
    assert "not known yet: first start of this engine on this machine" == first[0].left.basis
    assert all(event.left.phase_only for event in first[:-1] if event.left.seconds)
    assert "from 1 earlier start here" in second[0].left.basis
    lefts = [event.left.seconds.expected for event in second if event.begins and event.left and event.left.seconds]
    assert sorted(lefts, reverse=True) == lefts
    assert second[-1].left is None


def test_a_start_that_fails_tells_in_which_phase(scripted):
    """The error carries the phase, and the last event says that it failed."""
    events = []
    with pytest.raises(EngineError, match="while capturing graphs") as caught:
        scripted([*SGLANG[:-3], (0, SGLANG[-3][1])], "--script-exit=1", on_event=events.append)
    assert "capturing graphs" == caught.value.phase
    assert ("failed", "capturing graphs") == (events[-1].phase, events[-1].passed[-1].name)


def test_a_start_that_fails_is_not_learnt_from(scripted):
    """Only what came up is a measure for what comes next."""
    with pytest.raises(EngineError):
        scripted(SGLANG[:2], "--script-exit=1")
    assert [] == earlier_starts()


def test_a_stall_says_what_was_answered_last(scripted):
    """An engine that listens but turns its first request away says itself what is wrong, without its key."""
    with pytest.raises(EngineError, match="It last answered /v1/completions with HTTP 500") as caught:
        scripted([], "--refuse", stall_limit_s=1.0)
    assert '"CUDA error, [secret]' in caught.value.what


@pytest.mark.parametrize(
    ("flags", "asked", "remedy"),
    [
        (["--refuse=400"], "/v1/completions with HTTP 400", "chat template"),
        (["--refuse=404"], "/v1/chat/completions with HTTP 404", "does not serve"),
        (["--refuse=500"], "/v1/completions with HTTP 500", "its log says where"),
        (["--unlisted"], "/v1/models with HTTP 404", "does not serve"),
    ],
)
def test_an_error_that_waiting_does_not_mend_is_told_soon(scripted, monkeypatch, flags, asked, remedy):
    """Healthy, and the same error again and again: what was asked and answered, without the key; nothing is left."""
    monkeypatch.setattr("seatrial.server.startup.answers.CLIENT_S", 0.4)
    monkeypatch.setattr("seatrial.server.startup.answers.SERVER_S", 0.4)
    with pytest.raises(EngineError, match=f"has answered {asked}") as caught:
        scripted([], *flags)
    assert "requests refused" == caught.value.cause
    assert remedy in caught.value.remedy
    assert not re.search("[0-9a-f]{64}", caught.value.what)
    assert [] == launched_processes()


def test_an_engine_that_is_only_busy_is_waited_for(scripted, monkeypatch):
    """503 goes on being waited for, however long that is against the time given to other errors."""
    monkeypatch.setattr("seatrial.server.startup.answers.CLIENT_S", 0.1)
    monkeypatch.setattr("seatrial.server.startup.answers.SERVER_S", 0.1)
    assert "ready" == scripted([], "--refuse=503", "--refuse-for-s=1").state


def test_a_stall_says_where_and_what_helps(scripted):
    """Phase, count, for how long, the last line and what usually helps; nothing of it is left."""
    with pytest.raises(EngineError, match="stalled while loading weights at 2 of 4: nothing moved for") as caught:
        scripted([*SGLANG[:5], (60, "")], stall_limit_s=1.5)
    assert ("stalled", "loading weights") == (caught.value.cause, caught.value.phase)
    assert "2/4" in caught.value.evidence[-1]
    assert "slow or remote disk" in caught.value.remedy
    assert [] == launched_processes()


@pytest.mark.parametrize(
    "line",
    [
        "\r⠋ waiting {clock}",
        "[2026-11-20 {clock} TP0] waiting for the other ranks\n",
        "\r 50%|#### | 2/4 [{clock}, 1it/s]",
    ],
)
def test_a_log_that_only_ticks_stretches_the_limit_and_no_more(scripted, line):
    """A spinner or a clock makes the log grow for ever; after ten times the limit that is a stall all the same."""
    with pytest.raises(EngineError, match="stalled while starting"):
        scripted([(0.05, line)], "--script-again", stall_limit_s=0.3)


def test_a_log_that_counts_is_never_a_stall(scripted):
    """Parts that take longer than the limit, by a log alone: as long as it says something new, it is waited for."""
    server = scripted([(0.6, f"layer {n}\n") for n in range(6)], stall_limit_s=1.5)
    assert "ready" == server.state


def test_the_log_is_read_from_where_it_was_cut(scripted, monkeypatch):
    """A log past its cap is emptied under the reader: the phases after that are seen."""
    monkeypatch.setattr("seatrial.launching.launcher.LOG_CAP_BYTES", 1000)
    noise = [(0.01, f"{n} {'x' * 400}\n") for n in range(40)]
    phases = []
    scripted([*SGLANG[:4], *noise, *SGLANG[-5:]], on_event=lambda event: phases.append(event.phase))
    assert "capturing graphs" in phases


def test_waiting_for_a_server_that_another_process_starts(another_process):
    """Found while it starts: the same phases are told, and it is given back once it answers."""
    launcher = another_process(
        """
        from seatrial.launching import launch
        from tests.server.conftest import fake_command
        import time
        launch(fake_command("--healthy-after-s=1.5"), name="fake", on_event=lambda e: print(e.phase, flush=True))
        time.sleep(60)
        """
    )
    launcher.stdout.readline()
    phases = []
    found = until(lambda: next(iter(list_servers()), None), "the record")
    server = wait_ready(found, on_event=lambda event: event.begins and phases.append(event.phase))
    assert ("ready", True) == (server.state, server.responds())
    assert ["starting", "ready"] == phases
    assert server == wait_ready(found)


def test_who_waits_takes_the_place_of_a_launcher_that_is_gone(another_process):
    """A kernel that dies while a server that keeps running starts: whoever finds it asks for the first token instead."""
    launcher = another_process(
        """
        from seatrial.launching import launch
        from tests.server.conftest import fake_command
        launch(fake_command("--healthy-after-s=1.5"), name="fake", keep_running=True,
               on_event=lambda e: print(e.phase, flush=True))
        """
    )
    launcher.stdout.readline()
    found = until(lambda: next(iter(list_servers()), None), "the record")
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert "starting" == found.state
    phases = []
    server = wait_ready(found, on_event=lambda event: event.begins and phases.append(event.phase))
    assert ("ready", ()) == (server.state, server.phases)
    assert ["starting", "loading", "first token", "ready"] == phases
    assert [] == earlier_starts()


def test_waiting_for_a_server_whose_launcher_ends(another_process):
    """Without keep_running it ends with its launcher: said as that, not as a crash."""
    launcher = another_process(
        """
        from seatrial.launching import launch
        from tests.server.conftest import fake_command
        launch(fake_command("--healthy-after-s=60"), name="fake", on_event=lambda e: print(e.phase, flush=True))
        """
    )
    launcher.stdout.readline()
    found = until(lambda: next(iter(list_servers()), None), "the record")
    until(lambda: found.pid or find_server("fake").pid, "its engine")
    seen = []

    def end_launcher(event):
        if not seen:
            os.kill(launcher.pid, signal.SIGKILL)
        seen.append(event)

    with pytest.raises((EngineError, UsageError), match=r"the process that launched it is gone|has ended"):
        wait_ready(found, on_event=end_launcher)


def test_waiting_for_a_server_that_has_ended(fake):
    """Nothing comes any more: said at once."""
    server = fake()
    server.stop()
    with pytest.raises(UsageError, match="has ended"):
        wait_ready(find_server("fake"))


def test_a_launch_between_two_ports_is_waited_for(fake):
    """Its first engine is cleared away and its second not recorded yet, while the launch holds the name: it goes on."""
    found = fake()
    folder = folder_of("fake")
    record = folder.record()
    (folder.path / "record.json.unreadable").touch()  # without one or the other the lease's shell would end the engine
    os.kill(folder.processes().supervisor.pid, signal.SIGKILL)  # it would do the same
    (folder.path / "record.json").rename(folder.path / "aside")
    with launching("fake"):
        second = threading.Timer(0.3, folder.write_record, (record,))
        second.start()
        assert "fake" == wait_ready(found).name
        second.join()


@pytest.mark.parametrize("damaged", [False, True])
def test_an_engine_that_is_not_recorded_yet_is_waited_for(fake, damaged):
    """A supervisor records itself before its engine, and writes a damaged record again: neither is an end."""
    server, folder = fake(), folder_of("fake")
    known, record = folder.processes(), folder.record()
    startup = Startup(
        folder, record, server.api_key(), stall_limit_s=60, on_event=lambda _: None, begun=time.monotonic()
    )
    with contextlib.closing(startup.watch):
        if damaged:
            (folder.path / "process.json").write_text("{")
        else:
            folder.write_processes(replace(known, engine=None))
        later = threading.Timer(0.3, folder.write_processes, (known,))
        later.start()
        startup._still_alive()
        later.join()
    assert known == folder.processes()


def test_an_engine_that_ended_is_no_failure_while_its_launch_tries_again(fake):
    """Its port was taken: the launch ends that engine, and starts another one under a new launch id."""
    found, folder = fake(), folder_of("fake")
    known, record, ready = folder.processes(), folder.record(), folder.ready()
    (folder.path / "ready.json").unlink()
    told = []

    def try_again():
        folder.write_processes(replace(known, launch_id="second"))
        folder.write_record(replace(record, launch_id="second"))
        folder.write_ready(ready)

    with launching("fake"):
        folder.write_processes(replace(known, exit=Exit("stopped", 0, None, "", {}, "")))
        second = threading.Timer(0.5, try_again)
        second.start()
        assert "second" == wait_ready(found, on_event=lambda event: told.append(event.phase)).launch_id
        second.join()
    assert "failed" not in told
    folder.write_record(record)
    folder.write_processes(known)


def test_an_engine_that_serves_on_the_processor_is_not_ready(scripted):
    """It was to use GPUs, and its log says that it does not; nothing of it is left."""
    on_processor = [(0, "[2026-11-20 09:14:02] server_args=ServerArgs(model_path='x', device='cpu')\n"), *SGLANG[1:]]
    with pytest.raises(EngineError) as caught:
        scripted(on_processor)
    assert "serves on the processor" == caught.value.cause
    assert "device='cpu'" in caught.value.evidence[0]
    assert "not on the GPUs that it was to use" in str(caught.value)
    assert [] == launched_processes()
