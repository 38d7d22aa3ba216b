"""Faults 27 to 29: the disk is full, the log floods it, or nothing may be written."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests import gguf_bytes
from tests.batch.conftest import echo, write_notebook
from tests.fetch.test_checkpoint import NAME, checkpoint, everything_under
from tests.server.conftest import fake_command, launched_processes, until
from tests.standin_hub import StandinHub

from seatrial.batch import run_notebooks
from seatrial.errors import DoesNotFitError
from seatrial.fetch.checkpoint import fetch_checkpoint, local_path
from seatrial.launching import launch
from seatrial.server import list_servers
from seatrial.server.folder import folder_of

__all__ = ["echo", "write_notebook"]

ROOT = Path(__file__).resolve().parents[2]
FLOOD = 100_000_000
CAP = 1 << 20


@pytest.fixture
def disk(require, tmp_path):
    """Mount a small file system in memory, and return its folder."""
    require("mount")
    with contextlib.ExitStack() as stack:

        def mount(size, *options):
            folder = tmp_path / f"disk-{size}"
            folder.mkdir()
            words = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", "mode=0700", *options]), "tmpfs", folder]
            subprocess.run(words, check=True)
            stack.callback(unmount, folder)
            return folder

        yield mount


def unmount(folder):
    """Wait until nothing of a launch uses it any more, then take it away."""
    until(lambda: not launched_processes(), "the end of every process")
    until(
        lambda: subprocess.run(["umount", folder], capture_output=True, check=False).returncode == 0, "the unmounting"
    )


def fill(folder, leave=0):
    """Write until the disk is full, but for so many bytes."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with (folder / "filler").open("r+b") as file:
        file.truncate(max(0, file.seek(0, 2) - leave))


@pytest.mark.fault(27)
def test_no_room_to_launch(disk, monkeypatch, seen):
    """The state folder is on a full disk: one clear error, nothing started."""
    folder = disk("256k")
    monkeypatch.setenv("SEATRIAL_STATE", str(folder / "state"))
    fill(folder)
    with pytest.raises(DoesNotFitError, match="No space left on device") as caught:
        launch(fake_command(), name="fake")
    assert not folder_of("fake").path.exists()
    seen.cause(caught.value)
    assert [] == launched_processes()
    assert [] == list_servers()
    seen.ran("state, launching")


@pytest.mark.fault(27)
def test_a_disk_that_fills_up_while_it_serves(disk, monkeypatch, seen):
    """Written files stay complete, the server goes on and is found, and stop works without a byte to write."""
    folder = disk("1m")
    monkeypatch.setenv("SEATRIAL_STATE", str(folder / "state"))
    monkeypatch.setattr("seatrial.launching.launcher.LOG_CAP_BYTES", 1 << 15)
    server = launch(fake_command("--children=1", f"--flood-per-minute={FLOOD // 10}"), name="fake", keep_running=True)
    fill(folder)
    kept = {
        name: (folder_of("fake").path / name).read_bytes() for name in ("record.json", "process.json", "ready.json")
    }
    assert all(json.loads(content) for content in kept.values())
    assert ("ready", True) == (server.state, server.responds())
    proof = server.stop()
    assert (0, True) == (proof.processes_left, proof.port_free)
    seen.took("stop", proof.took_s)
    assert kept["record.json"] == (folder_of("fake").path / "record.json").read_bytes()
    seen.ran("state and log, serving")


@pytest.mark.fault(27)
def test_no_room_for_the_notebook(disk, echo, seen):
    """The output of a run is on a full disk: one clear error."""
    folder = disk("128k")
    fill(folder, leave=8192)
    with pytest.raises(DoesNotFitError, match="No space left on device") as caught:
        run_notebooks([echo], output=folder / "run")
    fill(folder)
    with pytest.raises(DoesNotFitError, match="No space left on device"):
        run_notebooks([echo], output=folder / "other")
    assert not (folder / "other").exists()
    seen.cause(caught.value)
    seen.ran("output notebook")


@pytest.mark.fault(27)
def test_no_room_for_a_download(disk, hub, monkeypatch, seen):
    """By the sizes the hub lists: the error has the need and the free bytes, and not one byte is written."""
    folder = disk("1m")
    monkeypatch.setenv("SEATRIAL_CACHE", str(folder / "cache"))
    with pytest.raises(DoesNotFitError) as caught:
        fetch_checkpoint(checkpoint())
    assert "3.0 MiB" in caught.value.what
    assert "1.0 MiB" in caught.value.what
    seen.cause(caught.value)
    assert [] == hub.asked("/resolve/")
    assert [] == list(folder.iterdir())
    seen.ran("download, too small from the start")


