"""Faults 19 to 22: the launcher is killed, was a thread, or was one of two."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import KernelManager
from tests.server.conftest import fake_command, launched_processes, until

from seatrial.launching import launch
from seatrial.server import find_server, list_servers
from seatrial.server.folder import folder_of

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = """
import sys
sys.path.insert(0, {root!r})
from seatrial.launching import launch
from tests.server.conftest import fake_command
server = launch(fake_command("--children=1"), name="fake", keep_running={keep_running})
"""
ATTACH = """
import time
begun = time.perf_counter()
from seatrial.server import find_server
server = find_server("fake")
answers = server.responds()
print(time.perf_counter() - begun, server.pid, answers, len(server.api_key()))
"""
NOTEBOOK_S = 60


@pytest.fixture
def kernel(tmp_path):
    """Start real Jupyter kernels: ``run`` returns the output of code, ``kill`` kills one."""
    started = []

    def start():
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel(cwd=str(tmp_path))
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=NOTEBOOK_S)
        started.append((manager, client))
        return Kernel(manager, client)

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy()


class Kernel:
    """One kernel, as JupyterLab has it."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def run(self, code):
        """Run a cell and return what it printed."""
        printed = []

        def hear(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=NOTEBOOK_S, output_hook=hear)
        assert "ok" == reply["content"]["status"], reply["content"]
        return "".join(printed)

    def kill(self):
        """Send SIGKILL, as the kernel menu and Linux's out-of-memory killer do."""
        self.manager.signal_kernel(signal.SIGKILL)


@pytest.mark.fault(19)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_kernel_s_server_is_found_again(kernel, seen):
    """Launched with keep_running in a kernel that is killed: a new kernel has it back, key included."""
    first = kernel()
    first.run(LAUNCH.format(root=str(ROOT), keep_running=True))
    pid = find_server("fake").pid
    first.kill()
    took, found, answers, key = kernel().run(ATTACH).split()
    assert (pid, "True", "64") == (int(found), answers, key)
    seen.took("attach", float(took))
    seen.ran("real Jupyter kernels, imports included")


@pytest.mark.fault(19)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_killed_kernel_takes_its_server_along(kernel, seen):
    """Without keep_running the lease ends with the kernel; the record and its log stay to be read."""
    first = kernel()
    first.run(LAUNCH.format(root=str(ROOT), keep_running=False))
    begun = time.monotonic()
    first.kill()
    until(lambda: not launched_processes(), "the end of the lease")
    seen.took("lease", time.monotonic() - begun)
    assert "ended" == find_server("fake").state
    assert "lease ended" == folder_of("fake").processes().exit.reason


RUN = {
    "seatrial run": "import sys; from seatrial.batch import run_notebooks; run_notebooks([sys.argv[1]], output=sys.argv[2])",
    "papermill": "import sys; from papermill import execute_notebook; execute_notebook(sys.argv[1], sys.argv[2] + '.ipynb')",
}


@pytest.fixture
def notebook(tmp_path):
    """Write a notebook that launches an engine, leaves a file when it is ready, and waits."""
    from nbformat import write
    from nbformat.v4 import new_code_cell, new_notebook

    wait = f"open({str(tmp_path / 'ready')!r}, 'w').close()\nimport time\ntime.sleep(600)"
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    parameters = new_code_cell("x: int = 1  # nothing", metadata={"tags": ["parameters"]})
    cells = [parameters, new_code_cell(LAUNCH.format(root=str(ROOT), keep_running=False)), new_code_cell(wait)]
    path = tmp_path / "launching.ipynb"
    write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
    return path


@pytest.mark.fault(20)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("how", RUN)
def test_papermill_is_killed(process, notebook, how, number, seen):
    """In the middle of a notebook that launched an engine: no kernel, no engine, no supervisor is left."""
    folder = notebook.parent
    runner = process(
        sys.executable,
        "-c",
        RUN[how],
        notebook,
        folder / "run",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until((folder / "ready").exists, "the launch in the notebook")
    kernels = psutil.Process(runner.pid).children(recursive=True)
    begun = time.monotonic()
    runner.send_signal(number)
    runner.wait(30)
    until(lambda: not launched_processes(), "the end of the lease")
    seen.took("lease", time.monotonic() - begun)
    until(lambda: not any(alive(kernel) for kernel in kernels), "the end of the kernel")
    assert [] == list_servers()
    seen.ran(how)


def alive(process):
    """Return True if it runs."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.fault(21)
def test_launched_from_a_thread_that_ends(seen):
    """As a widget does: the thread is gone, its kernel task too, and the server still answers."""
    launched = []
    thread = threading.Thread(target=lambda: launched.append(launch(fake_command("--children=1"), name="fake")))
    thread.start()
    task = f"/proc/self/task/{thread.native_id}"
    thread.join()
    until(lambda: not Path(task).exists(), "the end of the thread's task")
    (server,) = launched
    looks = psutil.Process(server.pid).parent().num_ctx_switches().voluntary
    until(
        lambda: psutil.Process(server.pid).parent().num_ctx_switches().voluntary > looks + 3, "looks of its supervisor"
    )
    assert ("ready", True) == (server.state, server.responds())
    seen.took("stop", server.stop().took_s)


RACE = """
    import os, sys, time
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    print("here", flush=True)
    while not os.path.exists({go!r}):
        time.sleep(0.001)
    server = launch(fake_command(), name="fake")
    print("won" if server.ours else "given", server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.fault(22)
def test_launched_twice_at_once(process, tmp_path, seen):
    """Three processes launch one name at the same moment: one launches it, all three get the one server."""
    code = textwrap.dedent(RACE.format(go=str(tmp_path / "go")))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [process(sys.executable, "-c", code, cwd=ROOT, **pipes) for _ in range(3)]
    assert ["here\n"] * 3 == [racer.stdout.readline() for racer in racers]
    (tmp_path / "go").touch()
    said = sorted(racer.stdout.readline() for racer in racers)
    assert ["given", "given", "won"] == [line.split()[0] for line in said]
    server = find_server("fake")
    assert ({server.pid}, True) == ({int(line.split()[1]) for line in said}, server.responds())
    assert 1 == sum("fake_engine.py" in " ".join(one.cmdline()) for one in launched_processes())
    seen.ran("three processes, released by one file")
