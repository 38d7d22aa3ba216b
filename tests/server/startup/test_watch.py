"""Phases are what the log says, in its order, however late somebody looks."""

import time

import pytest
from tests.server.conftest import fake_command

from seatrial.launching import launch
from seatrial.server.folder import ServerFolder
from seatrial.server.phases import READ_BYTES, STARTING
from seatrial.server.startup.watch import FIRST_TOKEN, READY, Watch
from seatrial.server.state import Identity, Record

LOADS = "0.00.003.149 I srv    load_model: loading model '/models/m.gguf'\n"
WARMS_UP = "0.00.308.693 I cmn          init: llama threadpool init, n_threads = 1\n"
LOADED = "0.00.339.781 I srv          init: model loaded\n"
PHASES = ["loading weights", "warming up", "opening its port"]


def record_of(engine):
    """Return a record of which only the engine matters."""
    return Record(
        name="fake",
        launch_id="0",
        engine=engine,
        model="m",
        port=1,
        argv=(),
        env={},
        key_env=None,
        owner=Identity(1, ""),
        keep_running=False,
        boot_id="",
        launched_at="",
        health_path="",
        models_path="",
        tokenize_path=None,
        metrics_path=None,
        stand_in=False,
        simulated=True,
        grace_s=1.0,
        log_cap_bytes=1 << 20,
    )


class Way:
    """A start watched by hand: its log grows, and somebody looks, only when the test says so."""

    def __init__(self, folder):
        self.folder = ServerFolder(folder)
        self.begun = []
        self.watch = Watch(
            self.folder,
            record_of("llamacpp"),
            stall_limit_s=60,
            on_event=lambda event: event.begins and self.begun.append(event.phase),
            begun=time.monotonic(),
        )
        self.watch.enter(STARTING, "It starts")

    def write(self, text):
        """Let the log grow."""
        with self.folder.log_file.open("a") as log:
            log.write(text)

    def answer(self):
        """Let the engine list its model, and a moment later answer."""
        self.watch.enter(FIRST_TOKEN, "It is loaded")

    def get_ready(self):
        """Return the phases behind a start that has come to its end."""
        self.watch.enter(READY, "It answers")
        return [time.name for time in self.watch.passed]


@pytest.fixture
def way(tmp_path):
    """Begin a start of llama.cpp, with nothing in its log yet."""
    return Way(tmp_path)


def test_a_log_that_is_looked_at_once_tells_every_phase(way):
    """The engine was quicker than the first look: nothing is skipped."""
    way.write(LOADS + WARMS_UP + LOADED)
    way.answer()
    assert [STARTING, *PHASES, FIRST_TOKEN] == way.get_ready()
    assert [STARTING, *PHASES, FIRST_TOKEN, READY] == way.begun


def test_a_line_that_arrives_after_the_answer_keeps_its_place(way):
    """Engines log from a thread of their own: the port may answer before the line that announces it is written."""
    way.write(LOADS + WARMS_UP)
    way.answer()
    way.write(LOADED)
    assert [STARTING, *PHASES, FIRST_TOKEN] == way.get_ready()


def test_a_flood_between_two_looks_hides_no_phase(way):
    """More than is read in full: of what came before only the lines that show a phase count, and all of these do."""
    noise = "0.00.003.150 I load_tensors: layer 1 assigned to device CPU\n" * (READ_BYTES // 50)
    way.write(LOADS + noise + WARMS_UP + noise + LOADED + noise)
    way.answer()
    assert [STARTING, *PHASES, FIRST_TOKEN] == way.get_ready()


def test_an_engine_that_answers_before_it_has_logged_is_waited_for(tmp_path):
    """Health and model are there, the last lines of the log are not yet: the phases are told in their order."""
    begun = []
    script = tmp_path / "script.json"
    script.write_text('[[0.2, "[2026-11-20 09:23:01] INFO:     Started server process [4242]\\n"]]')
    first = "[2026-11-20 09:14:15 TP0] Load weight begin. avail mem=139.12 GB"
    command = fake_command(f"--say={first}", f"--script={script}", "--script-late", engine="sglang")
    server = launch(command, name="fake", on_event=lambda event: event.begins and begun.append(event.phase))
    phases = ["starting", "loading weights", "warming up", "first token"]
    assert [*phases, "ready"] == begun
    assert phases == [time.name for time in server.phases]