@pytest.mark.fault(27)
def test_a_disk_that_fills_up_in_a_download(disk, hub, gguf, monkeypatch, seen):
    """Another process takes the free space in the middle: one error, and with space again the rest is fetched."""
    folder = disk("8m")
    monkeypatch.setenv("SEATRIAL_CACHE", str(folder / "cache"))
    hub.pause, hub.pause_after = threading.Event(), 1_500_000
    caught = []

    def fetch():
        with pytest.raises(DoesNotFitError) as error:
            fetch_checkpoint(checkpoint())
        caught.append(error.value)

    thread = threading.Thread(target=fetch)
    thread.start()
    until(lambda: sum(path.stat().st_size for path in folder.rglob("*.part")) >= hub.pause_after, "half of the file")
    fill(folder)
    hub.pause.set()
    thread.join(30)
    (error,) = caught
    seen.cause(error)
    assert None is local_path(checkpoint())
    (folder / "filler").unlink()
    hub.pause = None
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert hub.asked("/resolve/")[-1].get("Range")
    assert [NAME, "seatrial.json"] == everything_under(folder / "cache")
    seen.ran("download, filled up in the middle")


@pytest.fixture(scope="module")
def gguf():
    """Write a well-formed GGUF of three MiB."""
    return gguf_bytes.gguf(
        [gguf_bytes.pair("general.architecture", gguf_bytes.STRING, "llama")],
        [gguf_bytes.tensor("w", (768, 1024), 0, 0)],
        b"\1" * (3 << 20),
    )


@pytest.fixture
def hub(gguf, monkeypatch):
    """Start a hub with that model."""
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with StandinHub({NAME: gguf}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.mark.fault(28)
def test_a_log_flood(fake, monkeypatch, seen):
    """100 MB a minute for some seconds: log and earlier part stay below their cap and a bit, and it answers at once."""
    monkeypatch.setattr("seatrial.launching.launcher.LOG_CAP_BYTES", CAP)
    server = fake(f"--flood-per-minute={FLOOD}")
    log, earlier = Path(server.log), Path(server.log).with_name("engine.log.1")
    slowest = largest = 0.0
    written = psutil.Process(server.pid).io_counters().write_chars
    until(lambda: psutil.Process(server.pid).io_counters().write_chars > written + 2 * CAP, "the flood")
    while psutil.Process(server.pid).io_counters().write_chars < written + 6 * CAP:
        begun = time.monotonic()
        assert server.responds()
        slowest = max(slowest, time.monotonic() - begun)
        largest = max(largest, log.stat().st_size)
    until(earlier.exists, "the first cut")
    assert largest < 4 * CAP
    assert earlier.stat().st_size <= CAP
    assert 3 == len(server.read_log(3))
    proof = server.stop()
    seen.took("stop", proof.took_s)
    seen.ran(f"cap 1 MiB; largest log {largest / CAP:.1f} MiB; slowest answer {slowest * 1e3:.0f} ms")


@pytest.fixture
def unwritable(request, tmp_path):
    """Make a folder in which nothing can be written: by its mode, for root by its mount."""
    if os.getuid():
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
        return folder
    folder = request.getfixturevalue("disk")("1g")  # space enough: something else is missing
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    return folder


def seatrial(*words, **environment):
    """Run a command with no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEATRIAL_", "XDG_", "HF_"))}
    return subprocess.run(
        [sys.executable, "-m", "seatrial", *words],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.fault(29)
@pytest.mark.parametrize(
    ("words", "setting"),
    [(("serve", "--engine", "simulated"), "SEATRIAL_STATE"), (("fetch", "smollm2"), "SEATRIAL_CACHE")],
    ids=["serve", "fetch"],
)
@pytest.mark.parametrize("variable", ["HOME", None], ids=["home", "folder"])
def test_nothing_may_be_written(unwritable, words, setting, variable, seen):
    """A read-only home, or a read-only folder of that setting: one message that names it, no traceback."""
    environment = {variable: str(unwritable)} if variable else {setting: str(unwritable)}
    done = seatrial(*words, **environment)
    assert (2, "") == (done.returncode, done.stdout)
    assert str(unwritable) in done.stderr
    assert setting in done.stderr
    assert "Traceback" not in done.stderr
    what, _, remedy = done.stderr.rpartition("seatrial: ")[2].strip().partition("\n")  # what was under way is above
    seen.told("UsageError", what, remedy)


@pytest.mark.fault(29)
def test_a_file_in_the_way(tmp_path, seen):
    """A file is in the place of the state folder: every command has a clear error."""
    (tmp_path / "state").touch()
    done = seatrial("serve", "--engine", "simulated", SEATRIAL_STATE=str(tmp_path / "state"))
    assert 2 == done.returncode
    assert "SEATRIAL_STATE" in done.stderr
    assert "Traceback" not in done.stderr
    seen.ran("a file in the way")
