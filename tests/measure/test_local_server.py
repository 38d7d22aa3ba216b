"""The process behind a loopback URL is found, and nothing that only passes requests on."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

from seatrial.measure.local_server import serving_process

LISTEN = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(int(sys.argv[1])):
    if os.fork() == 0: break
os.write(1, b"%d\\n" % listener.getsockname()[1])
sys.stdin.read()
"""


@pytest.fixture
def listen():
    """Start a process that listens, with children that share its socket; return it and its port."""
    started = []

    def start(program=sys.executable, children=0):
        process = subprocess.Popen(
            [program, "-c", LISTEN, str(children)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        for _ in range(children):
            process.stdout.readline()
        return process.pid, int(process.stdout.readline())

    yield start
    for process in started:
        process.communicate()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_process_that_listens(listen, host):
    """By its port; the path of the URL says nothing."""
    pid, port = listen()
    assert pid == serving_process(f"http://{host}:{port}/base")


def test_a_server_of_several_processes(listen):
    """The first of them, whose descendants the others are."""
    pid, port = listen(children=3)
    assert pid == serving_process(f"http://127.0.0.1:{port}")


def test_what_only_passes_on_is_not_the_server(listen, tmp_path):
    """The end of a tunnel is here, the server anywhere."""
    tunnel = tmp_path / "ssh"
    shutil.copy(os.path.realpath(sys.executable), tunnel)
    if subprocess.run([tunnel, "-c", "import socket"], capture_output=True, check=False).returncode:
        tunnel.unlink()
        tunnel.symlink_to(os.path.realpath(sys.executable))
    _, port = listen(program=str(tunnel))
    assert serving_process(f"http://127.0.0.1:{port}") is None


@pytest.mark.parametrize("url", ["http://192.0.2.7:8000", "https://example.org", "http://127.0.0.1.example.org:8000"])
def test_another_machine_is_not_looked_for(url):
    """Whatever listens at that port here is another server."""
    assert serving_process(url) is None


def test_nobody_listens():
    """There is no process to read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert serving_process(f"http://127.0.0.1:{free.getsockname()[1]}") is None
