"""Faults 30 to 32: what should become a model arrives cut, wrong, or half."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from tests.fetch.test_checkpoint import AGAIN, NAME, cache, checkpoint, everything_under, gguf, hub, sha256
from tests.server.conftest import until

from seatrial.errors import ModelFileError
from seatrial.fetch.checkpoint import fetch_checkpoint, local_path

__all__ = ["cache", "gguf", "hub"]

FETCH = """
    from seatrial.fetch.checkpoint import fetch_checkpoint
    from tests.fetch.test_checkpoint import checkpoint
    fetch_checkpoint(checkpoint())
"""


@pytest.mark.fault(30)
@pytest.mark.parametrize("ranges", [True, False], ids=["with Range", "without Range"])
def test_a_download_that_stumbles(hub, gguf, ranges, seen):
    """Cut twice, 429 and 503 in between: resumed if the server can, and the hash is right."""
    hub.ranges = ranges
    hub.cuts.extend([1_000_000, 500_000])
    hub.answers.extend([None, (429, AGAIN), (503, AGAIN), None])
    events = []
    path = fetch_checkpoint(checkpoint(), on_progress=events.append)
    assert hashlib.sha256(gguf).hexdigest() == sha256(path)
    assert 4 == sum(event.stage == "retry" for event in events)
    last = hub.asked("/resolve/")[-1].get("Range")
    assert ("bytes=1500000-" if ranges else "bytes=500000-") == last or not ranges
    seen.ran("with Range" if ranges else "without Range")


@pytest.mark.fault(31)
def test_right_size_wrong_bytes(hub, gguf, cache, seen):
    """One bit differs: set aside under another name, not found as a model, and a healthy hub repairs it."""
    hub.bodies[NAME] = gguf[:-1] + bytes([gguf[-1] ^ 1])
    with pytest.raises(ModelFileError) as caught:
        fetch_checkpoint(checkpoint())
    seen.cause(caught.value)
    assert None is local_path(checkpoint())
    assert [True] == [name.endswith(".corrupt") for name in everything_under(cache)]
    hub.bodies.clear()
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


@pytest.mark.fault(32)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_killed_in_a_download(process, hub, gguf, cache, number):
    """In the middle: no file has its name, the next fetch asks only for the rest, and only the model is left."""
    hub.pause, hub.pause_after = threading.Event(), 1_500_000
    child = process(sys.executable, "-c", textwrap.dedent(FETCH), stderr=subprocess.DEVNULL)
    until(lambda: sum(path.stat().st_size for path in cache.rglob("*.part")) >= hub.pause_after, "half of the file")
    os.kill(child.pid, number)
    child.wait(30)
    assert None is local_path(checkpoint())
    hub.pause.set()
    hub.pause = None
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert "bytes=1500000-" == hub.asked("/resolve/")[-1].get("Range")
    assert [NAME, "seatrial.json"] == everything_under(cache)
