"""A launch that is given up before its supervisor has said a word: the supervisor starts nothing later."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.server.conftest import launched_processes, until

from seatrial.errors import EngineError
from seatrial.server import find_server, supervisor
from seatrial.server.folder import folder_of

LATE = """
import os, runpy, sys, time
if os.fork():
    os._exit(0)
while not os.path.exists({go!r}):
    time.sleep(0.02)
runpy.run_path({real!r}, run_name="__main__")
open({done!r}, "w").close()
"""


@pytest.fixture
def late(monkeypatch, tmp_path):
    """Let the supervisor wait for the file ``go``, longer than the launch waits for the supervisor."""
    go, script = tmp_path / "go", tmp_path / "late.py"
    script.write_text(LATE.format(go=str(go), real=supervisor.__file__, done=str(tmp_path / "done")))
    monkeypatch.setattr("seatrial.launching.launcher.COMING_UP_S", 0.3)
    monkeypatch.setattr(supervisor, "__file__", str(script))
    yield script
    go.touch()


def test_a_launch_given_up_takes_its_late_supervisor_along(fake, late):
    """When the error arrives the supervisor is gone, and no engine comes up afterwards."""
    with pytest.raises(EngineError, match="did not start"):
        fake()
    assert [] == [process for process in psutil.process_iter() if str(late) in cmdline(process)]
    assert [] == launched_processes()
    assert "ended" == find_server("fake").state


def cmdline(process):
    """Return the words of a process, none if it has ended or is not ours."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def start_late(launch_id):
    """Start a supervisor for the folder of ``fake`` and wait for its end."""
    folder = folder_of("fake").path
    environment = {**os.environ, "SEATRIAL_LAUNCH_ID": launch_id}
    subprocess.run([sys.executable, "-I", "-S", supervisor.__file__, str(folder)], env=environment, check=True)
    until(lambda: not launched_processes(), "the end of the late supervisor")


def test_a_supervisor_that_finds_a_stop_request_starts_nothing(fake):
    """Stop came first: it records that the engine was never started."""
    server = fake()
    server.stop()
    folder = folder_of("fake")
    (folder.path / "process.json").unlink()
    assert folder.request_stop()
    start_late(server.launch_id)
    known = folder.processes()
    assert (None, "stopped", True) == (known.engine, known.exit.reason, known.finished)


def test_a_supervisor_of_an_earlier_launch_leaves_the_folder_alone(fake):
    """The folder belongs to a later launch by now: nothing is started or written."""
    server = fake()
    server.stop()
    folder = folder_of("fake").path
    (folder / "stop").unlink()
    before = json.loads((folder / "process.json").read_text())
    start_late("an earlier launch")
    assert before == json.loads((folder / "process.json").read_text())
    assert not Path(server.log).read_text()
