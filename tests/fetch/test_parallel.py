"""Four files at once: one failure keeps what is complete, and so does Ctrl-C."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from tests.fetch.test_checkpoint import ROOT, cache, checkpoint, everything_under
from tests.safetensors_bytes import vectors
from tests.standin_hub import StandinHub

from seatrial.errors import DoesNotFitError, ModelFileError, UsageError
from seatrial.fetch.checkpoint import fetch_checkpoint, local_path

__all__ = ["cache"]

SHARDS = {f"model-{n:05d}-of-00006.safetensors": vectors(**{f"w{n}": 1000 + n}) for n in range(1, 7)}
FILES = {**SHARDS, "config.json": b"{}"}


@pytest.fixture
def hub(monkeypatch):
    """Serve a hub with a model in six shards."""
    with StandinHub(FILES) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def sharded():
    """Make the checkpoint of these tests."""
    return checkpoint("someone/model-GGUF", format="safetensors", engines=("sglang",))


def test_four_files_arrive_at_once(hub):
    """Four answers wait for each other; a fifth is asked for only once one of them is complete."""
    hub.pause, hub.pause_after = threading.Event(), 100
    seen = []
    thread = threading.Thread(target=lambda: seen.append(fetch_checkpoint(sharded())))
    thread.start()
    deadline = time.monotonic() + 30
    while len(hub.asked("/resolve/")) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 4 == len(hub.asked("/resolve/"))
    hub.pause.set()
    thread.join(30)
    assert FILES == {name: (seen[0] / name).read_bytes() for name in FILES}


@pytest.mark.usefixtures("hub")
def test_bytes_and_files_are_counted_over_all():
    """No event goes beyond the whole, and the last has everything."""
    events = []
    fetch_checkpoint(sharded(), on_progress=events.append)
    total = sum(map(len, FILES.values()))
    counted = [event for event in events if event.stage in {"download", "check"}]
    assert {(total, len(FILES))} == {(event.total_bytes, event.total_files) for event in events[:-1]}
    assert all(event.done_bytes <= total for event in counted)
    assert (total, len(FILES), total) == (counted[-1].done_bytes, counted[-1].done_files, counted[-1].received_bytes)
    files = [event.done_files for event in counted]
    assert sorted(files) == files


def test_one_damaged_file_stops_no_other(hub, cache):
    """The others are complete; the next fetch asks for that one only."""
    bad = min(SHARDS)
    hub.bodies[bad] = bytes(len(SHARDS[bad]))
    with pytest.raises(ModelFileError, match=bad):
        fetch_checkpoint(sharded())
    assert (FILES.keys() - {bad}) <= set(everything_under(cache))
    assert None is local_path(sharded())
    hub.bodies.clear()
    hub.requests.clear()
    fetch_checkpoint(sharded())
    assert [bad] == [path.rpartition("/")[2] for path, _ in hub.requests if "/resolve/" in path]


def test_a_file_that_is_gone_lets_those_that_were_begun_end(hub, cache):
    """404 for the first: what came with it is kept, and the message names the file."""
    hub.answers.append((404, {}))
    with pytest.raises(UsageError, match="nothing of that name"):
        fetch_checkpoint(sharded())
    assert len(everything_under(cache)) >= 3
    assert not [name for name in everything_under(cache) if name.endswith(".part")]


def test_the_disk_is_checked_for_all_of_them_first(hub, monkeypatch, cache):
    """Room for one file and not for six: nothing is asked for."""
    monkeypatch.setattr("seatrial.fetch.disk.free_bytes", lambda _: 5000)
    with pytest.raises(DoesNotFitError):
        fetch_checkpoint(sharded())
    assert [] == hub.asked("/resolve/")
    assert not cache.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_there(hub, cache, number):
    """It ends at once although four answers wait; the next fetch resumes each of them."""
    hub.pause, hub.pause_after = threading.Event(), 100
    code = """
        import signal
        from tests.fetch.test_parallel import sharded
        from seatrial.fetch.checkpoint import fetch_checkpoint
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fetch_checkpoint(sharded())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 60
        while sum(path.stat().st_size == 100 for path in cache.rglob("*.part")) < 4:
            assert time.monotonic() < deadline
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        _, said = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    hub.pause.set()
    hub.pause = None
    hub.requests.clear()
    folder = fetch_checkpoint(sharded())
    assert 4 == [headers.get("Range") for headers in hub.asked("/resolve/")].count("bytes=100-")
    assert FILES == {name: (folder / name).read_bytes() for name in FILES}
